"""Tables of the paper as LaTeX, CSV and Markdown."""

import math
import re
from pathlib import Path

import pandas as pd

from fgrad.store.files import atomic

FUNCTION = ["function", "n", "angle_deg"]
NETWORK = ["model", "width", "dataset"]


def learning_rates(summary: pd.DataFrame) -> pd.DataFrame:
    """Learning rates as in the paper's appendix.

    A row for each function, n and angle, or for each model, width and data set.
    """
    frame = summary.copy()
    frame["method"] = _methods(frame)
    index = _present(frame, [*FUNCTION, *NETWORK])
    return _wide(frame, index, "lr")


def final_values(summary: pd.DataFrame) -> pd.DataFrame:
    """Final value, mean ± standard deviation over the seeds, for each function, n and gradient."""
    frame = summary[~summary["degenerate"]].copy()
    frame["method"] = _methods(frame)
    frame["cell"] = _plus_minus(frame, "final")
    index = ["function", "n"] + (["angle_deg"] if frame["angle_deg"].notna().any() else [])
    return _wide(frame, index, "cell")


def stops(summary: pd.DataFrame) -> pd.DataFrame:
    """Best value, steps and stop reasons for each function, n and gradient."""
    columns = ["function", "n", "gradient", "k", "angle_deg", "lr"]
    frame = summary[
        [*columns, "best_mean", "steps_mean", "completed", "stalled", "diverged"]
    ].copy()
    frame = frame.rename(columns={"best_mean": "best", "steps_mean": "steps"})
    for column in ("completed", "stalled", "diverged"):
        frame[column] = frame[column].astype(int)
    if frame["angle_deg"].isna().all():
        frame = frame.drop(columns="angle_deg")
    return frame


