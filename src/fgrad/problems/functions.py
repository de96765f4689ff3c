"""Closed-form test functions of section 4.2, and others users know.

A function maps points [*B, n] to values [*B]. This module only calls methods of the tensors it is
given and never imports torch, so names, starting points and minima are known to configuration and
figures as well.

Sources: the paper, section 4.2 (sphere, Rosenbrock, Styblinski–Tang); Surjanovic and Bingham,
Virtual Library of Simulation Experiments (the others; Levy–Montalvo is its Levy function).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Function:
    """A test function f: Rⁿ → R.

    Args:
        value: x [*B, n] → f(x) [*B].
        start: the point a descent starts from is ``start[0]`` followed by n − 1 times ``start[1]``.
        minimum: n → global minimum of f over Rⁿ; −∞ if unbounded below.
        gradient: x [*B, n] → ∇f(x) [*B, n] in closed form; ``None`` leaves it to autograd.
        only_n: the one dimension the function is defined for; ``None`` for any.
        degenerate_n: a dimension in which f is constant.

    Examples:
        >>> bowl = Function(lambda x: x.square().sum(-1), start=(1, 1), minimum=lambda n: 0.0)
        >>> bowl.value(torch.ones(2, 3))
        tensor([3., 3.])
    """

    value: Callable[[Tensor], Tensor]
    start: tuple[float, float]
    minimum: Callable[[int], float]
    gradient: Callable[[Tensor], Tensor] | None = None
    only_n: int | None = None
    degenerate_n: int | None = None


def _sphere(x: Tensor) -> Tensor:
    return x.square().sum(-1)


def _sphere_gradient(x: Tensor) -> Tensor:
    return x * 2


def _rosenbrock(x: Tensor) -> Tensor:
    head, tail = x[..., :-1], x[..., 1:]
    # (a·b)·100 rather than 100·a²: few operations are what a small step costs
    return ((tail - head.square()).square() * 100 + (1 - head).square()).sum(-1)


def _rosenbrock_gradient(x: Tensor) -> Tensor:
    head, tail = x[..., :-1], x[..., 1:]
    residual = (tail - head.square()) * 200
    gradient = x.new_zeros(x.shape)
    gradient[..., 1:] = residual
    gradient[..., :-1] += (head * 2).sub_(2).sub_(residual * head, alpha=2)
    return gradient


def _styblinski_tang(x: Tensor) -> Tensor:
    square = x * x
    return ((square - 16) * square + x * 5).sum(-1) / 2


def _styblinski_tang_gradient(x: Tensor) -> Tensor:
    return (x * x * 2 - 16) * x + 2.5


def _plane(x: Tensor) -> Tensor:
    return x.sum(-1)


def _ackley(x: Tensor) -> Tensor:
    radius = x.square().mean(-1).sqrt()
    waves = (x * (2 * math.pi)).cos().mean(-1)
    return (radius * -0.2).exp() * -20 - waves.exp() + (20 + math.e)


def _beale(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    first = 1.5 - a + a * b
    second = 2.25 - a + a * b**2
    third = 2.625 - a + a * b**3
    return first.square() + second.square() + third.square()


def _egg_crate(x: Tensor) -> Tensor:
    return x.square().sum(-1) + 25 * x.sin().square().sum(-1)


def _goldstein_price(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    first = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    second = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return (1 + (a + b + 1) ** 2 * first) * (30 + (2 * a - 3 * b) ** 2 * second)


def _levy_montalvo(x: Tensor) -> Tensor:
    w = (x - 1) / 4 + 1
    head, last = w[..., :-1], w[..., -1]
    inner = (head - 1).square() * (1 + 10 * (head * math.pi + 1).sin().square())
    end = (last - 1).square() * (1 + (last * (2 * math.pi)).sin().square())
    return (w[..., 0] * math.pi).sin().square() + inner.sum(-1) + end


def _three_hump_camel(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    return 2 * a**2 - 1.05 * a**4 + a**6 / 6 + a * b + b**2


def resolution(minimum: float) -> float:
    """How far a float32 value has to be from the minimum of its function to be told from it."""
    return max(2.0**-23 * abs(minimum), 1e-45)


def _zero(n: int) -> float:
    return 0.0


SPHERE = Function(_sphere, (-1, -1), _zero, _sphere_gradient)
ROSENBROCK = Function(_rosenbrock, (-1, 0), _zero, _rosenbrock_gradient, degenerate_n=1)
STYBLINSKI_TANG = Function(
    _styblinski_tang, (0, 0), lambda n: -39.16616570377142 * n, _styblinski_tang_gradient
)
PLANE = Function(_plane, (1, 1), lambda n: -math.inf)
ACKLEY = Function(_ackley, (-1, -1), _zero)
BEALE = Function(_beale, (1, 1), _zero, only_n=2)
EGG_CRATE = Function(_egg_crate, (-2, -2), _zero, only_n=2)
GOLDSTEIN_PRICE = Function(_goldstein_price, (-1, 0), lambda n: 3.0, only_n=2)
LEVY_MONTALVO = Function(_levy_montalvo, (-2, -2), _zero)
THREE_HUMP_CAMEL = Function(_three_hump_camel, (-1, -1), _zero, only_n=2)
