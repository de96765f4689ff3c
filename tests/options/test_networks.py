"""Options of a training: what is refused, and in which words."""

import math
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from fgrad import validation
from fgrad.errors import ConfigError
from fgrad.gradients.approach import APPROACHES
from fgrad.options.networks import TrainRun

PLAIN = dict[str, Any](model="fc", width=16, gradient="frog", k=4, lr=0.05, epochs=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "vgg"}, "model = 'vgg': unknown model; allowed: fc, lenet5, resnet18, vit, mlpmixer"),
        ({"dataset": "imagenet"}, "dataset = 'imagenet': unknown dataset; allowed: mnist, fashion-mnist, cifar10, svhn, mnist5k"),
        ({"gradient": "spsa"}, "unknown gradient; allowed: bp, fg-mean, frog"),
        ({"mode": "reverse"}, "mode = 'reverse': Input should be 'sim' or 'fwad'"),
        ({"perturb": "inputs"}, "perturb = 'inputs': Input should be 'activations' or 'weights'"),
        ({"optimizer": "lbfgs"}, "'sgd', 'nesterov', 'adam' or 'adamw'"),
        ({"schedule": "warmup"}, "'constant', 'exponential', 'steps', 'cosine' or 'plateau'"),
        ({"model": "resnet18"}, "width = 16: model resnet18 has none, only fc"),
        ({"k": None}, "gradient frog with k = None: it needs k"),
        ({"gradient": "bp"}, "gradient bp with k = 4: it takes no tangents"),
        ({"sampling": "exact"}, "sampling exact needs perturb weights, mode sim"),
        ({"sampling": "exact", "perturb": "weights", "mode": "fwad"}, "sampling exact needs"),
        ({"sampling": "exact", "perturb": "weights", "gradient": "m", "approach": {"aggregation": "max"}}, "sampling exact needs"),
        ({"precision": "bf16", "mode": "fwad"}, "precision bf16 needs mode sim"),
        ({"gradient": "a", "approach": {"aggregation": "mean", "sampler": "angle"}}, "tangents at an angle are for"),
        ({"device": "tpu"}, "device = 'tpu'"),
        ({"gpu_slots": 0}, "gpu_slots = 0"),
        ({"gpu_slots": 65}, "gpu_slots = 65"),
        ({"epochs": -1}, "epochs = -1"),
        ({"patience": 0}, "patience = 0"),
        ({"batch": 0}, "batch = 0"),
        ({"lr": 0}, "lr = 0"),
        ({"lr": math.nan}, "lr = nan"),
        ({"lr": math.inf}, "lr = inf"),
        ({"seed": -1}, "seed = -1"),
        ({"chunk": 0}, "chunk = 0"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes = -1"),
        ({"epoch": 3}, "epoch = 3: unknown key"),
        ({"experiment": "a/b"}, "experiment = 'a/b'"),
    ],
)  # fmt: skip
def test_wrong_options_say_what_is_allowed(change, message):
    with pytest.raises(ConfigError) as caught:
        validation.validate(TrainRun, PLAIN | change, "config.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("config.yaml: ")
    assert "\n" not in str(caught.value)


def test_options_are_frozen_and_survive_json():
    r = TrainRun(**PLAIN | {"approach": APPROACHES["frog"]}, chunk=3)
    assert TrainRun.model_validate_json(r.model_dump_json()) == r
    with pytest.raises(ValidationError):
        r.lr = 1  # type: ignore[misc]  # which is refused


def test_torch_is_not_imported_for_the_options():
    code = "import sys, fgrad.options.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
