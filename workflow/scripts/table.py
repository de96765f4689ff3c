from pkgutil import resolve_name

from fgrad.paper import tables
from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    make = resolve_name(snakemake.params.makes)
    caption = f"{snakemake.params.heading}. {snakemake.params.caption}"
    frames = [parquet.read(path) for path in snakemake.input]
    note = identity.notes(snakemake.input)
    tables.write(make(*frames), *snakemake.output, caption=caption, note=note)
