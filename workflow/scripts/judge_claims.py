from pathlib import Path

from fgrad.paper import claims
from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    frames = {Path(path).stem: parquet.read(path) for path in snakemake.input}
    note, tuned = identity.notes(snakemake.input), snakemake.params.tuned
    judged = claims.judge(snakemake.params.claims, frames, note, tuned)
    claims.write(judged, *snakemake.output, scale=snakemake.params.scale)
