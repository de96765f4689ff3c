# All finished runs in one archive.


# It has no input, so that it starts no run, and no output, so that it is made each time it is asked
# for.
rule bundle:
    log:
        "results/logs/bundle.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(30),
    params:
        asked=lambda wildcards, output: handed.hand(CONFIG, RUNS),
        workflow=str(HOME),
        bundle="results/bundle.zip",
    message:
        "Finished runs in one archive: results/bundle.zip"
    script:
        "../workflow/scripts/bundle.py"
