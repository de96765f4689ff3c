from pkgutil import resolve_name

from fgrad.paper import summary
from fgrad.store import identity, log

with log.logged(snakemake.log[0]):
    identity.check(snakemake.params.asked)
    make = resolve_name(snakemake.params.makes)
    older = identity.older(snakemake.input)
    summary.write(make(snakemake.input), snakemake.output[0], older)
