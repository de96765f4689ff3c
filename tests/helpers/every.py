"""The six kinds of gradient of a network, and what a refusal looks like."""

from collections.abc import Callable
from typing import Any

import pytest
from chains import ALL_FOUR
from torch import nn

from fgrad.gradients.perturbation import Perturbation

EVERY = [*ALL_FOUR, ("activations", "bp"), ("weights", "exact")]


def made(net: nn.Module, perturb: Any, mode: Any, k: int = 3, **options: Any) -> Perturbation:
    """A gradient of one of the six kinds."""
    if mode == "bp":
        return Perturbation(net, "bp", perturb=perturb, **options)
    sampling: Any = {"exact": "exact"}.get(mode, "explicit")
    mode = {"exact": "sim"}.get(mode, mode)
    return Perturbation(net, "frog", k, perturb=perturb, mode=mode, sampling=sampling, **options)


def refused(match: str, call: Callable[..., object], *args: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
