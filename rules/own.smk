# What of the user's own the configuration refers to.


rule try_own:
    output:
        "results/own/{own}.txt",
    log:
        "results/logs/own/{own}.log",
    benchmark:
        "results/benchmarks/own/{own}.tsv"
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(5),
    params:
        own=lambda wildcards, output: own_of(wildcards)[0],
        sources=lambda wildcards, output: own_of(wildcards)[1],
        data=lambda wildcards, output: str(data_dir()),
    message:
        "Tried on something small: {wildcards.own}"
    script:
        "../workflow/scripts/try_own.py"
