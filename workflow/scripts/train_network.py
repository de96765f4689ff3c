from pathlib import Path

from fgrad.experiments import training
from fgrad.options.networks import TrainRun
from fgrad.store import log, parquet

with log.logged(snakemake.log[0]):
    run = parquet.with_rate(snakemake.params.run, snakemake.input.search)
    training.write(TrainRun(**run), snakemake.output[0], Path(snakemake.input.data))
