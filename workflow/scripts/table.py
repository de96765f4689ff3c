from fgrad.paper import tables
from fgrad.store import log, parquet

with log.logged(snakemake.log[0]):
    make = getattr(tables, snakemake.params.function)
    data = parquet.read(snakemake.input[0])
    tables.write(make(data), *snakemake.output, caption=snakemake.params.caption)
