from dataclasses import replace
from pathlib import Path

from fgrad import jobs, plugins
from fgrad.options.networks import NetworkSearch
from fgrad.store import log

if __name__ == "__main__":  # trials in flight are processes that import this file
    with log.logged(snakemake.log[0]):
        plugins.use(snakemake.params.sources)
        script = Path(snakemake.scriptdir, "search_network.py")
        context = replace(log.CONTEXT, source=Path(snakemake.params.data))
        search = NetworkSearch(**snakemake.params.run)
        jobs.carry_out(search, snakemake.output[0], context, script)
