from pathlib import Path

from fgrad import claims, results

with results.logged(snakemake.log[0]):
    summaries = {Path(path).stem: results.read(path) for path in snakemake.input}
    claims.write(claims.judge(summaries), *snakemake.output, scale=snakemake.params.scale)
