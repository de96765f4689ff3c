from pkgutil import resolve_name

from fgrad.paper import tables
from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    make = resolve_name(snakemake.params.makes)
    words = (snakemake.params.heading, snakemake.params.caption)
    caption = identity.sentences(*words, identity.notes(snakemake.input))
    frames = [parquet.read(path) for path in snakemake.input]
    tables.write(make(*frames), *snakemake.output, caption=caption)
