"""Finished runs, and what is needed to trust and redraw them, into one archive."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

import fgrad
from fgrad import plugins
from fgrad.errors import ConfigError, few
from fgrad.paper import contents
from fgrad.plan import read
from fgrad.plan.runs import Runs
from fgrad.plan.sections import Config
from fgrad.plan.status import Status
from fgrad.sharing import archive, crate, manifest, results
from fgrad.store import files, identity, parquet
from fgrad.store.context import Say, silent
from fgrad.store.fingerprint import fingerprint

WORKFLOW = ("Snakefile", "LICENSE", "CITATION.cff", "requirements.lock", "rules/*.smk")
"""Of the folder of the Snakefile; the rest of the code is that of the commit."""

RATES = ("functions", "angles", "networks")
"""Parts of the configuration that name a table of learning rates."""

DATA = "data"
"""The folder of data sets in the configuration as it is shipped; another one is of a machine."""

README = """# Runs of fgrad

Results of a workflow, with what is needed to trust and redraw them. What is there, and what is not,
says `bundle.json`. In a checkout of the code, at one of the commits that it names:

```sh
fgrad unpack BUNDLE.zip --directory X    # says which file is their CONFIGURATION
snakemake figures tables claims --cores 2 --directory X --configfile CONFIGURATION
```
"""

ENDING = ".zip"
"""Of a bundle's name, by which it is told from a folder."""

CONFIGURATION = "configuration/configuration.yaml"
"""The configuration with all that was laid over it, and the tables beside it."""


def pack(
    config: Config, runs: Runs, workflow: Path, output: Path, say: Say = silent
) -> manifest.Manifest:
    """Bundle what is finished of all that a configuration asks for, in the current folder.

    What is missing, stale or being written is left out, and named in the manifest; no run is
    started, and a workflow may be at work. The same results give the same bytes.

    Args:
        config: the configuration.
        runs: what it asks for.
        workflow: folder of the Snakefile.
        output: the archive, which ends with .zip; one that is there is replaced, another file is
            not.
        say: told how much of each section is there.

    Returns:
        What the bundle says of itself.

    Raises:
        ConfigError: if nothing is finished, or the archive cannot be written or is called
            otherwise.
    """
    if output.suffix != ENDING:
        raise ConfigError(f"{output}: a bundle is known by its ending; call it {output}{ENDING}")
    target = files.output(output)
    if target.exists():
        with archive.opened(target):  # refuses what is no bundle
            pass
    found = _Found(Status(runs, workflow / "workflow/scripts"))
    with archive.written(target) as write:
        kept: dict[str, manifest.File] = {}

        def add(name: str, content: bytes) -> None:
            write(name, content)
            digest = hashlib.sha256(content).hexdigest()
            kept[name] = manifest.File(size=len(content), sha256=digest)

        for name, content in found.runs():
            add(name, content)
        if not kept:
            raise ConfigError(
                f"{Path.cwd()}: no finished run of what the configuration asks for; fgrad stale "
                "lists what there is"
            )
        for name, content in sorted((*found.beside(), *_asked(config, workflow))):
            add(name, content)
        about = crate.describe(kept, found.times, workflow)
        add(manifest.CRATE, about)
        known = found.manifest(kept)
        write(manifest.NAME, manifest.text_of(known))
    for section, count in known.sections.items():
        if count.finished:
            say(f"{section}: {count.finished} of {count.asked} runs")
    lines = [f"{name}: left out: {why}" for name, why in known.left_out.items()]
    if lines:
        say(few(lines, "left out"))
    say(f"{output.absolute()}: {len(known.runs)} runs")
    return known


