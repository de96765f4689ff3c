# The search for the learning rate of every table row: sections 4.2 to 4.5.

# table in results/lr_search: [sections of the searches it collects]
SEARCHED = {
    "functions": ["search_functions"],
    "angles": ["search_angles"],
    "fc": ["search_fc"],
    "sota": ["search_sota"],
    "networks": ["search_fc", "search_sota"],
}


def published_of(wildcards):
    """The published rate of each row of a table, or None."""
    return [
        RUNS.published[section].get(name)
        for section in SEARCHED[wildcards.table]
        for name in RUNS.jobs[section]
    ]


def in_flight(wildcards):
    """Trials of a search that are trained at the same time."""
    search = job_of(wildcards).options
    return min(search["in_flight"], search["generation"])


def batch_mb(wildcards):
    """Memory of a search: values of every step, repeat and rate of half of it, twice, and 2 GB."""
    search = job_of(wildcards).options
    values = search["steps"] * search["repeats"] * search["evaluations"]
    return 2000 + 4 * values // 10**6


rule search_function:
    input:
        needed,
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section=sections_of(FunctionSearch),
    threads: 1
    resources:
        mem_mb=batch_mb,
        runtime=60,
    params:
        run=run_of,
    message:
        "4.2, 4.3: search for a learning rate, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/search_function.py"


# A search that is ended by the limit goes on from its journal when it is started again.
rule search_network:
    input:
        lambda wildcards: needed(wildcards, data_of(wildcards)),
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section=sections_of(NetworkSearch),
    threads: lambda wildcards: job_of(wildcards).options["threads"] * in_flight(wildcards)
    resources:
        mem_mb=lambda wildcards: needs(0)(wildcards) * in_flight(wildcards),
        runtime=lambda wildcards: 4 * needs(1)(wildcards),
        gpu=lambda wildcards: int(job_of(wildcards).options["device"] != "cpu"),
    params:
        run=run_of,
        data=lambda wildcards, output: data_of(wildcards),
    message:
        "4.4, 4.5: search for a learning rate, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/search_network.py"


rule collect_searches:
    input:
        lambda wildcards: [
            path for section in SEARCHED[wildcards.table] for path in runs_of(section)
        ],
    output:
        table="results/lr_search/{table}.csv",
        trials="results/summary/search_{table}.parquet",
    log:
        "results/logs/lr_search/{table}.log",
    benchmark:
        "results/benchmarks/lr_search/{table}.tsv"
    wildcard_constraints:
        table="|".join(SEARCHED),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        published=published_of,
        code=fingerprint("fgrad.paper.summary:searches"),
    message:
        "Learning rates found: {wildcards.table}"
    script:
        "../workflow/scripts/collect_searches.py"


rule lr_search_functions:
    input:
        "results/lr_search/functions.csv",
        paper(SEARCH_FUNCTIONS),
    message:
        "Learning-rate search of section 4.2"


rule lr_search_angles:
    input:
        "results/lr_search/angles.csv",
        paper(SEARCH_ANGLES),
    message:
        "Learning-rate search of section 4.3"


rule lr_search_fc:
    input:
        "results/lr_search/fc.csv",
        paper(SEARCH_FC),
    message:
        "Learning-rate search of section 4.4"


rule lr_search_sota:
    input:
        "results/lr_search/sota.csv",
        paper(SEARCH_SOTA),
    message:
        "Learning-rate search of section 4.5"


rule lr_search:
    input:
        rules.lr_search_functions.input,
        rules.lr_search_angles.input,
        rules.lr_search_fc.input,
        rules.lr_search_sota.input,
        "results/lr_search/networks.csv",
    message:
        "Every learning-rate search"
