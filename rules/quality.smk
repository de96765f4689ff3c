# Approximation quality: sections 4.1 and 4.3.


rule measure_quality:
    input:
        needed,
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section=sections_of(QualityRun),
    threads: 1
    resources:
        mem_mb=mb(4000),
        runtime=minutes(10),
        row=1,
    params:
        run=run_of,
        sources=sources_of,
    message:
        "4.1, 4.3: quality of gradient estimates, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/measure_quality.py"
