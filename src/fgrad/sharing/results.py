"""Whether a file is a whole result of the run that its path says, asked before it is trusted."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fgrad.errors import SHORT, ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.plan.runs import sections_of
from fgrad.sharing import archive, names
from fgrad.sharing.manifest import PROJECT
from fgrad.store import parquet
from fgrad.store.schemas import FLOAT, INT
from fgrad.validation import describe

SEVERAL = sections_of(FunctionRun)
"""Sections whose files hold several seeds, each of which is what it is whatever is beside it."""

DEEP = 32
"""Levels of what is recorded, at most."""


class _Said(BaseModel):
    """Something that a result records, beside what else it does."""

    model_config = ConfigDict(strict=True)


class _Maker(_Said):
    code: str | None = None
    commit: str | None = None


class _Seeds(_Said):
    seeds: Annotated[list[int], Field(min_length=1)]


class _Options(_Seeds):
    angle: list[float]


class _Stop(_Said):
    seed: int
    angle_deg: float | None


class _Descents(_Maker):
    """Of a file of `SEVERAL`, what it takes to put it together with another one."""

    run: _Options
    stop: list[_Stop]
    start: str
    end: str
    merged: list[_Seeds] = []


def wrong(path: Path, name: str) -> str:
    """Why a file is not a whole result of the run that its name says; empty if it is one.

    Args:
        path: the file.
        name: its path below a working folder.
    """
    try:
        made, table = parquet.provenance(path), parquet.table(path)
    except ConfigError as error:
        said = str(error).removeprefix(f"{path}: ").replace(parquet.ADVICE, "")
        return archive.plain(said)
    run = made.get("run")
    if not isinstance(run, dict) or not isinstance(made.get("versions"), dict):
        return f"no result of {PROJECT}: it does not say what it is"
    recorded = {key: value for key, value in made.items() if key != "sources"}
    if any(map(archive.controls, _texts([recorded, table.column_names]))):
        return "control characters, or too many levels, in what it records"
    if not names.fits(name, run):
        return "the result of another run than its name says"
    several = name.split("/")[2] in SEVERAL
    return _unknown(made, _Descents if several else _Maker) or _other_rows(table, run, several)


def _unknown(made: Mapping[str, Any], kind: type[_Said]) -> str:
    """What is wrong with what it records, beside its options."""
    try:
        kind.model_validate(made)
    except ValidationError as error:
        return describe("it records", error).splitlines()[0]
    return ""


def _other_rows(table: pa.Table, run: Mapping[str, Any], several: bool) -> str:
    """What is wrong with the seeds of its rows; a run of one seed may have no rows."""
    columns = dict(zip(table.column_names, table.schema.types, strict=True))
    if several and (columns.get("seed"), columns.get("angle_deg")) != (INT, FLOAT):
        return "no columns of seeds and angles"
    if columns.get("seed") != INT:
        return ""
    there = set(pc.unique(table["seed"]).to_pylist())
    said = run.get("seeds", [run.get("seed")])
    known = {one for one in said if isinstance(one, int)} if isinstance(said, list) else {None}
    if there == known or ("seeds" not in run and not there):
        return ""
    return f"rows of seeds {SHORT.repr([*there])}, where its options say {SHORT.repr(said)}"


def _texts(values: object) -> Iterator[str]:
    """Every text in plain values, names too; of levels beyond `DEEP` one that nobody may have."""
    waiting = [(values, 0)]
    while waiting:
        value, level = waiting.pop()
        if isinstance(value, str):
            yield value
        elif level > DEEP:
            yield "\0"
        elif isinstance(value, dict):
            waiting += [(one, level + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list):
            waiting += [(one, level + 1) for one in value]
