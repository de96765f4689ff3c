r"""Closed-form laws of forward gradients with normal tangents: each once, expected and sampled.

With k tangents v ~ N(0, I) in Rⁿ and d = Vᵀ∇f, the law of an estimate g does not depend on ∇f but
through its norm. Two laws cover everything, `Projection` for k ≤ n and `Mean`:

$$\cos(P_U \nabla f, \nabla f) = \frac{\lVert P_U \nabla f \rVert}{\lVert \nabla f \rVert}
= \sqrt{B}, \qquad B \sim \mathrm{Beta}(\tfrac{k}{2}, \tfrac{n-k}{2})$$

$$\cos(V d, \nabla f) = \sqrt{B}, \qquad
\frac{\lVert V d / k \rVert}{\lVert \nabla f \rVert} = \frac{T \sqrt{B}}{k}, \qquad
B \sim \mathrm{Beta}(\tfrac{k}{2}, \tfrac{n-1}{2})$$

with an independent T ~ χ²(n+k−1). (z = Vᵀ∇f/‖∇f‖ gives the component ‖z‖²/k along ∇f and an
orthogonal part of norm √(‖z‖² χ²(n−1))/k; B = ‖z‖²/(‖z‖² + χ²(n−1)) and T, their sum, are
independent.) The sum is k times, `mean-times-n` n times that.

So cos² = G/(G+H) of two gamma variables G ~ Γ(a, 1) and H ~ Γ(b, 1) in either law, whose shapes
(a, b) each law states. A law's ``expected_ratio`` is E[‖g‖/‖∇f‖]; its ``polar`` and ``parts`` turn
drawn gamma variables into samples (`fgrad.gradients.sampling`). This module calls methods of the
tensors it is given and never imports torch. Expectations are vectorised over n and k.

Source: the paper, section 3, and the standard facts about chi-squared and beta variables.

Examples:
    >>> projection_ratio(64, [1, 16, 64]).round(2)  # as its expected cosine
    array([0.1 , 0.49, 1.  ])
    >>> mean_cosine(64, [1, 16, 64]).round(2)
    array([0.1 , 0.44, 0.71])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from fgrad.gradients.registry import LAWS

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]
Number = npt.ArrayLike
Gamma = Callable[[float], "Tensor"]


@dataclass(frozen=True)
class Projection:
    """Law of P_U∇f: ‖g‖/‖∇f‖ = cos = √B with B ~ Beta(k/2, (n−k)/2); ∇f itself for k ≥ n."""

    def shapes(self, n: Number, k: Number) -> tuple[Floats, Floats]:
        """Shapes (a, b) of cos²; b = 0 for k ≥ n."""
        n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
        return np.asarray(k / 2), np.asarray(np.maximum(n - k, 0) / 2)

    def expected_ratio(self, n: Number, k: Number, unit: bool = False) -> Floats:
        """E[‖g‖/‖∇f‖]; it is the same for unit-norm tangents."""
        return expected_root_beta(*self.shapes(n, k))

    def certain(self, n: int, k: int) -> bool:
        """Whether the estimate is ∇f itself."""
        return k >= n

    def polar(self, g: Tensor, h: Tensor, n: int, k: int) -> tuple[Tensor, Tensor]:
        """Samples of ‖g‖/‖∇f‖ and of cos(g, ∇f) from gamma variables of the law's shapes."""
        cosine = (g / (g + h)).sqrt()
        return cosine, cosine

    def parts(self, gamma: Gamma, across: Tensor, n: int, k: int) -> tuple[Tensor, Tensor]:
        """A sample g = ‖∇f‖ (x û + y w) with û = ∇f/‖∇f‖ and a given w.

        Args:
            gamma: draws a gamma variable of a shape.
            across: w [n], the part of an N(0, I) vector that is orthogonal to û.
            n: dimension.
            k: number of tangents, below n.

        Returns:
            x and y.
        """
        a, b = map(float, self.shapes(n, k))
        g, h = gamma(a), gamma(b)
        beta = g / (g + h)
        return beta, (beta * (1 - beta)).sqrt() / across.norm()


