"""Which run of one side is compared with which of the other, and how far their values are apart.

Runs are paired by their paths, observations by the columns that tell them apart. What a run has of
one row and one seed is a *part*: identical, equal, apart, or on one side only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fgrad.comparing import columns
from fgrad.comparing.sides import Result
from fgrad.store import identity

Row = tuple[tuple[str, Any], ...]
"""A row of a section's table: the columns that are not empty, with their values."""

IDENTICAL, EQUAL, APART, ONLY_A, ONLY_B = "identical", "equal", "apart", "only in A", "only in B"

FIRST_STEPS, MOVED = 10, 1e-3
"""In so many steps rounding does not grow to such a part of the way that a descent has come."""

UNTRAINED = 10
"""Tolerances that losses of networks may be apart before any step."""

EXTENT = {"seeds", "samples", "first", "steps", "epochs", "patience"}
"""Options that say how many numbers there are, not which."""

DRAWN_BY = ("device", "machine")
"""What is known of a run beside its options on which the numbers that it draws depend."""


@dataclass(frozen=True)
class Part:
    """What a run has of one row and one seed.

    Args:
        section: of the run.
        row: of the table.
        run: path of the run below that of all runs.
        seed: where rows have several.
        found: `IDENTICAL`, `EQUAL`, `APART`, `ONLY_A` or `ONLY_B`.
        from_start: whether it is apart by more than rounding can be, see `from_start`.
    """

    section: str
    row: Row
    run: str
    seed: int | None
    found: str
    from_start: bool = False


def compared(a: Result, b: Result) -> list[Part]:
    """The parts of a run that both sides have."""
    keys = [name for name in (*columns.ROW, *columns.INDEX) if name in a.frame and name in b.frame]
    if a.frame[keys].equals(b.frame[keys]) and _same_bits(a.frame, b.frame):
        return alone(a, IDENTICAL)
    places = _places(a.frame, b.frame, keys)
    both = (places["a"] >= 0) & (places["b"] >= 0)
    x = a.frame.iloc[places.loc[both, "a"]].reset_index(drop=True)
    y = b.frame.iloc[places.loc[both, "b"]].reset_index(drop=True)
    unit = _units(x)
    bits, apart = np.zeros(len(places), dtype=bool), np.full(len(places), np.inf)
    bits[both], apart[both] = True, 0.0
    for name in columns.values(x):
        if name in y:
            bits[both] &= columns.same_bits(x[name], y[name])
            off = columns.deviation(name, x[name], y[name], unit.get(name, 1.0))
            apart[both] = np.maximum(apart[both], off)
    places = places.assign(bits=bits, apart=apart)
    places.loc[both, "place"] = np.arange(both.sum())
    drawn_alike = same_draws(a.known, b.known)
    found = []
    for row, seed, part in split(places):
        if (part["b"] < 0).all() or (part["a"] < 0).all():
            where = ONLY_A if (part["b"] < 0).all() else ONLY_B
            found.append(Part(a.section, row, a.run, seed, where))
            continue
        what = IDENTICAL if part["bits"].all() else EQUAL if part["apart"].max() <= 1 else APART
        common = part["place"].dropna().astype(int)
        early = (
            what == APART
            and drawn_alike
            and from_start(x.iloc[common], y.iloc[common], part.loc[common.index, "apart"])
        )
        found.append(Part(a.section, row, a.run, seed, what, early))
    return found


def alone(one: Result, found: str) -> list[Part]:
    """The parts of a run, all of which are found to be the same, such as on one side only."""
    return [Part(one.section, row, one.run, seed, found) for row, seed, _ in split(one.frame)]


def split(frame: pd.DataFrame) -> Iterator[tuple[Row, int | None, pd.DataFrame]]:
    """The rows and seeds that a result has something of."""
    names = columns.rows(frame)
    by = [*names, *(["seed"] if "seed" in frame else [])]
    for key, part in frame.groupby(by, dropna=False, sort=False):
        named: dict[str, Any] = dict(zip(by, key, strict=True))
        seed = int(named.pop("seed")) if "seed" in named else None
        yield row_of(named), seed, part


