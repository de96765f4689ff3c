from pathlib import Path

from fgrad import results
from fgrad.networks import NetworkSearch
from fgrad.search import networks

# trials in flight are processes that import this file
if __name__ == "__main__":
    with results.logged(snakemake.log[0]):
        search = NetworkSearch(**snakemake.params.search)
        in_flight = max(1, snakemake.threads // search.threads)
        search = search.model_copy(update={"in_flight": in_flight})
        networks.write(search, snakemake.output[0], Path(snakemake.input[0]))
