from pkgutil import resolve_name

from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    from fgrad.paper.figures import style  # matplotlib reads settings of the user's

    draw = resolve_name(snakemake.params.draws)
    frames = [parquet.read(path) for path in snakemake.input]
    style.save(draw(*frames), *snakemake.output, note=identity.notes(snakemake.input))
