"""Tables of sections 4.1 and 4.3: how well gradients are approximated."""

from typing import Any

import pandas as pd

from fgrad.paper.tables.digits import plus_minus
from fgrad.paper.tables.table import Published, Table, as_published, wide, with_published

METRICS = {"cosine": "cosine similarity", "norm_ratio": "norm ratio"}


def quality(summary: pd.DataFrame, published: Published = ()) -> Table:
    """Cosine similarity and norm ratio, mean ± standard deviation, by aggregation, n and k."""
    by = ["aggregation", "normalized", "n", "k", "angle_deg"]
    by = [name for name in by if name != "angle_deg" or summary[name].notna().any()]
    statistics = [f"{metric}_{of}" for metric in METRICS for of in ("mean", "std")]
    data = summary[[*by, "count", *statistics]].sort_values(by, kind="stable", ignore_index=True)
    plain = [{**row, "normalized": False} for row in published]
    for metric in METRICS:
        data = with_published(data, plain, metric, by)
    shown = pd.concat([_of(data, metric, words) for metric, words in METRICS.items()])
    rows = [name for name in ("n", "angle_deg") if name in data]
    if "angle_deg" in rows and data["n"].nunique() == 1:
        rows.remove("n")  # said in the caption
    columns = wide(shown, ["what", *rows], _ours, across=("k",), published=_theirs)
    return Table(data, columns)


def _of(data: pd.DataFrame, metric: str, words: str) -> pd.DataFrame:
    """One metric of each row, with what it is in words."""
    unit = data["normalized"].map({False: "", True: ", unit tangents"})
    own = data.assign(what=words + " of the " + data["aggregation"] + unit)
    for of in ("mean", "std"):
        own[f"ours_{of}"] = data[f"{metric}_{of}"]
        name = f"published_{metric}_{of}"
        own[f"theirs_{of}"] = data[name] if name in data else float("nan")
    return own


def _ours(row: Any) -> str:
    return plus_minus(row.ours_mean, row.ours_std)


def _theirs(row: Any) -> str:
    return as_published(row.theirs_mean, row.theirs_std)
