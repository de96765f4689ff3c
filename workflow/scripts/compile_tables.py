from fgrad.paper.tables import document
from fgrad.store import log

with log.logged(snakemake.log[0]):
    tables, pdf = snakemake.input, snakemake.output[0]
    document.compile_tables(tables, pdf)
