# From runs to summaries, figures, tables and claims.

# summary: [section of its runs, function of fgrad.paper.summary]
SUMMARIES = {
    "quality": ["quality", "quality"],
    "exact": ["exact", "quality"],
    "functions": ["functions", "functions"],
    "curves": ["functions", "curves"],
    "angle_quality": ["angle_quality", "quality"],
    "angle_functions": ["angle_functions", "functions"],
    "angle_curves": ["angle_functions", "curves"],
    "fc": ["fc", "networks"],
    "fc_curves": ["fc", "network_curves"],
    "sota": ["sota", "networks"],
    "sota_curves": ["sota", "network_curves"],
    "compared_functions": ["compared_functions", "compared"],
    "compared_angles": ["compared_angles", "compared"],
    "compared_fc": ["compared_fc", "compared"],
    "compared_sota": ["compared_sota", "compared"],
}

CONCEPTS = "3 Multi-tangent forward gradients"
QUALITY = "4.1 Approximation quality"
FUNCTIONS = "4.2 Closed-form functions"
ANGLES = "4.3 Tangents at an angle"
FC = "4.4 Fully connected networks"
SOTA = "4.5 ResNet18 and ViT"
PAPER = [CONCEPTS, QUALITY, FUNCTIONS, ANGLES, FC, SOTA]
# not of the paper itself: made by the targets lr_search and lr_search_…
SEARCH_FUNCTIONS = "4.2 search for the learning rates"
SEARCH_ANGLES = "4.3 search for the learning rates"
SEARCH_FC = "4.4 search for the learning rates"
SEARCH_SOTA = "4.5 search for the learning rates"

# figure: [section of the paper, summaries it shows]
FIGURES = {
    "forward_gradient": [CONCEPTS, []],
    "projection": [CONCEPTS, []],
    "quality": [QUALITY, ["quality"]],
    "aggregations": [QUALITY, ["quality"]],
    "extension": [QUALITY, ["exact"]],
    "final_values": [FUNCTIONS, ["functions"]],
    "descent_curves": [FUNCTIONS, ["curves"]],
    "angle_quality": [ANGLES, ["angle_quality"]],
    "angle_descent": [ANGLES, ["angle_curves"]],
    "fc_training": [FC, ["fc_curves"]],
    "fc_tangents": [FC, ["fc"]],
    "sota_training": [SOTA, ["sota_curves"]],
    "sota_tangents": [SOTA, ["sota"]],
    "epoch_time": [SOTA, ["fc", "sota"]],
    "search_functions": [SEARCH_FUNCTIONS, ["search_functions"]],
    "found_rates": [SEARCH_FUNCTIONS, ["search_functions"]],
    "search_angles": [SEARCH_ANGLES, ["search_angles"]],
    "search_fc": [SEARCH_FC, ["search_fc"]],
    "search_sota": [SEARCH_SOTA, ["search_sota"]],
}

# table: [section of the paper, function of fgrad.paper.tables, summary it shows]
TABLES = {
    "learning_rates": [FUNCTIONS, "learning_rates", "functions"],
    "final_values": [FUNCTIONS, "final_values", "functions"],
    "stops": [FUNCTIONS, "stops", "functions"],
    "quality": [QUALITY, "quality", "quality"],
    "angle_learning_rates": [ANGLES, "learning_rates", "angle_functions"],
    "angle_final_values": [ANGLES, "final_values", "angle_functions"],
    "angle_quality": [ANGLES, "quality", "angle_quality"],
    "fc_learning_rates": [FC, "learning_rates", "fc"],
    "fc_accuracy": [FC, "accuracy", "fc"],
    "sota_learning_rates": [SOTA, "learning_rates", "sota"],
    "sota_accuracy": [SOTA, "accuracy", "sota"],
    "found_functions": [SEARCH_FUNCTIONS, "found", "search_functions"],
    "found_angles": [SEARCH_ANGLES, "found", "search_angles"],
    "found_fc": [SEARCH_FC, "found", "search_fc"],
    "found_sota": [SEARCH_SOTA, "found", "search_sota"],
    "search_functions": [SEARCH_FUNCTIONS, "comparison", "compared_functions"],
    "search_angles": [SEARCH_ANGLES, "comparison", "compared_angles"],
    "search_fc": [SEARCH_FC, "comparison", "compared_fc"],
    "search_sota": [SEARCH_SOTA, "comparison", "compared_sota"],
}


# part of the paper: [its section, summaries its claims are judged by]
CLAIMS = {
    "quality": ["4.1", ["quality", "exact"]],
    "functions": ["4.2", ["functions"]],
    "angles": ["4.3", ["angle_quality", "angle_functions", "angle_curves"]],
    "fc": ["4.4", ["fc"]],
    "sota": ["4.5", ["sota"]],
    "search_functions": ["4.2 search", ["compared_functions"]],
    "search_angles": ["4.3 search", ["compared_angles"]],
    "search_fc": ["4.4 search", ["compared_fc"]],
    "search_sota": ["4.5 search", ["compared_sota"]],
}
SCALE = settings.scale(CONFIG)
PARTS = [part for part, (section, _) in CLAIMS.items() if "search" not in section]


