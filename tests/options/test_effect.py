"""Nonsense that a configuration or a command line says: options without effect, texts for values."""

import pytest
from configurations import changed, refused

from fgrad.errors import ConfigError
from fgrad.options import effect
from fgrad.options.functions import FunctionRun
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.plan.sections import Gradient
from fgrad.validation import validate

ORTHOGONAL = {"aggregation": "mean", "sampler": "orthogonal", "k": [1]}


@pytest.mark.parametrize(
    ("gradient", "expected"),
    [
        ({"sampler": "basis"}, "sampler basis needs an aggregation"),
        ({"tangents": "basis"}, "sampler basis needs an aggregation"),
        ({"normalize": True}, "normalize True needs an aggregation"),
        ({"independent": True}, "independent True needs an aggregation"),
        ({"scale": True}, "scale needs normal tangents and one of"),
        ({"max_length": 2}, "max_length 2.0 needs an aggregation"),
        ({"aggregation": "mean", "k": [1], "max_length": 2}, "max_length 2.0 needs the sampler orthogonal"),
        (ORTHOGONAL | {"max_length": 2, "normalize": True}, "max_length 2.0 needs tangents that are not normalised"),
        (ORTHOGONAL | {"normalize": True}, "normalize True needs tangents that are not of length 1"),
        (ORTHOGONAL | {"independent": True}, "independent True needs a sampler whose tangents may be dependent"),
        ({"aggregation": "mean", "k": [1], "sampler": "basis", "normalize": True}, "normalize True needs"),
        ({"aggregation": "mean", "k": [1], "sampler": "basis", "independent": True}, "independent True needs"),
        ({"k": [1]}, "k lists the numbers of tangents of an estimate"),
    ],
)  # fmt: skip
# the key of the release before is what is tested
@pytest.mark.filterwarnings("ignore:tangents is now called")
def test_a_gradient_with_an_option_without_effect(gradient, expected):
    (line,) = refused(changed("gradients.own", gradient))
    assert line.startswith("config: gradients.own: ")
    assert expected in line


@pytest.mark.parametrize(
    "gradient",
    [
        {"aggregation": "mean", "k": [1], "max_length": 1, "normalize": True, "independent": True},
        ORTHOGONAL | {"max_length": 2},
        {"aggregation": "projection", "k": [1], "sampler": "rademacher", "normalize": True},
        {"aggregation": None, "sampler": "normal", "scale": False},
    ],
)
def test_what_has_an_effect_or_is_the_default_is_accepted(gradient):
    validate(Gradient, gradient, "gradient")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"chunk": 3}, "chunk 3 needs mode fwad"),
        ({"sampling": "explicit"}, "sampling explicit needs perturb weights and mode sim"),
        ({"sampling": "exact", "perturb": "weights", "mode": "fwad"}, "sampling exact needs perturb weights and mode sim"),
        ({"search": {"pruning": "none", "warmup": 3}}, "warmup 3 needs pruning median"),
        ({"widths": [4], "models": ["lenet5"]}, "widths are for model fc"),
    ],
)  # fmt: skip
def test_a_training_with_an_option_without_effect(options, expected):
    values = changed("networks.fc", {"models": ["fc"], "datasets": ["mnist"], "seeds": [0]})
    values["networks"]["fc"] |= options
    (line,) = refused(values)
    assert line.startswith("config: networks.fc: ")
    assert expected in line


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (TrainRun(model="fc", gradient="bp", lr=1, perturb="weights"), "perturb weights needs tangents"),
        (TrainRun(model="fc", gradient="bp", lr=1, mode="fwad"), "mode fwad needs tangents"),
        (TrainRun(model="fc", gradient="frog", k=2, lr=1, chunk=2), "chunk 2 needs mode fwad"),
        (NetworkSearch(model="fc", gradient="frog", k=2, pruning="none", warmup=2), "warmup 2 needs pruning"),
        (FunctionRun(function="sphere", n=4, gradient="bp", lr=1, mode="fwad"), "mode fwad needs tangents"),
        (FunctionRun(function="sphere", n=4, gradient="frog", k=2, lr=1, mode="fwad"), None),
        (TrainRun(model="fc", gradient="frog", k=2, lr=1, chunk=2, mode="fwad"), None),
    ],
)  # fmt: skip
def test_options_of_a_run(run, expected):
    lines = list(effect.without_effect(run))
    assert len(lines) == (expected is not None)
    assert all(expected in line for line in lines)


@pytest.mark.parametrize(
    ("approach", "angle", "expected"),
    [
        ({"aggregation": "mean", "sampler": "basis"}, [30], "at angles the sampler basis has no effect"),
        ({"aggregation": "mean", "sampler": "angle"}, [], "the sampler angle needs angles"),
    ],
)  # fmt: skip
def test_samplers_and_angles(approach, angle, expected):
    values = {"function": "sphere", "n": 4, "gradient": "own", "k": 2, "lr": 1, "angle": angle}
    with pytest.raises(ConfigError, match=expected):
        validate(FunctionRun, values | {"approach": approach}, "run")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("functions.seeds", True), ("functions.seeds", [True]), ("functions.seeds", ["1"]),
        ("functions.seeds", [1.0]), ("gradients.frog.k", True), ("gradients.frog.k", [True]),
        ("functions.search.range", [True, 2]), ("functions.search.range", ["0.1", 1]),
        ("functions.search.margin", False), ("functions.search.margin", "0.1_0"),
        ("angles.angle", ["45"]), ("angles.angle", [True]), ("quality.job_size", "4194304"),
        ("quality.job_size", 4194304.0), ("functions.patience", "0.1_0"),
        ("networks.fc.augment", "yes"), ("networks.fc.augment", 1), ("networks.fc.augment", "true"),
        ("networks.fc.deterministic", "no"), ("networks.fc.statistics", 0), ("networks.fc.threads", True),
        ("gradients.frog.scale", "yes"), ("gradients.frog.scale", 1), ("gradients.frog.max_length", True),
        ("networks.data_dir", 5), ("networks.fc.epochs", None), ("gradients.frog.aggregation", True),
    ],
)  # fmt: skip
def test_a_value_of_another_kind(path, value):
    """No boolean is a number, no number and no text a boolean, no text a number."""
    (line,) = refused(changed(path, value))
    assert line.startswith(f"config: {path}")
    assert " = " in line


@pytest.mark.parametrize("value", ["1e-6", "1.0e-6", 1e-6, "1E-6"])
def test_a_number_that_yaml_1_1_takes_for_a_text(value):
    search = {"range": [value, 1]}
    assert validate(NetworkSearch, search | {"model": "fc", "gradient": "bp"}, "").range == (
        1e-6,
        1,
    )
