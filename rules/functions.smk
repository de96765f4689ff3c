# Gradient descent on closed-form functions: sections 4.2 and 4.3.


rule optimize_function:
    input:
        search_of,
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section="functions|angle_functions|compared_functions|compared_angles",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        run=run_of,
        code=fingerprint("experiments.descent"),
    message:
        "4.2, 4.3: gradient descent, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/optimize_function.py"
