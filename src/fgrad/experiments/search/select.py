"""Which of the learning rates that were tried is taken.

Source: the selection rule is the paper's, with the margin taken of what a loss is above its minimum
and the mean taken on the log scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgrad.problems.functions import resolution


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Args:
        loss: what is minimised; infinite if the trial diverged.
        std: standard deviation over repeats, if there are several.
        stop: why it ended: ``completed``, ``stalled``, ``diverged`` or ``pruned``.
        history: losses on the way, which later trials are compared with.
    """

    loss: float
    std: float | None
    stop: str
    history: tuple[float, ...] = ()


@dataclass(frozen=True)
class Found:
    """The rate that a search selects.

    Args:
        lr: the selected rate.
        loss: its loss.
        best_lr: the rate with the lowest loss.
        best_loss: its loss.
        within: number of rates within the margin of the best.
        edge: ``low`` or ``high`` if no rate beyond the best was tried, else empty.
        between: the rates tried next to those, below and above.
        widened: whether the range was widened.
    """

    lr: float
    loss: float
    best_lr: float
    best_loss: float
    within: int
    edge: str
    between: tuple[float, float]
    widened: bool = False


@dataclass(frozen=True)
class Scale:
    """What losses are measured by: their known minimum, −∞ if there is none, and the start's."""

    minimum: float
    start: float


def select(
    rates: Sequence[float], losses: Sequence[float], scale: Scale, margin: float
) -> Found | None:
    """Of the rates within the margin of the best the one closest to their mean on the log scale.

    Within the margin m is a loss L ≤ L_best + m · min(L_best − L*, L₀ − L_best): neither m more
    above the minimum L* than the best, nor m less below the start L₀. Relative to the first alone,
    every rate would be as good as the best where even that has hardly left the start; relative to
    the loss itself, nothing would be where it is negative. Differences that float32 does not
    resolve at L* do not count. A rate above one that diverged survived by chance, and is not taken
    if there is another.

    Args:
        rates: learning rates that were tried.
        losses: one each; infinite where the rate diverged, NaN where it was given up.
        scale: of the losses.
        margin: m.

    Returns:
        The selection; ``None`` if no loss is finite.
    """
    order = np.argsort(rates, kind="stable")
    lr, loss = np.asarray(rates, dtype=float)[order], np.asarray(losses, dtype=float)[order]
    diverged = np.isinf(loss)
    loss = np.where(np.isfinite(loss), loss, np.inf)
    safe = np.where(np.logical_or.accumulate(diverged), np.inf, loss)
    loss = safe if np.isfinite(safe).any() else loss
    best = int(loss.argmin())
    if not np.isfinite(loss[best]):
        return None
    left, gained = loss[best] - scale.minimum, max(0.0, scale.start - loss[best])
    allowed = margin * min(left, gained)
    if math.isfinite(scale.minimum):
        allowed = max(allowed, resolution(scale.minimum))
    near = np.flatnonzero(loss <= loss[best] + allowed)
    away = np.abs(np.log(lr[near]) - np.log(lr[near]).mean())
    chosen = near[int(away.argmin())]
    lowest, last = np.flatnonzero(loss == loss[best]), len(lr) - 1
    edge = ""
    if last > 0 and len(lowest) == 1:
        edge = {0: "low", last: "high"}.get(best, "")
    return Found(
        lr=float(lr[chosen]),
        loss=float(loss[chosen]),
        best_lr=float(lr[best]),
        best_loss=float(loss[best]),
        within=len(near),
        edge=edge,
        between=(float(lr[max(0, near[0] - 1)]), float(lr[min(last, near[-1] + 1)])),
    )
