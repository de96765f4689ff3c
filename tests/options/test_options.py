"""Options of a run: what is refused, and in which words."""

import re

import pytest
from pydantic import ValidationError

from fgrad import validation
from fgrad.errors import ConfigError
from fgrad.options.approach import NamedApproach
from fgrad.options.functions import FunctionRun
from fgrad.options.networks import TrainRun
from fgrad.options.quality import QualityRun
from fgrad.store import files


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gradient": "forg"}, "unknown gradient; allowed: bp, fg-mean, frog"),
        ({"k": None}, "gradient frog with k = None: it needs k"),
        ({"gradient": "bp"}, "gradient bp with k = 4: it takes no tangents"),
        ({"function": "beale"}, "function beale is defined for n = 2"),
        ({"angle": [30], "n": 1}, "tangents at an angle need n of at least 2"),
        (
            {"approach": {"aggregation": "mean", "sampler": "basis"}, "n": 2},
            "2 is the most independ",
        ),
        (
            {"approach": {"aggregation": "max", "scale": True}},
            "scale needs normal tangents and one of",
        ),
    ],
)
def test_inconsistent_function_runs(changes, expected):
    values = {"function": "sphere", "n": 8, "gradient": "frog", "k": 4, "lr": 0.1} | changes
    with pytest.raises(ConfigError, match=re.escape(expected)):
        validation.validate(FunctionRun, values, "run")


@pytest.mark.parametrize(
    "changes",
    [{"normalized": ["mean"]}, {"angle": 30}, {"aggregations": ["max"], "normalized": []}],
)
def test_what_has_no_exact_law(changes):
    values = {"n": [8], "method": "exact", "normalized": []} | changes
    with pytest.raises(ConfigError, match="method exact knows normal tangents"):
        validation.validate(QualityRun, values, "run")


def test_an_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ConfigError, match="is a file; a folder that can be written is needed"):
        files.check_writable(tmp_path / "results")
    files.check_writable(tmp_path / "new" / "results")


def test_values_are_frozen():
    run = QualityRun(n=(4,))
    with pytest.raises(ValidationError):
        run.seed = 3  # type: ignore[misc]  # which is refused


@pytest.mark.parametrize(
    ("model", "values", "new"),
    [
        (NamedApproach, {"aggregation": "mean", "tangents": "basis"}, {"sampler": "basis"}),
        (TrainRun, {"model": "fc", "gradient": "bp", "lr": 1, "tangents": "explicit"}, {"sampling": "explicit"}),
    ],
)  # fmt: skip
def test_keys_of_the_release_before_are_taken_with_a_warning(model, values, new):
    with pytest.warns(FutureWarning, match="tangents is now called"):
        made = model(**values)
    assert made.model_dump() | new == made.model_dump()
    with pytest.raises(ValidationError, match="extra"):
        model(**values, **new)
