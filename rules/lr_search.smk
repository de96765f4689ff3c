# The search for the learning rate of every table row: sections 4.2 to 4.5.


def in_flight(wildcards):
    """Trials of a search that are trained at the same time."""
    search = job_of(wildcards).options
    return min(search["in_flight"], search["generation"])


def search_in_flight(wildcards, output, threads):
    """The options of a search, with as many trials in flight as it has threads for."""
    search = run_of(wildcards, output)
    return search | {"in_flight": max(1, threads // search["threads"])}


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
        mem_mb=mb(batch_mb),
        runtime=minutes(10),
        row=1,
    params:
        run=run_of,
        sources=sources_of,
    message:
        "4.2, 4.3: search for a learning rate, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/search_function.py"


# A search that is ended by the limit goes on from its journal when it is started again.
rule search_network:
    input:
        lambda wildcards: needed(wildcards, *data_of(wildcards)),
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
        mem_mb=mb(lambda wildcards: needs(wildcards)[0] * in_flight(wildcards)),
        runtime=minutes(lambda wildcards: 4 * needs(wildcards)[1]),
        gpu=gpus,
    params:
        run=search_in_flight,
        sources=sources_of,
        data=lambda wildcards, output: data_from(wildcards),
    message:
        "4.4, 4.5: search for a learning rate, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/search_network.py"


# Both rates of a row in one job, which takes no longer than starting it.
rule compare_rates:
    input:
        lambda wildcards: needed(wildcards, *search_of(wildcards)),
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section=sections_of(FunctionComparison),
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(10),
        row=1,
    params:
        run=run_of,
        sources=sources_of,
        search=lambda wildcards, output: search_of(wildcards),
    message:
        "4.2, 4.3: found and published rate, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/compare_rates.py"


# table of rates: the summary of the searches it is taken from
RATES = {one.rates: one for one in contents.SUMMARIES.values() if one.rates}


def searches_of(wildcards):
    """Result files of the searches whose rates a table holds."""
    return [
        path for section in RATES[wildcards.table].runs for path in runs_of(section)
    ]


def asked_of_searches(wildcards, output):
    """What is asked of these files; the job refuses others."""
    return asked_of(RATES[wildcards.table].runs)


def published_of(wildcards):
    """The published rate of each row of a table, or None."""
    return [
        RUNS.published[section].get(name)
        for section in RATES[wildcards.table].runs
        for name in RUNS.jobs[section]
    ]


def makes_trials(wildcards):
    """The function that puts the trials of searches together."""
    return RATES[wildcards.table].makes


def code_of_searches(wildcards):
    return code_of("collect_searches.py", makes_trials(wildcards))


def stamp_of_trials(wildcards):
    """Nothing, unless the trials are of other searches or other code."""
    return stamp_of_summary(
        f"results/summary/search_{wildcards.table}.parquet",
        asked_of_searches(wildcards, None),
        code_of_searches(wildcards),
        published_of(wildcards),
    )


rule collect_searches:
    input:
        runs=searches_of,
        stale=stamp_of_trials,
    output:
        table="results/lr_search/{table}.csv",
        trials="results/summary/search_{table}.parquet",
    log:
        "results/logs/lr_search/{table}.log",
    benchmark:
        "results/benchmarks/lr_search/{table}.tsv"
    wildcard_constraints:
        table="|".join(RATES),
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(10),
    params:
        inputs=searches_of,
        asked=asked_of_searches,
        makes=makes_trials,
        published=published_of,
        code=code_of_searches,
    message:
        "Learning rates found: {wildcards.table}"
    script:
        "../workflow/scripts/collect_searches.py"


rule lr_search:
    input:
        [path for section in contents.SEARCHES for path in everything_of(section)],
    message:
        "Every learning-rate search"
