"""A bundle described as a Workflow Run RO-Crate, for whoever reads those."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rocrate.model.computerlanguage import ComputerLanguage
from rocrate.model.contextentity import ContextEntity
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

import fgrad
from fgrad.sharing import manifest

SPECIFICATION = "1.1"
"""Of RO-Crate, as the profiles ask for."""

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}

TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
"""What the context of that specification lacks."""

MAIN = "workflow/Snakefile"

README = "README.md"

BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"

WORKFLOW = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
"""What the main workflow is."""

CITATION = "CITATION.cff"

LICENSE = "https://spdx.org/licenses/MIT"

FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".md": "text/markdown",
}
"""Ending → kind of file; of others it is text."""

SNAKEMAKE = {
    "name": "Snakemake",
    "alternateName": "Snakemake",
    "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
    "url": {"@id": "https://snakemake.github.io"},
}


def describe(files: Mapping[str, manifest.File], times: tuple[str, str], workflow: Path) -> bytes:
    """The metadata file of a crate.

    Args:
        files: path in the bundle → what it is.
        times: when the first of its runs began and the last one ended, which is its date.
        workflow: folder of the Snakefile, beside which may be what is to be cited.

    Returns:
        JSON-LD that depends on nothing else.
    """
    crate = ROCrate(version=SPECIFICATION)
    crate.metadata.extra_terms |= TERMS
    entities: dict[str, File] = {}  # whose ids are names with all but plain letters encoded
    for name, known in files.items():
        entities[name] = crate.add(File(crate, dest_path=name, properties=_properties(name, known)))
    announced = {"name": "manifest of the bundle", "encodingFormat": FORMATS[".json"]}
    crate.add(File(crate, dest_path=manifest.NAME, properties=announced))
    about, main = _About(crate, workflow / CITATION), entities.get(MAIN)
    root = crate.root_dataset
    root["name"] = f"Runs of {about.title}"
    root["description"] = "Finished runs with provenance, configuration, tables, logs and checksums"
    root["license"] = about.context(LICENSE, "CreativeWork", name="MIT License")
    root["author"] = root["publisher"] = about.authors
    root["datePublished"] = times[1]
    root["conformsTo"] = [
        about.context(url, "CreativeWork", name=name, version=version)
        for url, (name, version) in PROFILES.items()
    ]
    crate.metadata["conformsTo"] = [{"@id": crate.metadata.profile}, {"@id": list(PROFILES)[-1]}]
    entities[README]["about"] = root
    if about.paper:
        root["citation"] = about.paper
    if main is not None:
        _run(crate, about, main, entities, times)
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


class _About:
    """What is cited."""

    def __init__(self, crate: ROCrate, citation: Path) -> None:
        self.crate = crate
        cff = yaml.safe_load(citation.read_text(encoding="utf-8")) if citation.is_file() else {}
        self.title = cff.get("title", "fgrad")
        names = [one.get("name", "") for one in cff.get("authors", ())]
        self.authors = self.context("#authors", "Organization", name=", ".join(names) or "unknown")
        paper = cff.get("preferred-citation")
        self.paper = paper and self.context(
            f"https://doi.org/{paper['doi']}",
            "ScholarlyArticle",
            name=paper["title"],
            author=", ".join(one["family-names"] for one in paper["authors"]),
            datePublished=str(paper["year"]),
        )

    def context(self, identity: str, kind: str = "", **properties: Any) -> ContextEntity:
        """Something that is no file of the crate."""
        properties = ({"@type": kind} if kind else {}) | properties
        return self.crate.add(ContextEntity(self.crate, identity, properties=properties))


def _run(
    crate: ROCrate,
    about: _About,
    main: File,
    files: Mapping[str, File],
    times: tuple[str, str],
) -> None:
    """The workflow, and that it ran: from the configuration to the runs."""
    language = crate.add(ComputerLanguage(crate, "#snakemake", properties=SNAKEMAKE))
    configuration = [one for name, one in files.items() if name.startswith("configuration/")]
    runs = [one for name, one in files.items() if name.startswith(manifest.RUNS)]
    main["name"] = about.title
    main["programmingLanguage"] = language
    main["license"], main["creator"] = {"@id": LICENSE}, about.authors
    main["version"] = fgrad.__version__
    main["conformsTo"] = about.context(
        BIOSCHEMAS, "CreativeWork", name="ComputationalWorkflow", version="1.0"
    )
    action = {"@type": "CreateAction", "name": "Runs of the workflow", "startTime": times[0]}
    action |= {"endTime": times[1], "actionStatus": "http://schema.org/CompletedActionStatus"}
    action["description"] = f"{len(runs)} runs, each with options, code and times in its file"
    run = about.context("#run", **action)
    run["instrument"], run["agent"] = main, about.authors
    run["object"], run["result"] = _plain(configuration), _plain(runs)
    for way, shown in (("input", configuration), ("output", runs)):
        entity = about.context(f"#{way}", "FormalParameter", name=way, additionalType="File")
        entity["workExample"] = _plain(shown)
        for one in shown:
            one["exampleOfWork"] = entity
        main[way] = entity
    crate.root_dataset["mainEntity"] = main
    crate.root_dataset["mentions"] = run


def _properties(name: str, known: manifest.File) -> dict[str, Any]:
    kind = FORMATS.get(Path(name).suffix, "text/plain")
    size = {"contentSize": str(known.size), "sha256": known.sha256}
    workflow = {"@type": WORKFLOW} if name == MAIN else {}
    return {"name": name, "encodingFormat": kind, **size, **workflow}


def _plain(entities: list[Any]) -> Any:
    """One alone stands in no list."""
    return entities[0] if len(entities) == 1 else entities
