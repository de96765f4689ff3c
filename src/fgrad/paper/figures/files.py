"""Figures written to files that say what they show, and are equal where the figures are."""

import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from fgrad.paper.figures import look
from fgrad.store import parquet
from fgrad.store.files import atomic

KEYS = {
    ".pdf": ("Title", "Subject", "Keywords"),
    ".png": ("Title", "Source", "Description"),
    ".svg": ("Title", "Source", "Description"),
}
"""Format → where the name of a figure, the runs it shows and their options are written."""

WITHOUT = {".pdf": {"CreationDate": None}, ".png": {}, ".svg": {"Date": None}}
"""Format → what is not written, so that figures drawn at other times are equal."""


def save(
    figure: Figure,
    paths: Iterable[str],
    note: str = "",
    shows: Mapping[str, Any] | None = None,
    page: str = "",
) -> None:
    """Write a figure in the formats that its paths end in, each whole or not at all.

    Args:
        figure: what is drawn.
        paths: of the files; .pdf, .png or .svg.
        note: said above the figure.
        shows: what it shows, see `shown`; written into the files.
        page: path of one more SVG, if it is wanted, for `fgrad.paper.page`: its text is text.
    """
    if note:
        figure.suptitle(note, fontsize=look.points(6), color=look.VERMILLION)
    for path in map(Path, paths):
        said = (path.stem, *(_line(part) for part in (shows or {}).values()))
        metadata = dict(zip(KEYS[path.suffix], said, strict=False)) | WITHOUT[path.suffix]
        drawn = BytesIO()  # matplotlib hides what a full file system says
        dots: dict[str, Any] = {"dpi": 200} if path.suffix == ".png" else {}
        figure.savefig(drawn, format=path.suffix[1:], metadata=metadata, **dots)
        with atomic(path) as temporary:
            temporary.write_bytes(drawn.getbuffer())
    if page:
        drawn = BytesIO()
        with rc_context({"svg.fonttype": "none"}):
            figure.savefig(drawn, format="svg", metadata=WITHOUT[".svg"])
        with atomic(page) as temporary:
            temporary.write_bytes(drawn.getbuffer())


def shown(summaries: Iterable[str]) -> dict[str, Any]:
    """What a figure of some summaries shows, as `fgrad.store.identity.record` has it in them.

    Returns:
        ``runs``: by summary, how many, of which commits, and the digest of what they are;
        ``options``: by summary, their options.
    """
    known = {Path(path).stem: parquet.provenance(path) for path in summaries}
    keys = ("made_of", "runs", "commits")
    return {
        "runs": {name: {key: one.get(key) for key in keys} for name, one in known.items()},
        "options": {name: one.get("options") for name, one in known.items()},
    }


def of_result(path: Path) -> dict[str, Any]:
    """The same of a figure of one result."""
    known = parquet.provenance(path)
    return {
        "runs": {key: known.get(key) for key in ("code", "commit")},
        "options": known.get("run"),
    }


def _line(content: Any) -> str:
    return json.dumps(content, ensure_ascii=True)
