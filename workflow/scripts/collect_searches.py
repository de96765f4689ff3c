from pathlib import Path
from pkgutil import resolve_name

from fgrad.paper import summary
from fgrad.plan import rates
from fgrad.store import identity, log

with log.logged(snakemake.log[0]):
    identity.check(snakemake.params.asked)
    collect = resolve_name(snakemake.params.makes)
    trials = collect(snakemake.input, snakemake.params.published)
    summary.write(trials, snakemake.output.trials, identity.older(snakemake.input))
    rates.write_table(Path(snakemake.output.table), trials)
