# Training of networks: sections 4.4 and 4.5.


# Made once and never again as long as it is there: a data set is known by its checksums, and its
# file by the version in its name. Neither code nor params trigger it (the folder is no recorded
# param), so that nothing above the trainings can hide what changed below.
rule prepare_data:
    output:
        f"results/data/{{dataset}}-{FORMAT}.pt",
    log:
        "results/logs/data/{dataset}.log",
    benchmark:
        "results/benchmarks/data/{dataset}.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=mb(4000),
        runtime=minutes(60),
    params:
        folder=lambda wildcards, output: str(data_dir()),
    message:
        "Data set {wildcards.dataset}: found or fetched, checked"
    script:
        "../workflow/scripts/prepare_data.py"


rule train_network:
    input:
        lambda wildcards: needed(wildcards, *data_of(wildcards), *search_of(wildcards)),
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section=sections_of(TrainRun),
    threads: lambda wildcards: job_of(wildcards).options["threads"]
    resources:
        mem_mb=mb(lambda wildcards: needs(wildcards)[0]),
        runtime=minutes(lambda wildcards: needs(wildcards)[1]),
        gpu=gpus,
    params:
        run=run_of,
        sources=sources_of,
        data=lambda wildcards, output: data_from(wildcards),
        search=lambda wildcards, output: search_of(wildcards),
    message:
        "4.4, 4.5: training, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/train_network.py"
