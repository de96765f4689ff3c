from fgrad.store import identity, log

with log.logged(snakemake.log[0]):
    from fgrad.paper.page import build  # matplotlib reads settings of the user's

    identity.check(snakemake.params.asked)
    runs = snakemake.params.runs
    build.write(snakemake.output[0], snakemake.params.shows, runs)
