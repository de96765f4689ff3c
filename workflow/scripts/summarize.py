from fgrad import results, summary

with results.logged(snakemake.log[0]):
    summarize = getattr(summary, snakemake.params.function)
    summary.write(summarize(snakemake.input), snakemake.output[0])
