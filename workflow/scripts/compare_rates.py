from pathlib import Path

from fgrad import jobs, plugins
from fgrad.options.functions import FunctionComparison
from fgrad.store import log

with log.logged(snakemake.log[0]):
    plugins.use(snakemake.params.sources)
    script = Path(snakemake.scriptdir, "compare_rates.py")
    run = jobs.with_rate(snakemake.params.run, snakemake.params.search)
    jobs.carry_out(FunctionComparison(**run), snakemake.output[0], log.CONTEXT, script)
