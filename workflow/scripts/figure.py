from pkgutil import resolve_name

from fgrad.store import identity, log, parquet

with log.logged(snakemake.log[0]):
    from fgrad.paper.figures import files, look  # matplotlib reads settings of the user's

    look.use(look.Look(**snakemake.params.look))
    frames = [parquet.read(path) for path in snakemake.input]
    figure = resolve_name(snakemake.params.draws)(*frames)
    note = identity.notes(snakemake.input)
    shown, page = files.shown(snakemake.input), snakemake.output.page
    files.save(figure, snakemake.output.files, note, shown, page)
