"""What lies behind a figure, as plain values: rows of the summary, and the runs behind these."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from fgrad.plugins import short
from fgrad.store import parquet

NAMES = (
    "function", "model", "width", "dataset", "n", "aggregation", "normalized", "gradient", "k",
    "angle_deg", "step", "epoch", "trial", "lr", "count",
)  # fmt: skip
"""Columns that say what a row of a summary is of, in the order they are shown."""

OPTIONS = {
    "function": "function", "model": "model", "width": "width", "dataset": "dataset", "n": "n",
    "gradient": "gradient", "k": "k", "angle_deg": "angle", "aggregation": "aggregations",
}  # fmt: skip
"""Such a column → the option of runs that its values are of: one value, or a list of several."""


def of_summary(frame: pd.DataFrame, values: Sequence[str]) -> dict[str, Any]:
    """The rows of a summary, column by column.

    Args:
        frame: the summary.
        values: what is shown of it: described over seeds or samples (``…_mean``) or plain columns.

    Returns:
        ``rows`` (how many), ``names`` (column → its values) and ``values`` (value → its ``mean``,
        ``low`` and ``high``, or only ``value``); values of a column are a list, or ``of`` (the
        different ones) and ``at`` (which one each row has).
    """
    found: dict[str, Any] = {"rows": len(frame), "names": {}, "values": {}}
    for name in NAMES:
        if name in frame and frame[name].notna().any():
            found["names"][name] = _packed([_plain(one) for one in frame[name]])
    for value in values:
        ends = {end: f"{value}_{end}" for end in ("mean", "low", "high")}
        parts = ends if ends["mean"] in frame else {"value": value}
        found["values"][value] = {
            part: _packed([_plain(one) for one in frame[column]]) for part, column in parts.items()
        }
    return found


def of_runs(paths: Iterable[str], made: list[list[str]]) -> list[dict[str, Any]]:
    """Runs as their files say they are.

    Args:
        paths: of the files.
        made: device, commit and versions of runs, each once; new ones are added.

    Returns:
        Of each ``file``, ``is`` (column → the option it is of), ``lr``, ``seconds``, ``made``
        (number among ``made``) and ``ends``: seed, angle and why it stopped, of each seed.
    """
    found = []
    for path in paths:
        known = parquet.provenance(path)
        run = known["run"]
        versions = ", ".join(f"{name} {one}" for name, one in known["versions"].items())
        how = [str(known.get("device", "")), str(known.get("commit") or "unknown"), versions]
        if how not in made:
            made.append(how)
        begun, ended = (datetime.fromisoformat(known[name]) for name in ("start", "end"))
        one = {"file": path, "is": _options(run), "lr": run.get("lr") or _found(known)}
        one |= {"seconds": (ended - begun).total_seconds(), "made": made.index(how)}
        found.append(one | {"ends": _ends(known, run)})
    return found


def _options(run: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is of, as columns of summaries have it: the same short names, the same digits."""
    own = {column: run[option] for column, option in OPTIONS.items() if option in run}
    if "aggregation" in own:  # of quality; the rows of an approach have its name
        own["aggregation"] = (
            [run["name"]] if "name" in run else [*own["aggregation"], *run.get("normalized", ())]
        )
    return {
        column: [_plain(one) for one in value] if isinstance(value, list) else _plain(value)
        for column, value in own.items()
        if value not in (None, [])
    }


def _found(known: Mapping[str, Any]) -> float | None:
    rate: float | None = (known.get("found") or {}).get("lr")
    return rate


def _ends(known: Mapping[str, Any], run: Mapping[str, Any]) -> list[list[Any]]:
    stop = known.get("stop") or "completed"
    if isinstance(stop, str):
        seeds = run.get("seeds") or [run.get("seed")]
        return [[seed, None, stop] for seed in seeds]
    return [
        [one["seed"], _plain(one.get("angle_deg")), f"{one['stop']} after {one['steps']:,} steps"]
        for one in stop
    ]


def _plain(value: Any) -> Any:
    """What JSON can hold, of a float five digits."""
    if pd.isna(value):
        return None
    if isinstance(value, str):
        return short(value)
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    number = float(value)
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return int(number) if number.is_integer() and abs(number) < 2**53 else float(f"{number:.5g}")


def _packed(values: list[Any]) -> Any:
    different = list(dict.fromkeys(values))
    if len(different) > len(values) // 4:
        return values
    at = {one: number for number, one in enumerate(different)}
    return {"of": different, "at": [at[one] for one in values]}
