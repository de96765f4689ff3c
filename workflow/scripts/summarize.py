from pkgutil import resolve_name

from fgrad.paper import summary
from fgrad.store import log

with log.logged(snakemake.log[0]):
    make = resolve_name(snakemake.params.makes)
    summary.write(make(snakemake.input), snakemake.output[0])
