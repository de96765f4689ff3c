from pathlib import Path

from fgrad import jobs, plugins
from fgrad.options.functions import FunctionRun
from fgrad.store import log

with log.logged(snakemake.log[0]):
    plugins.use(snakemake.params.sources)
    script = Path(snakemake.scriptdir, "descend_function.py")
    run = jobs.with_rate(snakemake.params.run, snakemake.params.search)
    jobs.carry_out(FunctionRun(**run), snakemake.output[0], log.CONTEXT, script)
