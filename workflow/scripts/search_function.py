from pathlib import Path

from fgrad import jobs, plugins
from fgrad.options.functions import FunctionSearch
from fgrad.store import log

with log.logged(snakemake.log[0]):
    plugins.use(snakemake.params.sources)
    script = Path(snakemake.scriptdir, "search_function.py")
    search = FunctionSearch(**snakemake.params.run)
    jobs.carry_out(search, snakemake.output[0], log.CONTEXT, script)
