from fgrad.experiments.search import functions
from fgrad.options.functions import FunctionSearch
from fgrad.store import log

with log.logged(snakemake.log[0]):
    functions.write(FunctionSearch(**snakemake.params.search), snakemake.output[0])
