from pkgutil import resolve_name

from fgrad.paper.tables import table
from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    make = resolve_name(snakemake.params.makes)
    caption = f"{snakemake.params.heading}. {snakemake.params.caption}"
    frames = [parquet.read(path) for path in snakemake.input]
    note = identity.notes(snakemake.input)
    made = make(*frames, **snakemake.params.given)
    table.write(made, *snakemake.output, caption=caption, note=note)
