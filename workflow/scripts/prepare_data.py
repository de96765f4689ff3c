from pathlib import Path

from fgrad import data, results

with results.logged(snakemake.log[0]):
    folder, output = Path(snakemake.params.folder), Path(snakemake.output[0])
    data.prepare(snakemake.wildcards.dataset, folder, output)
