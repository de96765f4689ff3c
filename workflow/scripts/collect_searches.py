from pathlib import Path

from fgrad import rates, results, summary

with results.logged(snakemake.log[0]):
    trials = summary.searches(snakemake.input, snakemake.params.published)
    summary.write(trials, snakemake.output.trials)
    rates.write_table(Path(snakemake.output.table), trials)
