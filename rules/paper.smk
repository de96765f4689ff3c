# From runs to summaries, figures, tables and claims: what there is, `fgrad.paper.contents` lists.

from pathlib import Path
from pkgutil import resolve_name

from fgrad.paper import contents, scale
from fgrad.plan import reported


def code_of(script, *references):
    """Fingerprint of a script, of all it refers to, and of what it is told by name to call."""
    return fingerprint(*references, HOME / "workflow/scripts" / script)


def runs_of_summary(wildcards):
    """Result files of the runs that a summary is made of."""
    sections = contents.SUMMARIES[wildcards.summary].runs
    return [path for section in sections for path in runs_of(section)]


def asked_of_summary(wildcards, output):
    """What is asked of these files; the job refuses others."""
    return asked_of(contents.SUMMARIES[wildcards.summary].runs)


def makes_summary(wildcards):
    """The function that makes a summary."""
    return contents.SUMMARIES[wildcards.summary].makes


def code_of_summary(wildcards):
    return code_of("summarize.py", makes_summary(wildcards))


def summaries_of(names):
    """Files of summaries, in the order of their names."""
    return [f"results/summary/{name}.parquet" for name in names]


def judged_by(wildcards):
    """Files of the summaries that a section's claims are judged by."""
    return summaries_of(contents.SECTIONS[wildcards.part].judged_by)


def claims_of(wildcards):
    """A section's claims as plain values."""
    section = contents.SECTIONS[wildcards.part]
    rows = RUNS.reported.get(section.name, [])
    unlike = reported.unlike(CONFIG, section.name) if rows else ""
    return section.questions + section.question_beside(rows, unlike)


def code_of_claims(wildcards):
    checks = [claim["check"] for claim in claims_of(wildcards)]
    return code_of("judge_claims.py", *checks)


def reported_of(section, table):
    """What the paper reports of a table, if somebody has entered it, as its function takes it."""
    rows = RUNS.reported.get(section.name, [])
    rows = [row for row in rows if row["metric"] in table.metrics]
    return {"published": rows} if rows else {}


def covered(section):
    """What the runs of a section cover, in words."""
    return f"{section.number}: {resolve_name(section.covers)(CONFIG)}"


def covered_by(wildcards):
    return covered(contents.SECTIONS[wildcards.part])


FACTS = scale.facts(CONFIG)


def is_tuned(wildcards):
    """Whether a section's rates are of its own steps and epochs."""
    return scale.tuned(CONFIG, wildcards.part.removeprefix("search_"))


# A parameter that is made from `output` is not recorded: rewording these captions reruns nothing.
def figure_caption(wildcards, output):
    name = Path(output[0]).stem
    return contents.FIGURES[name].caption_of(FACTS[SECTION_OF_FIGURE[name].name])


def verdicts_caption(wildcards, output):
    return contents.VERDICTS


def files_of(kind, names, *types):
    """Files of figures, tables or claims."""
    return expand(
        "results/paper/{kind}/{name}.{type}", kind=kind, name=names, type=types
    )


FORMATS = CONFIG.figures.formats


def shown_as():
    """The format of figures that a report shows best."""
    return next(one for one in ("png", "svg", "pdf") if one in FORMATS)


def files_of_figure(name):
    """A figure in all formats, of which the report shows one."""
    paths = {one: f"results/paper/figures/{name}.{one}" for one in FORMATS}
    paths[shown_as()] = report(
        paths[shown_as()],
        caption="../workflow/report/caption.rst",
        category=SECTION_OF_FIGURE[name].heading,
        labels={"kind": "figure", "name": name.replace("_", " ")},
    )
    return list(paths.values())


SECTION_OF_FIGURE = {
    one.name: section
    for section in contents.SECTIONS.values()
    for one in section.figures
}


def figures_of(section):
    return files_of("figures", [one.name for one in section.figures], *FORMATS)


def tables_of(section):
    return files_of(
        "tables", [one.name for one in section.tables], "csv", "md", "tex", "html"
    )


def latex_of(section):
    return files_of("tables", [one.name for one in section.tables], "tex")


def verdicts_of(section):
    claims = [section.name] if section.claims else []
    return files_of("claims", claims, "md", "json", "html")


def rates_of(section):
    """Tables of the learning rates that a section searches for."""
    tables = [one.rates for one in section.summaries if one.rates]
    return expand("results/lr_search/{table}.csv", table=tables)


def everything_of(section):
    """Whatever is shown of a section."""
    made_by = (rates_of, figures_of, tables_of, verdicts_of)
    return [path for files in made_by for path in files(section)]


JUDGED = [section for section in contents.PAPER if section.claims]


def stamp_of(wildcards):
    """Nothing, unless the summary is of other runs or other code."""
    return stamp_of_summary(
        f"results/summary/{wildcards.summary}.parquet",
        asked_of_summary(wildcards, None),
        code_of_summary(wildcards),
    )


