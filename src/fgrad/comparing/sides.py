"""The two sides of a comparison: folders of results, or bundles of them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fgrad.comparing import columns
from fgrad.errors import ConfigError
from fgrad.sharing.unpack import unpack
from fgrad.store import files, parquet


@dataclass(frozen=True)
class Side:
    """Results of one side.

    Args:
        name: as it was given.
        paths: file of each run, by its path below the folder of all runs without the ending.
        paper: folder of tables and claims, which need not be there.
    """

    name: str
    paths: dict[str, Path]
    paper: Path


@dataclass(frozen=True)
class Result:
    """What is compared of the file of a run.

    Args:
        run: its path below the folder of all runs, without the ending.
        path: the file.
        frame: its columns but for times; no rows where none was asked for.
        known: its provenance.
    """

    run: str
    path: Path
    frame: pd.DataFrame
    known: dict[str, Any]

    @property
    def section(self) -> str:
        """Its section."""
        return section(self.run)


@contextmanager
def opened(given: Path) -> Iterator[Side]:
    """A side, whose files are there within the block.

    Args:
        given: a folder as `fgrad.load` takes it, or the file of a bundle.

    Raises:
        ConfigError: if it is neither, or has no results.
    """
    if given.is_file():
        if given.suffix != ".zip":
            raise ConfigError(f"{given}: a folder of results or a bundle (.zip) is needed")
        with tempfile.TemporaryDirectory(prefix="fgrad-compare-") as folder:
            beside = unpack(given, Path(folder)).beside
            yield _side(given, Path(folder), beside / "results/paper")
    else:
        yield _side(given, given)


def _side(given: Path, folder: Path, paper: Path | None = None) -> Side:
    if not folder.is_dir():
        raise ConfigError(f"{given}: no such folder or bundle")
    inner = (folder / name for name in ("results/runs", "runs") if (folder / name).is_dir())
    root = next(inner, folder)
    found = files.results_below(root)
    if not found:
        raise ConfigError(f"{given}: no results; a folder with results/runs or a bundle is needed")
    paths = {path.relative_to(root).with_suffix("").as_posix(): path for path in found}
    return Side(str(given), paths, paper or root.absolute().parent / "paper")


def section(name: str) -> str:
    """The section that a run belongs to: the folder below that of all runs.

    >>> section("functions/sphere/n64/bp"), section("mine")
    ('functions', 'runs')
    """
    first, slash, _ = name.partition("/")
    return first if slash else "runs"


def read(run: str, path: Path) -> Result:
    """A result.

    Args:
        run: path of the run below that of all runs.
        path: of its file.

    Raises:
        ConfigError: if it is damaged, or no result of this project.
    """
    known = parquet.provenance(path)
    frame = parquet.read(path)
    if not isinstance(known.get("run"), dict) or not columns.kind(frame) or frame.empty:
        raise ConfigError(f"{path}: no result of this project, it does not say what it is")
    if lacking := [name for name in columns.CORE[columns.kind(frame)] if name not in frame]:
        raise ConfigError(f"{path}: a result without {', '.join(lacking)}")
    return Result(
        run, path, frame.drop(columns=[n for n in map(str, frame) if columns.is_time(n)]), known
    )
