from fgrad.experiments import descent
from fgrad.options.functions import FunctionRun
from fgrad.store import log, parquet

with log.logged(snakemake.log[0]):
    run = parquet.with_rate(snakemake.params.run, snakemake.input)
    descent.write(FunctionRun(**run), snakemake.output[0])
