"""Whether a result lies where a run of its options does, as far as options tell that."""

import re
from collections.abc import Mapping
from typing import Any

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionTask
from fgrad.options.quality import QualityRun
from fgrad.plan.runs import SECTIONS, degrees, method_name
from fgrad.sharing.manifest import RUNS

FILE = re.compile(rf"{RUNS}(?P<section>[a-z_]+)/(?P<name>.+)\.parquet")


NONE = "(?!)"
"""Matches no name."""


def fits(path: str, run: Mapping[str, Any]) -> bool:
    """Whether a run of these options may have this path.

    Args:
        path: of the result, below the working folder.
        run: recorded options.

    Examples:
        >>> run = {"function": "sphere", "n": 4, "gradient": "frog", "k": 2, "angle": []}
        >>> fits("results/runs/functions/sphere/n4/frog_k2.parquet", run)
        True
        >>> fits("results/runs/functions/sphere/n8/frog_k2.parquet", run)
        False
    """
    found = FILE.fullmatch(path)
    if found is None or found["section"] not in SECTIONS:
        return False
    try:
        return re.fullmatch(_pattern(found["section"], run), found["name"]) is not None
    except (ConfigError, LookupError, TypeError, ValueError, OverflowError):  # of another kind
        return False


def _pattern(section: str, run: Mapping[str, Any]) -> str:
    """Names that a run of a section may have."""
    kind = SECTIONS[section]
    if kind is QualityRun:
        return _of_quality(section, run)
    method = method_name(run["gradient"], run["k"])
    if issubclass(kind, FunctionTask):
        name = re.escape(f"{plugins.short(run['function'])}/n{run['n']}/{method}")
        alone = f"(_a{re.escape(degrees(run['angle'][0]))})?" if len(run["angle"]) == 1 else ""
        return name + alone
    width = "" if run["width"] is None else f"_w{run['width']}"
    model, dataset = plugins.short(run["model"]), plugins.short(run["dataset"])
    kind_of, _, experiment = section.rpartition("_")
    end = {
        "search": "",
        "compared": r"/(found|published)/repeat\d+",
        "": f"/seed{run.get('seed')}",
    }[kind_of]
    if experiment != run["experiment"]:
        return NONE
    return re.escape(f"{model}{width}/{dataset}/{method}") + end


def _of_quality(section: str, run: Mapping[str, Any]) -> str:
    if section == "exact":
        return "exact" if run["method"] == "exact" else NONE
    if section == "angle_quality":
        return re.escape(f"a{degrees(run['angle'])}")
    own = f"{run['name']}/" if run.get("approach") else ""
    return re.escape(f"{own}n{run['n'][0]}_") + r"\d+"
