from pkgutil import resolve_name

from fgrad.paper import summary
from fgrad.store import files, identity, log

with log.logged(snakemake.log[0]):
    identity.check(snakemake.params.asked)
    frame = resolve_name(snakemake.params.makes)(snakemake.input.runs)
    known = identity.record(snakemake.params.asked, snakemake.params.code)
    summary.write(frame, snakemake.output[0], known)
    files.drop_finished(snakemake.input.runs)
