from pathlib import Path

from fgrad import results, training
from fgrad.networks import TrainRun

with results.logged(snakemake.log[0]):
    run = TrainRun(**snakemake.params.run)
    training.write(run, snakemake.output[0], Path(snakemake.input[0]))