@dataclass(frozen=True)
class Mean:
    """Law of a multiple of V d / k: cos² ~ Beta(k/2, (n−1)/2), ‖g‖/‖∇f‖ = f T cos / k.

    Args:
        factor: (n, k) → f; 1 for the mean itself.
    """

    factor: Callable[[int, int], float]

    def shapes(self, n: Number, k: Number) -> tuple[Floats, Floats]:
        """Shapes (a, b) of cos²."""
        n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
        return np.asarray(k / 2), np.asarray((n - 1) / 2)

    def expected_ratio(self, n: int, k: int, unit: bool = False) -> float:
        """E[‖g‖/‖∇f‖] = f (n+k−1)/k · E√B.

        For unit-norm tangents, where there is no closed form, the root of the second moment.
        """
        mean = np.sqrt(mean_squared_ratio(n, k, unit=True)) if unit else mean_ratio(n, k)
        return self.factor(n, k) * float(mean)

    def certain(self, n: int, k: int) -> bool:
        """Whether the estimate is ∇f itself; never."""
        return False

    def polar(self, g: Tensor, h: Tensor, n: int, k: int) -> tuple[Tensor, Tensor]:
        """As `Projection.polar`."""
        cosine = (g / (g + h)).sqrt()
        return 2 * (g + h) * cosine / k * self.factor(n, k), cosine

    def parts(self, gamma: Gamma, across: Tensor, n: int, k: int) -> tuple[Tensor, Tensor]:
        """As `Projection.parts`, for any k; ‖w‖² is the second gamma variable, doubled."""
        factor, q = self.factor(n, k), 2 * gamma(float(self.shapes(n, k)[0]))
        return factor * q / k, factor * q.sqrt() / k


Law = Projection | Mean

PROJECTION = Projection()
MEAN = Mean(lambda n, k: 1.0)
SUM = Mean(lambda n, k: float(k))
MEAN_TIMES_N = Mean(lambda n, k: float(n))


def expected_root_beta(a: Number, b: Number) -> Floats:
    r"""E√B for B ~ Beta(a, b); 1 where b = 0.

    $$E\sqrt{B} = \frac{\Gamma(a + \frac12) \, \Gamma(a + b)}
    {\Gamma(a) \, \Gamma(a + b + \frac12)}$$

    For large arguments the difference of log-gammas loses digits, so each ratio Γ(x+½)/Γ(x) is
    taken from its asymptotic series beyond x = 10⁴.

    Args:
        a: first shape, > 0.
        b: second shape, ≥ 0.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return np.asarray(np.where(b > 0, _half_step(a) / _half_step(a + b), 1.0))


def projection_ratio(n: Number, k: Number) -> Floats:
    r"""E[‖P_U∇f‖/‖∇f‖] = E[cos(P_U∇f, ∇f)], the quality of a projection; 1 for k ≥ n.

    $$E\sqrt{B} = \frac{\Gamma(\frac{k+1}{2}) \, \Gamma(\frac{n}{2})}
    {\Gamma(\frac{k}{2}) \, \Gamma(\frac{n+1}{2})}$$

    Args:
        n: dimension, ≥ 1.
        k: number of tangents, ≥ 1.
    """
    return PROJECTION.expected_ratio(n, k)


def mean_cosine(n: Number, k: Number) -> Floats:
    """E[cos(mean, ∇f)] = E√B, B ~ Beta(k/2, (n−1)/2); see `projection_ratio` for n and k."""
    return expected_root_beta(*MEAN.shapes(n, k))


def mean_ratio(n: Number, k: Number) -> Floats:
    """E[‖mean‖/‖∇f‖] = (n+k−1)/k · E√B, B ~ Beta(k/2, (n−1)/2)."""
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    return np.asarray((n + k - 1) / k * mean_cosine(n, k))


def mean_squared_ratio(n: Number, k: Number, unit: bool = False) -> Floats:
    """E‖mean‖²/‖∇f‖²: (n+k+1)/k for normal tangents, (n+k−1)/(k n²) for unit-norm ones.

    Args:
        n: dimension, ≥ 1.
        k: number of tangents, ≥ 1.
        unit: whether every tangent is normalised.
    """
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    return np.asarray((n + k - 1) / (k * n**2) if unit else (n + k + 1) / k)


def expected_norm_ratio(aggregation: str, n: int, k: int, unit: bool = False) -> float:
    """Expected ‖g‖/‖∇f‖ of an aggregation: what the scaling correction divides by.

    Args:
        aggregation: ``projection``, ``mean``, ``sum`` or ``mean-times-n``.
        n: dimension.
        k: number of tangents.
        unit: whether every tangent is normalised; the root of the second moment stands in for
            the expectation then where that has no closed form.

    Raises:
        ValueError: if no expectation is known for the aggregation.
    """
    if aggregation not in LAWS:
        raise ValueError(f"no expected norm is known for the aggregation {aggregation!r}")
    return float(LAWS[aggregation].expected_ratio(n, k, unit))


def _half_step(x: Floats) -> Floats:
    """Γ(x+½)/Γ(x), relative error below 1e-11."""
    large = np.sqrt(x) * (1 - 1 / (8 * x) + 1 / (128 * x**2) + 5 / (1024 * x**3))
    small = np.exp(gammaln(np.minimum(x, 1e4) + 0.5) - gammaln(np.minimum(x, 1e4)))
    return np.asarray(np.where(x > 1e4, large, small))
