from pathlib import Path

from fgrad.plan import handed
from fgrad.sharing.bundle import pack
from fgrad.store import log

with log.logged(snakemake.log[0]):
    config, runs = handed.take(snakemake.params.asked)
    output, workflow = Path(snakemake.params.bundle), Path(snakemake.params.workflow)
    pack(config, runs, workflow, output, log.log_line)
