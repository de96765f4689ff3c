from fgrad.paper.tables import document
from fgrad.store import log

with log.logged(snakemake.log[0]):
    document.compile_tables(snakemake.input, snakemake.output[0])