def paper(part):
    """Figures, tables and claims of a section of the paper."""
    search = " search" in part
    claims = [
        name
        for name, (section, _) in CLAIMS.items()
        if part.startswith(section) and ("search" in section) == search
    ]
    figures = [name for name, (section, _) in FIGURES.items() if section == part]
    tables = [name for name, (section, *_) in TABLES.items() if section == part]
    return [
        *expand(
            "results/paper/figures/{name}.{type}", name=figures, type=["pdf", "png"]
        ),
        *expand(
            "results/paper/tables/{name}.{type}", name=tables, type=["csv", "md", "tex"]
        ),
        *expand("results/paper/claims/{name}.{type}", name=claims, type=["md", "json"]),
    ]


rule summarize:
    input:
        lambda wildcards: runs_of(SUMMARIES[wildcards.summary][0]),
    output:
        "results/summary/{summary}.parquet",
    log:
        "results/logs/summary/{summary}.log",
    benchmark:
        "results/benchmarks/summary/{summary}.tsv"
    wildcard_constraints:
        summary="|".join(SUMMARIES),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        function=lambda wildcards: SUMMARIES[wildcards.summary][1],
        code=fingerprint("fgrad.paper.summary:networks"),
    message:
        "Summary {wildcards.summary}"
    script:
        "../workflow/scripts/summarize.py"


for _name, (_section, _summaries) in FIGURES.items():

    rule:
        name:
            f"figure_{_name}"
        input:
            expand("results/summary/{summary}.parquet", summary=_summaries),
        output:
            f"results/paper/figures/{_name}.pdf",
            report(
                f"results/paper/figures/{_name}.png",
                caption=f"../workflow/report/figure_{_name}.rst",
                category=_section,
                labels={"kind": "figure", "name": _name.replace("_", " ")},
            ),
        log:
            f"results/logs/figures/{_name}.log",
        benchmark:
            f"results/benchmarks/figures/{_name}.tsv"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            figure=_name,
            code=fingerprint(f"fgrad.paper.figures.{_name}:draw"),
        message:
            "Figure {params.figure}"
        script:
            "../workflow/scripts/figure.py"


for _name, (_section, _function, _shown) in TABLES.items():

    rule:
        name:
            f"table_{_name}"
        input:
            f"results/summary/{_shown}.parquet",
        output:
            report(
                f"results/paper/tables/{_name}.csv",
                caption=f"../workflow/report/table_{_function}.rst",
                category=_section,
                labels={"kind": "table", "name": _name.replace("_", " ")},
            ),
            f"results/paper/tables/{_name}.md",
            f"results/paper/tables/{_name}.tex",
        log:
            f"results/logs/tables/{_name}.log",
        benchmark:
            f"results/benchmarks/tables/{_name}.tsv"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            function=_function,
            caption=f"{_section}: {_name.replace('_', ' ')}.",
            code=fingerprint(f"fgrad.paper.tables:{_function}"),
        message:
            "Table {params.caption}"
        script:
            "../workflow/scripts/table.py"


rule judge_claims:
    input:
        lambda wildcards: expand(
            "results/summary/{summary}.parquet", summary=CLAIMS[wildcards.part][1]
        ),
    output:
        report(
            "results/paper/claims/{part}.md",
            caption="../workflow/report/claims.rst",
            category="Claims",
            labels={"kind": "verdicts", "name": "{part}"},
        ),
        "results/paper/claims/{part}.json",
    log:
        "results/logs/claims/{part}.log",
    benchmark:
        "results/benchmarks/claims/{part}.tsv"
    wildcard_constraints:
        part="|".join(CLAIMS),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        section=lambda wildcards: CLAIMS[wildcards.part][0],
        scale=lambda wildcards: SCALE[wildcards.part],
        code=fingerprint("fgrad.paper.claims:judge"),
    message:
        "Claims of section {params.section}"
    script:
        "../workflow/scripts/judge_claims.py"


rule collect_claims:
    input:
        expand("results/paper/claims/{part}.json", part=PARTS),
    output:
        "results/paper/claims.md",
        "results/paper/claims.json",
    log:
        "results/logs/claims.log",
    benchmark:
        "results/benchmarks/claims.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        scale=" ".join(SCALE[part] for part in PARTS),
        code=fingerprint("fgrad.paper.claims:judge"),
    message:
        "The verdict on the paper's claims"
    script:
        "../workflow/scripts/collect_claims.py"


rule quality:
    input:
        paper(QUALITY),
    message:
        "Section 4.1"


rule functions:
    input:
        paper(FUNCTIONS),
    message:
        "Section 4.2"


rule angles:
    input:
        paper(ANGLES),
    message:
        "Section 4.3"


rule fc:
    input:
        paper(FC),
    message:
        "Section 4.4"


rule sota:
    input:
        paper(SOTA),
    message:
        "Section 4.5"


rule figures:
    input:
        [path for part in PAPER for path in paper(part) if "/figures/" in path],
    message:
        "Every figure"


rule tables:
    input:
        [path for part in PAPER for path in paper(part) if "/tables/" in path],
    message:
        "Every table"


rule claims:
    input:
        "results/paper/claims.md",
        "results/paper/claims.json",
    message:
        "The verdict on the paper's claims"
