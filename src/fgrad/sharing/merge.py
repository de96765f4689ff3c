"""Two files that hold one result, or different seeds of one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fgrad.errors import SHORT
from fgrad.sharing import archive
from fgrad.store import identity, parquet

MAKERS = ("commit", "machine", "device", "threads", "versions", "start", "end")
"""What is kept of each file that was put together."""


def difference(here: Path, other: Path) -> str:
    """What another file is not that is the result here, in words; empty if it is the same result.

    When and on what it was computed makes no difference, nor how long that took.

    Args:
        here: a result, with which nothing is `fgrad.sharing.results.wrong`.
        other: another one.
    """
    made, also = parquet.provenance(here), parquet.provenance(other)
    run, theirs = identity.defining(made["run"]), identity.defining(also["run"])
    for name in run | theirs:
        if run.get(name) != theirs.get(name):
            values = [SHORT.repr(one.get(name)) for one in (run, theirs)]
            return f"{archive.shown(name)} = {values[0]} here, {values[1]} in the bundle"
    if made.get("code") != also.get("code"):
        codes = [SHORT.repr(one.get("code")) for one in (made, also)]
        return f"made by code {codes[0]} here, by {codes[1]} in the bundle"
    return _values(parquet.table(here), parquet.table(other))


def _values(table: pa.Table, other: pa.Table) -> str:
    if table.num_rows != other.num_rows or table.column_names != other.column_names:
        return "other rows or columns in the bundle"
    for name in table.column_names:
        if not name.endswith("_seconds") and not _equal(table[name], other[name]):
            return f"other values of {archive.shown(name)} in the bundle"
    return ""


def _equal(column: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """As `pyarrow`, for which no NaN is another one."""
    same = column.fill_null(float("nan")).to_numpy() if pa.types.is_floating(column.type) else None
    if same is None:
        return bool(column.equals(other))
    there = other.fill_null(float("nan")).to_numpy() if column.type == other.type else None
    return there is not None and np.array_equal(same, there, equal_nan=True)


def by_seeds(here: Path, other: Path, target: Path) -> list[int] | None:
    """Put two results together that differ in their seeds alone, in the order of the seeds.

    Args:
        here: a result of section 4.2 or 4.3, with which nothing is `fgrad.sharing.results.wrong`.
        other: another one.
        target: where both together are written; what each was is recorded.

    Returns:
        Seeds that the other has besides; without any, nothing is written. Nothing if they cannot be
        put together: options, code, torch or the values of seeds that both have are not the same.

    Raises:
        ConfigError: if it cannot be written.
    """
    made, also = parquet.provenance(here), parquet.provenance(other)
    if not _differ_in_seeds(made, also):
        return None
    table, theirs = parquet.table(here), parquet.table(other)
    if not table.schema.equals(theirs.schema):
        return None
    both = sorted({*made["run"]["seeds"]} & {*also["run"]["seeds"]})
    if _values(_of(table, both), _of(theirs, both)):
        return None
    new = sorted({*also["run"]["seeds"]} - {*both})
    if not new:
        return new
    joined = pa.concat_tables([table, _of(theirs, new)])
    angles = list(made["run"]["angle"])
    place = [
        (angles.index(angle) if angle in angles else -1, seed)
        for angle, seed in zip(*(joined[c].to_pylist() for c in ("angle_deg", "seed")), strict=True)
    ]
    rows = sorted(range(len(place)), key=place.__getitem__)  # steps stay in their order
    joined = joined.take(pa.array(rows)).replace_schema_metadata(table.schema.metadata)
    parquet.save(target, joined, _recorded(made, also, new), ["value"])
    return new


def _of(table: pa.Table, seeds: Sequence[int]) -> pa.Table:
    return table.filter(pc.is_in(table["seed"], pa.array(seeds, table.schema.field("seed").type)))


def _differ_in_seeds(made: Mapping[str, Any], also: Mapping[str, Any]) -> bool:
    runs = [{k: v for k, v in one["run"].items() if k != "seeds"} for one in (made, also)]
    torch = [one["versions"].get("torch") for one in (made, also)]
    known = made.get("code") is not None and made.get("code") == also.get("code")
    return known and runs[0] == runs[1] and torch[0] == torch[1] and "seeds" in also["run"]


def _recorded(made: Mapping[str, Any], also: Mapping[str, Any], new: list[int]) -> dict[str, Any]:
    """What is recorded of both together."""
    parts = [
        [{"seeds": one["run"]["seeds"]} | {name: one.get(name) for name in MAKERS}]
        if "merged" not in one
        else one["merged"]
        for one in (made, also)
    ]
    stops = [*made["stop"], *(one for one in also["stop"] if one["seed"] in new)]
    angles = list(dict.fromkeys(one["angle_deg"] for one in stops))
    stops.sort(key=lambda one: (angles.index(one["angle_deg"]), one["seed"]))
    seeds = sorted({*made["run"]["seeds"], *also["run"]["seeds"]})
    return dict(made) | {
        "run": made["run"] | {"seeds": seeds},
        "stop": stops,
        "start": min(made["start"], also["start"]),
        "end": max(made["end"], also["end"]),
        "merged": [*parts[0], *(one for one in parts[1] if {*one["seeds"]} & {*new})],
    }
