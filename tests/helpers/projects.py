"""A copy of the project that workflow tests run and change."""

import os
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import warm

from fgrad.store import parquet

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "workflow", "config", "profiles", "src", "tests/tiny.yaml")


class Project:
    """A copy of the project and a folder it runs in, so that both can be changed."""

    def __init__(self, home: Path) -> None:
        self.home, self.work = home / "project", home / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        if self.home.exists():
            return
        for part in PARTS:
            source, target = ROOT / part, self.home / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(
                    source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
                )
            else:
                shutil.copy2(source, target)

    def copy(self, home: Path, results: bool = True) -> "Project":
        """Project and results, or the project alone, somewhere else and of the same age."""
        other = object.__new__(Project)
        other.home, other.work = home / "project", home / "work"
        shutil.copytree(self.home, other.home, symlinks=True, copy_function=shutil.copy2)
        if results:
            shutil.copytree(self.work, other.work, symlinks=True, copy_function=shutil.copy2)
        other.work.mkdir(exist_ok=True)
        return other

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        snakemake = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
        snakemake += ["--snakefile", str(self.home / "Snakefile"), "--directory", str(self.work)]
        return [*snakemake, "--configfile", str(self.home / "tests/tiny.yaml"), "--", *arguments]

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.home / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(
        self, *arguments: str, options: tuple[str, ...] = (), cores: int = 2, ok: bool = True
    ) -> str:
        command = self.command(*arguments, cores=cores)
        where = command.index("--")
        command[where:where] = options
        status, output = self.ended(command)
        assert (status == 0) == ok, output
        return output

    def ended(self, command: list[str]) -> tuple[int, str]:
        """Exit status of a command, and what it says."""
        return warm.snakemake(command[3:], self.environment())

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs of a dry run by rule."""
        jobs = jobs_of(self.run(*arguments, options=("--dry-run",)))
        return {rule: count for rule, count in jobs.items() if rule != "all"}

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.home / file).read_text()
        assert text.count(old) == 1, (file, old)
        (self.home / file).write_text(text.replace(old, new))

    def search(self) -> None:
        """Let the learning rates be searched for."""
        self.edit("config/config.yaml", "learning_rates: published\n", "learning_rates: searched\n")

    def runs(self) -> dict[str, Path]:
        folder = self.work / "results/runs"
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.parquet"))}


def jobs_of(output: str) -> dict[str, int]:
    """Jobs by rule that a dry run lists."""
    table = re.search(r"Job stats:\n.*?\n-.*?\n(.*?)\n\n", output, re.S)
    if table is None:
        assert "Nothing to be done" in output
        return {}
    jobs = dict(re.findall(r"^(\S+) +(\d+)$", table[1], re.M))
    return {rule: int(count) for rule, count in jobs.items() if rule != "total"}


def values(path: Path) -> pd.DataFrame:
    """A result without the time it took."""
    return parquet.read(path).drop(columns=["train_seconds", "eval_seconds"], errors="ignore")


def found(path: Path) -> float:
    return float(parquet.provenance(path)["found"]["lr"])
