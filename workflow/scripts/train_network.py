from pathlib import Path

from fgrad import results, training
from fgrad.networks import TrainRun

with results.logged(snakemake.log[0]):
    run = results.with_rate(snakemake.params.run, snakemake.input.search)
    training.write(TrainRun(**run), snakemake.output[0], Path(snakemake.input.data))
