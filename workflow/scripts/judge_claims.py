from pathlib import Path

from fgrad.paper import claims
from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    frames = {Path(path).stem: parquet.read(path) for path in snakemake.input}
    judged = claims.judge(snakemake.params.claims, frames, identity.notes(snakemake.input))
    claims.write(judged, *snakemake.output, scale=snakemake.params.scale)
