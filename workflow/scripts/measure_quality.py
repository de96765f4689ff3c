from pathlib import Path

from fgrad import jobs, plugins
from fgrad.options.quality import QualityRun
from fgrad.store import log

with log.logged(snakemake.log[0]):
    plugins.use(snakemake.params.sources)
    script = Path(snakemake.scriptdir, "measure_quality.py")
    run = QualityRun(**snakemake.params.run)
    jobs.carry_out(run, snakemake.output[0], log.CONTEXT, script)
