from importlib import import_module
from pathlib import Path

from fgrad import results
from fgrad.figures import style

with results.logged(snakemake.log[0]):
    figure = import_module(f"fgrad.figures.{snakemake.params.figure}")
    summaries = {Path(path).stem: results.read(path) for path in snakemake.input}
    style.save(figure.draw(summaries), *snakemake.output)
