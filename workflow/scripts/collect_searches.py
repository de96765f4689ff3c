from pathlib import Path

from fgrad.paper import summary
from fgrad.plan import rates
from fgrad.store import log

with log.logged(snakemake.log[0]):
    trials = summary.searches(snakemake.input, snakemake.params.published)
    summary.write(trials, snakemake.output.trials)
    rates.write_table(Path(snakemake.output.table), trials)
