from pathlib import Path

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.store import log

with log.logged(snakemake.log[0]):
    script = Path(snakemake.scriptdir, "descend_function.py")
    run = jobs.with_rate(snakemake.params.run, snakemake.params.search)
    jobs.carry_out(FunctionRun(**run), snakemake.output[0], log.CONTEXT, script)
