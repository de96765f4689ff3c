from fgrad.paper import summary
from fgrad.store import log

with log.logged(snakemake.log[0]):
    summarize = getattr(summary, snakemake.params.function)
    summary.write(summarize(snakemake.input), snakemake.output[0])