rule summarize:
    input:
        runs=runs_of_summary,
        stale=stamp_of,
    output:
        "results/summary/{summary}.parquet",
    log:
        "results/logs/summary/{summary}.log",
    benchmark:
        "results/benchmarks/summary/{summary}.tsv"
    wildcard_constraints:
        summary="|".join(
            one.name for one in contents.SUMMARIES.values() if not one.rates
        ),
    threads: 1
    resources:
        mem_mb=mb(4000),
        runtime=minutes(30),
    params:
        inputs=runs_of_summary,
        asked=asked_of_summary,
        makes=makes_summary,
        code=code_of_summary,
    message:
        "Summary {wildcards.summary}"
    script:
        "../workflow/scripts/summarize.py"


for _section in contents.SECTIONS.values():
    for _figure in _section.figures:

        rule:
            name:
                f"figure_{_figure.name}"
            input:
                summaries_of(_figure.of),
            output:
                files=files_of_figure(_figure.name),
                page=f"results/paper/page/{_figure.name}.svg",
            log:
                f"results/logs/figures/{_figure.name}.log",
            benchmark:
                f"results/benchmarks/figures/{_figure.name}.tsv"
            threads: 1
            resources:
                mem_mb=mb(2000),
                runtime=minutes(10),
            params:
                inputs=summaries_of(_figure.of),
                draws=_figure.draws,
                look=CONFIG.figures.model_dump(mode="json", exclude={"formats"}),
                caption=figure_caption,
                code=code_of("figure.py", _figure.draws),
            message:
                f"Figure {_figure.name}"
            script:
                "../workflow/scripts/figure.py"


for _section in contents.SECTIONS.values():
    for _table in _section.tables:

        rule:
            name:
                f"table_{_table.name}"
            input:
                summaries_of(_table.of),
            output:
                f"results/paper/tables/{_table.name}.csv",
                f"results/paper/tables/{_table.name}.md",
                f"results/paper/tables/{_table.name}.tex",
                report(
                    f"results/paper/tables/{_table.name}.html",
                    caption="../workflow/report/caption.rst",
                    category=_section.heading,
                    labels={"kind": "table", "name": _table.name.replace("_", " ")},
                ),
            log:
                f"results/logs/tables/{_table.name}.log",
            benchmark:
                f"results/benchmarks/tables/{_table.name}.tsv"
            threads: 1
            resources:
                mem_mb=mb(2000),
                runtime=minutes(10),
            params:
                inputs=summaries_of(_table.of),
                makes=_table.makes,
                heading=_section.heading,
                caption=_table.caption_of(FACTS[_section.name]),
                given=reported_of(_section, _table),
                code=code_of("table.py", _table.makes),
            message:
                f"Table {_table.name}"
            script:
                "../workflow/scripts/table.py"


rule judge_claims:
    input:
        judged_by,
    output:
        "results/paper/claims/{part}.md",
        "results/paper/claims/{part}.json",
        report(
            "results/paper/claims/{part}.html",
            caption="../workflow/report/caption.rst",
            category="0 Claims",  # first of all, as 3 is the lowest of the sections
            labels={"kind": "verdicts", "name": "{part}"},
        ),
    log:
        "results/logs/claims/{part}.log",
    benchmark:
        "results/benchmarks/claims/{part}.tsv"
    wildcard_constraints:
        part="|".join(one.name for one in contents.SECTIONS.values() if one.claims),
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(10),
    params:
        inputs=judged_by,
        claims=claims_of,
        scale=covered_by,
        tuned=is_tuned,
        caption=verdicts_caption,
        code=code_of_claims,
    message:
        "Claims of section {wildcards.part}"
    script:
        "../workflow/scripts/judge_claims.py"


rule collect_claims:
    input:
        files_of("claims", [section.name for section in JUDGED], "json"),
    output:
        "results/paper/claims.md",
        "results/paper/claims.json",
        "results/paper/claims.html",
    log:
        "results/logs/claims.log",
    benchmark:
        "results/benchmarks/claims.tsv"
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(10),
    params:
        inputs=files_of("claims", [section.name for section in JUDGED], "json"),
        scale=" ".join(covered(section) for section in JUDGED),
        code=code_of("collect_claims.py"),
    message:
        "The verdict on the paper's claims"
    script:
        "../workflow/scripts/collect_claims.py"


for _section in contents.SECTIONS.values():
    if _section.target:

        rule:
            name:
                _section.target
            input:
                everything_of(_section),
            message:
                f"Section {_section.heading}"


rule figures:
    input:
        [path for section in contents.PAPER for path in figures_of(section)],
    message:
        "Every figure"


rule tables:
    input:
        [path for section in contents.PAPER for path in tables_of(section)],
    message:
        "Every table"


rule latex:
    input:
        [path for section in contents.PAPER for path in latex_of(section)],
    output:
        "results/paper/tables.pdf",
    log:
        "results/logs/latex.log",
    benchmark:
        "results/benchmarks/latex.tsv"
    threads: 1
    resources:
        mem_mb=mb(1000),
        runtime=minutes(10),
    params:
        inputs=[path for section in contents.PAPER for path in latex_of(section)],
        code=code_of("compile_tables.py"),
    message:
        "Every table in one PDF"
    script:
        "../workflow/scripts/compile_tables.py"


rule claims:
    input:
        "results/paper/claims.md",
        "results/paper/claims.json",
        "results/paper/claims.html",
    message:
        "The verdict on the paper's claims"