def row_of(named: Mapping[str, Any]) -> Row:
    """A row as plain values, without the columns that are empty."""
    plain = {n: v.item() if isinstance(v, np.generic) else v for n, v in named.items()}
    return tuple((n, v) for n, v in plain.items() if not pd.isna(v))


def same_draws(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two runs draw the same random numbers, by what is recorded of them.

    They have the same options but for `EXTENT`, the same kind of device and machine, and the same
    version of torch, which promises no more.
    """

    def drawn_by(known: Mapping[str, Any]) -> list[Any]:
        options = identity.defining(known["run"])
        versions = known.get("versions") or {}
        named = [known.get(name) for name in DRAWN_BY]
        return [{n: v for n, v in options.items() if n not in EXTENT}, versions.get("torch"), named]

    return drawn_by(a) == drawn_by(b)


def from_start(x: pd.DataFrame, y: pd.DataFrame, apart: pd.Series) -> bool:
    """Whether values that were made of the same draws are apart before rounding could have grown.

    Args:
        x: what one side has of a row and seed.
        y: the other, observation by observation.
        apart: in tolerances.

    Returns:
        Of a descent whether its first steps differ by `MOVED`; of a training whether its losses do
        before any step; of samples, none of which hangs on another, whether half of them are apart.
    """
    kind = columns.kind(x)
    if kind == "quality":
        return bool((apart > 1).mean() > 0.5)
    if kind == "training":
        return bool((apart[(x["epoch"] == 0).to_numpy()] > UNTRAINED).any())
    if kind != "descent" or not (x["step"] == 0).any():
        return False
    first = (x["step"] <= FIRST_STEPS).to_numpy()
    u, v = (side["value"].to_numpy(dtype=float)[first] for side in (x, y))
    finite = np.isfinite(u)
    if (finite != np.isfinite(v)).any():
        return True
    u, v = u[finite], v[finite]
    if not len(u):
        return False
    way = np.maximum(np.abs(u - u[0]), np.abs(v - v[0]))
    rounding = columns.TOLERANCES["value"][1] * np.maximum(np.abs(u), np.abs(v))
    return bool((np.abs(u - v) > MOVED * way + rounding).any())


def _same_bits(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether all values are the same to the last bit, of observations in the same order."""
    common = [name for name in columns.values(a) if name in b]
    return all(columns.same_bits(a[name], b[name]).all() for name in common)


def _places(a: pd.DataFrame, b: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Where each observation stands on both sides; −1 where it is not."""
    x, y = (side[keys].assign(nth=0) for side in (a, b))
    if a[keys].equals(b[keys]):
        return x.assign(a=np.arange(len(a)), b=np.arange(len(b)))
    for side in (x, y):
        if side[keys].duplicated().any():
            side["nth"] = side.groupby(keys, dropna=False).cumcount()
    x, y = x.assign(a=np.arange(len(a))), y.assign(b=np.arange(len(b)))
    merged = x.merge(y, on=[*keys, "nth"], how="outer", sort=False)
    return merged.fillna({"a": -1, "b": -1}).astype({"a": int, "b": int})


def _units(x: pd.DataFrame) -> dict[str, columns.Floats]:
    """By column, what its absolute tolerance is multiplied by; see `columns.UNITS`."""
    if "true_norm" in x:
        norm = x["true_norm"].to_numpy(dtype=float)
        return dict.fromkeys(("estimate_norm", "difference_norm", "dot"), norm)
    if columns.kind(x) == "descent":
        by = [*columns.rows(x), "seed"]
        start = x.groupby(by, dropna=False, sort=False)["value"].transform("first")
        return {"value": start.to_numpy(dtype=float)}
    return {}
