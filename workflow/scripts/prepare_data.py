from pathlib import Path

from fgrad.problems import published
from fgrad.store import log

with log.logged(snakemake.log[0]):
    folder, output = Path(snakemake.params.folder), Path(snakemake.output[0])
    published.prepare(snakemake.wildcards.dataset, folder, output)
