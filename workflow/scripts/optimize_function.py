from fgrad import descent, results
from fgrad.config import FunctionRun

with results.logged(snakemake.log[0]):
    run = results.with_rate(snakemake.params.run, snakemake.input)
    descent.write(FunctionRun(**run), snakemake.output[0])
