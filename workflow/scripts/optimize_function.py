from fgrad import descent, results
from fgrad.config import FunctionRun

with results.logged(snakemake.log[0]):
    descent.write(FunctionRun(**snakemake.params.run), snakemake.output[0])
