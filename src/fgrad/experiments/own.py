"""What is the user's own, tried on something small before a job that uses it runs."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.experiments.state import build
from fgrad.gradients.perturbation import Perturbation
from fgrad.problems import data
from fgrad.problems.datasets import Dataset
from fgrad.problems.functions import Function
from fgrad.problems.registry import DATASETS


def check(
    kind: str,
    reference: str,
    dataset: str = "",
    reduce: int = 1,
    perturb: Literal["activations", "weights"] = "activations",
    source: Path | None = None,
) -> None:
    """Try it.

    Args:
        kind: as of `fgrad.plan.own.Own`.
        reference: to its file.
        dataset: of a model.
        reduce: likewise.
        perturb: likewise.
        source: folder that a data set is read from.

    Raises:
        ConfigError: in a line, naming what is wrong and what is expected.
    """
    own = plugins.load(reference)
    tries: dict[str, Callable[[], None]] = {
        "aggregation": lambda: _aggregation(own),
        "sampler": lambda: _sampler(own),
        "estimator": lambda: _estimator(own),
        "function": lambda: _function(own),
        "dataset": lambda: _dataset(own, reference, source),
        "model": lambda: _model(reference, dataset, reduce, perturb),
    }
    try:
        tries[kind]()
    except _WrongError as error:
        raise ConfigError(f"{reference}: {error}") from None
    except ConfigError:
        raise
    except Exception as error:  # it may raise anything
        said = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{reference}: as {kind}: {type(error).__name__}: {said}") from error


class _WrongError(Exception):
    """What is wrong, in words."""


def _is(good: bool, what: str) -> None:
    if not good:
        raise _WrongError(what)


def _like(found: object, shape: tuple[int, ...], what: str) -> Tensor:
    """A tensor of finite numbers of that shape."""
    if not isinstance(found, Tensor):
        raise _WrongError(f"gives {type(found).__name__} {what}: a tensor is expected")
    good = tuple(found.shape) == shape and found.is_floating_point()
    _is(good, f"gives {found.dtype} {list(found.shape)} {what}: floats {list(shape)} are expected")
    _is(bool(found.isfinite().all()), f"gives numbers that are not finite {what}")
    return found


def _aggregation(own: Any) -> None:
    _is(callable(own), "an aggregation is a function (tangents, derivatives) → coefficients")
    generator = torch.Generator().manual_seed(0)
    for sets, more in (((), ()), ((2,), ()), ((2,), (4,))):
        tangents = torch.randn(*sets, 3, 5, generator=generator)
        derivatives = torch.randn(*sets, *more, 3, generator=generator)
        before = tangents.clone(), derivatives.clone()
        found = own(tangents, derivatives)
        what = f"for tangents {list(tangents.shape)}, derivatives {list(derivatives.shape)}"
        _like(found, tuple(derivatives.shape), what)
        same = torch.equal(before[0], tangents) and torch.equal(before[1], derivatives)
        _is(same, "changes what it is given")


def _sampler(own: Any) -> None:
    _is(callable(own), "a sampler is a function (size, generator, *, dtype) → tangents")
    if inspect.isclass(own):
        _is(hasattr(own, "update"), "a sampler that keeps state has a method update(estimate)")
        kept: Any = own()
        for entry in (1, 0, 1e-30, 1e30, 1):
            kept.update(torch.full((8,), float(entry)))
            found = kept((3, 8), torch.Generator(), dtype=torch.float32)
            _like(found, (3, 8), f"after an estimate of {entry:g}s")
        plain = (Tensor, int, float, bool, type(None))
        odd = [name for name, value in vars(kept).items() if not isinstance(value, plain)]
        _is(not odd, f"keeps {', '.join(odd)}: tensors, numbers or None are expected")
        own = kept
    world, generator = torch.get_rng_state(), torch.Generator().manual_seed(0)
    for size in ((3, 8), (4, 3, 8), (1, 8)):
        for dtype in (torch.float32, torch.float64):
            found = _like(own(size, generator, dtype=dtype), size, f"for {size}")
            _is(found.dtype == dtype, f"gives {found.dtype} where dtype = {dtype}")
    again = [own((3, 8), torch.Generator().manual_seed(7), dtype=torch.float32) for _ in range(2)]
    _is(torch.equal(*again), "gives other tangents for the same generator")
    untouched = torch.equal(world, torch.get_rng_state())
    _is(untouched, "draws from the global generator; it is given its own")


def _estimator(own: Any) -> None:
    _is(callable(own), "an estimator is a function (f, x, k, generator) → estimate of ∇f(x)")

    def f(x: Tensor) -> Tensor:
        return x.square().sum(-1)

    world = torch.get_rng_state()
    for dtype in (torch.float32, torch.float64):
        x = torch.linspace(0.1, 0.8, 8, dtype=dtype)
        before = x.clone()
        with torch.no_grad():
            each = [own(f, x, 3, torch.Generator().manual_seed(7)) for _ in range(2)]
        found = _like(each[0], (8,), f"at a point [8] of {dtype}")
        _is(found.dtype == dtype, f"gives {found.dtype} at a point of {dtype}")
        _is(torch.equal(x, before), "changes the point it is given")
        _is(torch.equal(*each), "gives another estimate for the same generator")
    untouched = torch.equal(world, torch.get_rng_state())
    _is(untouched, "draws from the global generator; it is given its own")


def _function(own: Any) -> None:
    _is(isinstance(own, Function), f"is {type(own).__name__}: an fgrad.Function is expected")
    n = own.only_n or 4
    x = torch.linspace(0.1, 0.9, 3 * n).reshape(3, n).requires_grad_()
    value = _like(own.value(x), (3,), f"for points [3, {n}]")
    _is(isinstance(own.minimum(n), int | float), "its minimum is no number")
    _is(len(own.start) == 2, "its start is two numbers, of the first entry and of the others")
    if own.gradient is not None:
        (expected,) = torch.autograd.grad(value.sum(), x)
        found = _like(own.gradient(x.detach()), (3, n), f"as gradient for points [3, {n}]")
        close = torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
        _is(close, "its gradient is not that of its value")


def _dataset(own: Any, reference: str, source: Path | None) -> None:
    _is(isinstance(own, Dataset), f"is {type(own).__name__}: an fgrad.Dataset is expected")
    _is(own.read is not None, "it has no function read")
    data.load(reference, source)


def _model(
    reference: str, dataset: str, reduce: int, perturb: Literal["activations", "weights"]
) -> None:
    facts = DATASETS[dataset]
    network = build(reference, dataset, None, reduce, 0)
    _is(isinstance(network, nn.Module), f"gives {type(network).__name__}, no torch.nn.Module")
    x = torch.zeros(2, facts.channels, facts.size, facts.size)
    outputs = network(x)
    _like(outputs, (2, facts.classes), f"for images {list(x.shape)}")
    try:
        Perturbation(network, "frog", 1, perturb=perturb).n(x, torch.zeros(2, dtype=torch.long))
    except ValueError as error:
        raise _WrongError(str(error)) from None
