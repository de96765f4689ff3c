from pkgutil import resolve_name

from fgrad.paper.figures import style
from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    draw = resolve_name(snakemake.params.draws)
    frames = [parquet.read(path) for path in snakemake.input]
    style.save(draw(*frames), *snakemake.output, note=identity.notes(snakemake.input))
