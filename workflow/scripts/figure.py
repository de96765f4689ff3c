from importlib import import_module
from pathlib import Path

from fgrad.paper.figures import style
from fgrad.store import log, parquet

with log.logged(snakemake.log[0]):
    figure = import_module(f"fgrad.paper.figures.{snakemake.params.figure}")
    summaries = {Path(path).stem: parquet.read(path) for path in snakemake.input}
    style.save(figure.draw(summaries), *snakemake.output)
