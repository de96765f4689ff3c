from dataclasses import replace
from pathlib import Path

from fgrad import jobs
from fgrad.options.networks import NetworkSearch
from fgrad.store import log

# trials in flight are processes that import this file
if __name__ == "__main__":
    with log.logged(snakemake.log[0]):
        script = Path(snakemake.scriptdir, "search_network.py")
        search = NetworkSearch(**snakemake.params.run)
        in_flight = max(1, snakemake.threads // search.threads)
        search = search.model_copy(update={"in_flight": in_flight})
        context = replace(log.CONTEXT, source=Path(snakemake.params.data))
        jobs.carry_out(search, snakemake.output[0], context, script)
