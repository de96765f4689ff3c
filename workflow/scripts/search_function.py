from fgrad import results
from fgrad.config import FunctionSearch
from fgrad.search import functions

with results.logged(snakemake.log[0]):
    functions.write(FunctionSearch(**snakemake.params.search), snakemake.output[0])
