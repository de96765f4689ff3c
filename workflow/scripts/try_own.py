from pathlib import Path

from fgrad import plugins
from fgrad.experiments import own
from fgrad.store import log

with log.logged(snakemake.log[0]):
    plugins.use(snakemake.params.sources)
    one = snakemake.params.own
    own.check(**one, source=Path(snakemake.params.data))
    Path(snakemake.output[0]).write_text(f"{one['kind']} {one['reference']}: tried\n")