@dataclass
class _Found:
    """What is finished, and what that records."""

    status: Status
    made: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Run that is in the bundle → its provenance."""
    left_out: dict[str, str] = field(default_factory=dict)

    def runs(self) -> Iterator[tuple[str, bytes]]:
        """Each run that is what is asked for, as it was when it was looked at."""
        names = [self.status.asked(*key).path for key in self.status.runs.names()]
        before = {name: _mark(name) for name in names}
        stale = {self.status.asked(*key).path: why for key, why in self.status.stale.items()}
        for name in sorted(names):
            if before[name] is None:
                continue
            if why := stale.get(name) or results.wrong(Path(name), name):
                self.left_out[name] = archive.plain(why)
                continue
            try:
                content = Path(name).read_bytes()
                made = parquet.provenance(name)
            except (ConfigError, OSError) as error:
                self.left_out[name] = str(error).removeprefix(f"{name}: ")
                continue
            if _mark(name) != before[name]:
                self.left_out[name] = "written while it was looked at"
                continue
            self.made[name] = made
            yield name, content

    def beside(self) -> Iterator[tuple[str, bytes]]:
        """Logs of the runs, and what has been made of runs: rates, summaries, tables, claims."""
        logs = (Path(name.replace("/runs/", "/logs/", 1)).with_suffix(".log") for name in self.made)
        for path in (*logs, *self._made_of_runs()):
            if path.is_file():
                yield path.as_posix(), path.read_bytes()

    def _made_of_runs(self) -> Iterator[Path]:
        """What is of today's runs, all of them."""
        whole: dict[str, Path] = {}
        for name, summary in contents.SUMMARIES.items():
            asked = [
                self.status.asked(section, run)
                for section in summary.runs
                for run in self.status.runs.jobs[section]
            ]
            script = "collect_searches.py" if summary.rates else "summarize.py"
            code = fingerprint(summary.makes, self.status.scripts / script)
            published = [
                self.status.runs.published[section].get(run)
                for section in summary.runs * bool(summary.rates)
                for run in self.status.runs.jobs[section]
            ]
            also = (code, published) if summary.rates else (code,)
            path = Path(f"results/summary/{name}.parquet")
            there = {one.path for one in asked} <= self.made.keys()
            if there and identity.is_made_of(str(path), [one.plain() for one in asked], *also):
                whole[name] = path
                yield path
                yield Path(f"results/lr_search/{summary.rates}.csv")
        for section in contents.SECTIONS.values():
            paper = {f"tables/{one.name}.csv": one.of for one in section.tables}
            paper[f"claims/{section.name}.json"] = section.judged_by
            for name, of in paper.items():
                path = Path("results/paper", name)
                if of and set(of) <= whole.keys() and _later(path, [whole[one] for one in of]):
                    yield path

    @property
    def times(self) -> tuple[str, str]:
        """When the first run began and the last one ended."""
        every = list(self.made.values())
        begun = min((str(one.get("start") or "") for one in every), default="")
        return begun, max(str(one.get("end") or "") for one in every)

    def manifest(self, kept: dict[str, manifest.File]) -> manifest.Manifest:
        every = list(self.made.values())
        sections, codes = {}, {}
        for section, jobs in self.status.runs.jobs.items():
            own = [n for n in self.made if n.startswith(f"{manifest.RUNS}{section}/")]
            if jobs:
                sections[section] = manifest.Section(asked=len(jobs), finished=len(own))
                codes[section] = _values(self.made[name].get("code") for name in own)
        packages = sorted({name for one in every for name in one["versions"]})
        return manifest.Manifest(
            format=manifest.FORMAT,
            project=manifest.PROJECT,
            version=fgrad.__version__,
            sections=sections,
            left_out=self.left_out,
            commits=_values(one.get("commit") or "unknown" for one in every),
            codes=codes,
            versions={
                name: _values(one["versions"].get(name) for one in every) for name in packages
            },
            hardware=_values(
                f"{one.get('machine')}, {one.get('device')}, {one.get('threads')} threads"
                for one in every
            ),
            files=dict(sorted(kept.items())),
        )


def _values(of: Iterable[object]) -> list[str]:
    return sorted({str(one) for one in of})


def _mark(name: str) -> tuple[int, int, int] | None:
    """What changes when a file is replaced; none if it is not there."""
    try:
        stat = os.stat(name)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _later(path: Path, than: Iterable[Path]) -> bool:
    """Whether a file is there, and none of those that it is made of was written after it."""
    return path.is_file() and all(one.stat().st_mtime <= path.stat().st_mtime for one in than)


def _asked(config: Config, workflow: Path) -> Iterator[tuple[str, bytes]]:
    """What was asked for, and by what: configuration, tables, files of the user's own, workflow.

    The configuration names the tables beside it, wherever it lies: those of that name in another
    workflow may be others.
    """
    yield crate.README, README.encode()
    plain = config.model_dump(mode="json")
    named = {"published_results": (plain, "published_results.csv")}
    named |= {one: (plain[one], f"learning_rates/{one}.csv") for one in RATES}
    for section, (part, name) in named.items():
        key = "learning_rates" if section in RATES else section
        yield f"configuration/{name}", _table(workflow / "config" / part[key])
        part[key] = f"{read.BESIDE}{name}"
    plain["networks"]["data_dir"] = DATA
    yield CONFIGURATION, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode()
    written: dict[str, bytes] = {}
    for reference in plugins.references(plain):
        folder = PurePosixPath("configuration", plugins.parts(reference)[0]).parent
        own = plugins.follow(reference)
        written |= {f"{folder}/{inner}": text.encode() for inner, text in own.items()}
    yield from written.items()
    for pattern in WORKFLOW:
        for path in workflow.glob(pattern):
            yield f"workflow/{path.relative_to(workflow).as_posix()}", path.read_bytes()


def _table(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {files.reason(error)}") from None
