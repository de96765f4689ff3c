# Training of networks: sections 4.4 and 4.5.

# model: memory in MB and time in minutes of a job at paper scale
NEEDS = {
    "fc": [4000, 720],
    "lenet5": [4000, 720],
    "resnet18": [8000, 1440],
    "vit": [12000, 4320],
    "mlpmixer": [12000, 4320],
}


def needs(part):
    return lambda wildcards: NEEDS.get(run_of(wildcards)["model"], [16000, 4320])[part]


rule prepare_data:
    output:
        "results/data/{dataset}.pt",
    log:
        "results/logs/data/{dataset}.log",
    benchmark:
        "results/benchmarks/data/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        folder=str(Path(CONFIG.networks.data_dir).expanduser()),
        code=fingerprint("problems.published"),
    message:
        "Data set {wildcards.dataset}: found or fetched, checked"
    script:
        "../workflow/scripts/prepare_data.py"


rule train_network:
    input:
        # checked by checksum: a data set that is prepared anew is the same one
        data=ancient(
            lambda wildcards: f"results/data/{run_of(wildcards)['dataset']}.pt"
        ),
        search=search_of,
    output:
        "results/runs/{section}/{name}.parquet",
    log:
        "results/logs/{section}/{name}.log",
    benchmark:
        "results/benchmarks/{section}/{name}.tsv"
    wildcard_constraints:
        section="fc|sota|compared_fc|compared_sota",
    threads: lambda wildcards: run_of(wildcards)["threads"]
    resources:
        mem_mb=needs(0),
        runtime=needs(1),
        gpu=lambda wildcards: int(run_of(wildcards)["device"] != "cpu"),
    params:
        run=run_of,
        code=fingerprint("experiments.training"),
    message:
        "4.4, 4.5: training, {wildcards.section}/{wildcards.name}"
    script:
        "../workflow/scripts/train_network.py"


localrules:
    prepare_data,
