"""Tables of the searches for the learning rates of sections 4.2 to 4.5."""

import math

import pandas as pd

from fgrad.paper.tables.digits import DIVERGED, number, plus_minus, shortest
from fgrad.paper.tables.latex import Column
from fgrad.paper.tables.table import Table, method, named, network

ROW = ["experiment", "model", "width", "dataset", "function", "n", "gradient", "k", "angle_deg"]


def found(summary: pd.DataFrame) -> Table:
    """Learning rate that the search of each row found, and whether a wider range is wanted.

    ``within`` is the number of rates within the margin of the best, ``tried`` that of all; the
    ``note`` flags a best rate at the edge, beyond which none was tried even after the range had
    been ``widened``, and a constant function.
    """
    frame = summary[summary["selected"]].reset_index(drop=True)
    frame["note"] = frame["edge"].map({"": "", "low": "low edge", "high": "high edge"})
    varies = frame["start"] > frame["minimum"]
    frame["note"] = frame["note"].where(varies, "degenerate")
    frame["loss"] = frame["loss"].where(varies)
    frame["published_lr"] = frame["published"]
    own = ["lr", "published_lr", "loss", "within", "tried", "widened", "note"]
    data = frame[[*_named(frame), *own]]
    words = {True: "yes", False: ""}
    columns = [
        *_rows(frame),
        Column("found", tuple(map(shortest, frame["lr"]))),
        Column("published", tuple(map(shortest, frame["published_lr"]))),
        Column("loss", tuple(map(number, frame["loss"]))),
        Column("within", tuple(map(str, frame["within"]))),
        Column("tried", tuple(map(str, frame["tried"]))),
        Column("widened", tuple(words[bool(one)] for one in frame["widened"]), text=True),
        Column("note", tuple(frame["note"]), text=True),
    ]
    return Table(data, tuple(columns))


def comparison(summary: pd.DataFrame) -> Table:
    """Found and published learning rate of each row, and what they reach on the same fresh seeds.

    Final values or validation losses, mean ± standard deviation; how often a rate diverges is added
    where it does. The ratio, with its 95 % interval, is of what is above the minimum, found over
    published.
    """
    frame = summary.reset_index(drop=True)
    frame.loc[frame["degenerate"], "verdict"] = "degenerate"
    sides = ("found", "published")
    own = [f"{side}_{of}" for side in sides for of in ("lr", "mean", "std", "diverged")]
    own += ["ratio", "ratio_low", "ratio_high", "verdict"]
    columns = _rows(frame)
    for side in sides:
        columns.append(Column("rate", tuple(map(shortest, frame[f"{side}_lr"])), under=side))
        reached = frame[[f"{side}_{of}" for of in ("lr", "mean", "std", "diverged")]]
        cells = tuple(_reached(*row) for row in reached.itertuples(index=False))
        columns.append(Column("reaches", cells, under=side))
    ratios = frame[["ratio", "ratio_low", "ratio_high"]].itertuples(index=False)
    columns.append(Column("ratio", tuple(_ratio(*row) for row in ratios)))
    columns.append(Column("verdict", tuple(frame["verdict"]), text=True))
    return Table(frame[[*_named(frame), *own]], tuple(columns))


def _named(frame: pd.DataFrame) -> list[str]:
    """The columns that name a row, of those that are not empty."""
    return [name for name in ROW if name in frame and frame[name].notna().any()]


def _rows(frame: pd.DataFrame) -> list[Column]:
    """Columns that name the rows: function, n and angle, or the network; and the gradient."""
    rows = list(frame.itertuples(index=False))
    methods = tuple(method(row.gradient, getattr(row, "k", math.nan)) for row in rows)
    if "function" in frame:
        columns = named(frame, ["function", "n", "angle_deg"])
    else:
        columns = [Column("network", tuple(map(network, rows)), names=True, text=True)]
    return [*columns, Column("gradient", methods, names=True, text=True)]


def _reached(lr: float, mean: float, std: float, diverged: int) -> str:
    if math.isnan(lr):
        return ""
    if math.isnan(mean):
        return DIVERGED
    return plus_minus(mean, std) + (f" ({int(diverged)} diverged)" if diverged else "")


def _ratio(mean: float, low: float, high: float) -> str:
    if math.isnan(mean):
        return ""
    interval = "" if math.isnan(low) else f" ({number(low, 3)} to {number(high, 3)})"
    return number(mean, 3) + interval
