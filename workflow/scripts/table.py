from fgrad import results, tables

with results.logged(snakemake.log[0]):
    make = getattr(tables, snakemake.params.function)
    data = results.read(snakemake.input[0])
    tables.write(make(data), *snakemake.output, caption=snakemake.params.caption)
