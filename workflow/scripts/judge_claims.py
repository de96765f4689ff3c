from pathlib import Path

from fgrad import claims, results

with results.logged(snakemake.log[0]):
    summaries = {Path(path).stem: results.read(path) for path in snakemake.input}
    judged = claims.judge(summaries, snakemake.params.section)
    claims.write(judged, *snakemake.output, scale=snakemake.params.scale)
