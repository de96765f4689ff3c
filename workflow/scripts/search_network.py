from pathlib import Path

from fgrad.experiments.search import networks
from fgrad.options.networks import NetworkSearch
from fgrad.store import log

# trials in flight are processes that import this file
if __name__ == "__main__":
    with log.logged(snakemake.log[0]):
        search = NetworkSearch(**snakemake.params.search)
        in_flight = max(1, snakemake.threads // search.threads)
        search = search.model_copy(update={"in_flight": in_flight})
        networks.write(search, snakemake.output[0], Path(snakemake.input[0]))
