from dataclasses import replace
from pathlib import Path

from fgrad import jobs, plugins
from fgrad.options.networks import TrainRun
from fgrad.store import log

with log.logged(snakemake.log[0]):
    plugins.use(snakemake.params.sources)
    script = Path(snakemake.scriptdir, "train_network.py")
    run = jobs.with_rate(snakemake.params.run, snakemake.params.search)
    context = replace(log.CONTEXT, source=Path(snakemake.params.data))
    jobs.carry_out(TrainRun(**run), snakemake.output[0], context, script)
