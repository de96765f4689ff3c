# The page of all that is finished, or will be when this start has ended.

from functools import cache
from os.path import normpath

from fgrad.paper.page import ending, render

PAGE = "results/paper/index.html"


def named(name):
    """What a rule is called where these rules are a module of others."""
    return workflow.modifier.modify_rulename(name)


# target that is not the page: the sections it makes; without any target, all of the paper's
MAKES = (
    {named(one.target): [one] for one in contents.SECTIONS.values() if one.target}
    | {
        named(one): contents.PAPER
        for one in ("all", "figures", "tables", "latex", "claims")
    }
    | {named("lr_search"): contents.SEARCHES}
)
PAGE_ALONE = {named("page"), PAGE}


@cache
def made_now():
    """Sections that this start makes whatever is there of them: the page alone starts no run."""
    targets = set(map(normpath, workflow.dag_settings.targets))
    if PAGE_ALONE.isdisjoint(targets):
        return set(contents.PAPER)  # who asks for the page asks for it with everything
    return {one for target in targets for one in MAKES.get(target, ())}


def kinds_of_runs(section):
    """Sections of runs that one of the paper is made of, each once."""
    return list(dict.fromkeys(kind for one in section.summaries for kind in one.runs))


def lacks(section):
    """How many of a section's runs are missing, or are not what is asked for, and stay so."""
    if section in made_now():
        return 0
    kinds = kinds_of_runs(section)
    return sum(kind in kinds for kind, _ in STATUS.stale)


@cache
def on_the_page():
    """Sections that the page names: those of the paper, and the searches that are finished."""
    searches = [one for one in contents.SEARCHES if one.tables and not lacks(one)]
    return [*contents.PAPER, *searches]


def finished():
    """Those of them that it shows."""
    return [section for section in on_the_page() if not lacks(section)]


def shows():
    """What is shown, as plain values."""
    found = []
    for section in on_the_page():
        facts = FACTS[section.name]
        own = {
            "name": section.name,
            "heading": section.heading,
            "target": section.target,
        }
        own |= {"covers": facts["covers"], "lacks": lacks(section)}
        own["of"] = sum(len(RUNS.jobs[kind]) for kind in kinds_of_runs(section))
        parts = {"figures": section.figures, "tables": section.tables}
        own["captions"] = {
            kind: {one.name: one.caption_of(facts) for one in parts[kind]}
            for kind in (parts if not lacks(section) else ())
        }
        found.append(own)
    return found


def drawings_of(section):
    return [f"results/paper/page/{one.name}.svg" for one in section.figures]


def parts_of_page(wildcards):
    """Figures, tables and verdicts as the page takes them."""
    files = []
    for section in finished():
        claims = [section.name] if section.claims else []
        files += drawings_of(section) + files_of("claims", claims, "json")
        files += files_of("tables", [one.name for one in section.tables], "html")
    return files


def summaries_of_page(wildcards):
    """Rows behind its figures."""
    figures = [figure for section in finished() for figure in section.figures]
    return summaries_of(dict.fromkeys(name for one in figures for name in one.of))


def kinds_on_page():
    return [kind for section in finished() for kind in kinds_of_runs(section)]


def runs_of_page(wildcards):
    """Runs behind these."""
    return [path for kind in kinds_on_page() for path in runs_of(kind)]


# Told of jobs here, where what is stale is known; on another machine it is not.
rule page:
    input:
        parts=parts_of_page,
        summaries=summaries_of_page,
        runs=runs_of_page,
    output:
        PAGE,
    log:
        "results/logs/page.log",
    benchmark:
        "results/benchmarks/page.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=mb(2000),
        runtime=minutes(10),
    params:
        shows=lambda wildcards: shows(),
        runs=lambda wildcards, output: {kind: runs_of(kind) for kind in kinds_on_page()},
        asked=lambda wildcards, output: asked_of(kinds_on_page()),
        code=[code_of("page.py"), render.digest()],
    message:
        "The page"
    script:
        "../workflow/scripts/page.py"


if ALONE:

    onsuccess:
        if any(PAGE in job.output for job in workflow.dag.jobs):
            claims = [
                path for path in parts_of_page(None) if path.endswith(".json")
            ]
            for line in ending.lines(PAGE, claims, shows()):
                log_line(f"fgrad: {line}")
