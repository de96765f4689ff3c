from pathlib import Path
from pkgutil import resolve_name

from fgrad.paper import summary
from fgrad.plan import rates
from fgrad.store import files, identity, log

with log.logged(snakemake.log[0]):
    asked, published = snakemake.params.asked, snakemake.params.published
    identity.check(asked)
    trials = resolve_name(snakemake.params.makes)(snakemake.input.runs, published)
    known = identity.record(asked, snakemake.params.code, published)
    summary.write(trials, snakemake.output.trials, known)
    rates.write_table(Path(snakemake.output.table), trials)
    files.drop_finished(snakemake.input.runs)
