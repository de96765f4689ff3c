import json
from pathlib import Path

from fgrad.paper import claims
from fgrad.store import log

with log.logged(snakemake.log[0]):
    judged = [one for path in snakemake.input for one in json.loads(Path(path).read_text())]
    claims.write(judged, *snakemake.output, scale=snakemake.params.scale)