def accuracy(summary: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy in %, mean ± standard deviation over the seeds, at the lowest validation loss.

    A row for each model, width and data set, a column for each gradient and k; how many seeds
    diverged in the end is added where some did.
    """
    frame = summary.copy()
    frame["method"] = _methods(frame)
    columns = ["test_accuracy_mean", "test_accuracy_std", "diverged"]
    frame["cell"] = [_percent(*cell) for cell in frame[columns].itertuples(index=False)]
    return _wide(frame, _present(frame, NETWORK), "cell")


def found(summary: pd.DataFrame) -> pd.DataFrame:
    """Learning rate that the search of each row found, and whether a wider range is wanted.

    ``within`` is the number of rates within the margin of the best, ``tried`` that of all; the
    ``note`` flags a best rate at the edge, beyond which none was tried even after the range had
    been ``widened``, and a constant function.
    """
    frame = summary[summary["selected"]].copy()
    row = _present(frame, [*FUNCTION, *NETWORK, "gradient", "k"])
    frame["note"] = frame["edge"].map({"": "", "low": "low edge", "high": "high edge"})
    varies = frame["start"] > frame["minimum"]
    frame["note"] = frame["note"].where(varies, "degenerate")
    frame["loss"] = frame["loss"].where(varies)
    return frame[[*row, "lr", "published", "loss", "within", "tried", "widened", "note"]]


def comparison(summary: pd.DataFrame) -> pd.DataFrame:
    """Found and published learning rate of each row, and what they reach on the same fresh seeds.

    Final values or validation losses, mean ± standard deviation; how often a rate diverges is added
    where it does. The ratio, with its 95 % interval, is of what is above the minimum, found over
    published.
    """
    frame = summary.copy()
    for side in ("found", "published"):
        columns = [f"{side}_{what}" for what in ("lr", "mean", "std", "diverged")]
        cells = frame[columns].itertuples(index=False)
        frame[f"{side}_value"] = [_reached(*cell) for cell in cells]
    ratios = frame[["ratio", "ratio_low", "ratio_high"]].itertuples(index=False)
    frame["ratio"] = [
        ""
        if math.isnan(mean)
        else f"{mean:.3g}" + ("" if math.isnan(low) else f" ({low:.3g} to {high:.3g})")
        for mean, low, high in ratios
    ]
    frame.loc[frame["degenerate"], "verdict"] = "degenerate"
    row = _present(frame, [*FUNCTION, *NETWORK, "gradient", "k"])
    rates = ["found_lr", "published_lr", "found_value", "published_value", "ratio", "verdict"]
    return frame[[*row, *rates]]


def quality(summary: pd.DataFrame) -> pd.DataFrame:
    """Cosine similarity and norm ratio, mean ± standard deviation, by aggregation, k and n."""
    frame = summary.copy()
    tangents = frame["normalized"].map({False: "", True: ", unit tangents"})
    frame["aggregation"] = frame["aggregation"] + tangents
    for metric in ("cosine", "norm_ratio"):
        frame[metric] = _plus_minus(frame, metric)
    index = ["aggregation", "k", "n"]
    index += ["angle_deg"] if frame["angle_deg"].notna().any() else []
    return frame[[*index, "count", "cosine", "norm_ratio"]].sort_values(index, kind="stable")


def write(
    frame: pd.DataFrame, csv: str, markdown: str, latex: str, caption: str, note: str = ""
) -> None:
    """Write a table in the three formats, each whole or not at all.

    Args:
        frame: the table; missing cells are left empty.
        csv: path.
        markdown: path.
        latex: path; a ``longtable`` that needs the packages longtable and booktabs.
        caption: of the LaTeX table, as in `fgrad.paper.contents`.
        note: said below the Markdown and at the end of the caption.
    """
    shown = frame.astype(object).where(frame.notna(), "")
    shown = shown.map(lambda cell: f"{cell:.6g}" if isinstance(cell, float) else str(cell))
    escaped = shown.map(_latex)
    escaped.columns = [_latex(column) for column in frame.columns]
    text = escaped.to_latex(
        index=False,
        longtable=True,
        caption=_latex(_marked(f"{caption} {note}".strip())),
        column_format="l" * len(frame.columns),
    )
    texts = {
        csv: frame.to_csv(index=False),
        markdown: shown.to_markdown(index=False, disable_numparse=True)
        + (f"\n\n{note}\n" if note else "\n"),
        latex: text,
    }
    for path, content in texts.items():
        with atomic(Path(path)) as temporary:
            temporary.write_text(content, encoding="utf-8")


def _marked(caption: str) -> str:
    """The markup of captions, ``*emphasis*`` and double backquotes, as LaTeX."""
    caption = re.sub(r"``(.+?)``", r"\\texttt{\1}", caption)
    return re.sub(r"\*(.+?)\*", r"\\emph{\1}", caption)


def _latex(text: str) -> str:
    return text.replace("±", r"$\pm$").replace("_", r"\_").replace("%", r"\%")


def _methods(frame: pd.DataFrame) -> pd.Series:
    size = frame["k"].map(lambda k: "" if pd.isna(k) else f" k={int(k)}")
    return frame["gradient"] + size


def _plus_minus(frame: pd.DataFrame, value: str) -> list[str]:
    pairs = zip(frame[f"{value}_mean"], frame[f"{value}_std"], strict=True)
    return [_cell(float(mean), float(std)) for mean, std in pairs]


def _reached(lr: float, mean: float, std: float, diverged: int) -> str:
    if math.isnan(lr):
        return ""
    if math.isnan(mean):
        return "diverged"
    return _cell(mean, std) + (f" ({diverged} diverged)" if diverged else "")


def _cell(mean: float, std: float) -> str:
    if math.isinf(mean):
        return "diverged"
    return f"{mean:.4g}" if math.isnan(std) else f"{mean:.4g} ± {std:.2g}"


def _percent(mean: float, std: float, diverged: int) -> str:
    spread = "" if math.isnan(std) else f" ± {100 * std:.2f}"
    return f"{100 * mean:.2f}{spread}" + (f" ({diverged} diverged)" if diverged else "")


def _present(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """The columns that are there and not empty."""
    return [name for name in columns if name in frame and frame[name].notna().any()]


def _wide(frame: pd.DataFrame, index: list[str], values: str) -> pd.DataFrame:
    """One column for each method, in order of appearance."""
    order = list(frame["method"].drop_duplicates())
    rows = frame.drop_duplicates(index)[index]
    wide = frame.pivot(index=index, columns="method", values=values)[order]
    return rows.merge(wide.reset_index(), on=index, how="left").rename_axis(columns=None)
