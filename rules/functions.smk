# Gradient descent on closed-form functions: sections 4.2 and 4.3.


rule descend_function:
    input:
        lambda wildcards: needed(wildcards, *search_of(wildcards)),
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section=sections_of(FunctionRun),
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(5),
        row=1,
    params:
        run=run_of,
        sources=sources_of,
        search=lambda wildcards, output: search_of(wildcards),
    message:
        "4.2, 4.3: gradient descent, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/descend_function.py"
