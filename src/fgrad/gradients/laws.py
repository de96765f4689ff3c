"""Closed-form laws of forward gradients with normal tangents.

With k tangents v ~ N(0, I) in Rⁿ and d = Vᵀ∇f, the law of an estimate does not depend on ∇f but
through its norm. Three laws cover everything:

* projection, k ≤ n: ‖P_U∇f‖ / ‖∇f‖ = cos(P_U∇f, ∇f) = √B with B ~ Beta(k/2, (n−k)/2);
* mean: cos = √B with B ~ Beta(k/2, (n−1)/2), and ‖mean‖ / ‖∇f‖ = T √B / k with an independent
  T ~ χ²(n+k−1). (z = Vᵀ∇f/‖∇f‖ gives the component ‖z‖²/k along ∇f and an orthogonal part of norm
  √(‖z‖² χ²(n−1))/k; B = ‖z‖²/(‖z‖² + χ²(n−1)) and T, their sum, are independent.)
* sum: k times the mean.

Everything is vectorised over n and k and needs no torch. Source: the paper, section 3, and the
standard facts about chi-squared and beta variables.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Floats = npt.NDArray[np.float64]
Number = npt.ArrayLike


def expected_root_beta(a: Number, b: Number) -> Floats:
    """E√B for B ~ Beta(a, b): Γ(a+½) Γ(a+b) / (Γ(a) Γ(a+b+½)); 1 where b = 0.

    For large arguments the difference of log-gammas loses digits, so each ratio Γ(x+½)/Γ(x) is
    taken from its asymptotic series beyond x = 10⁴.

    Args:
        a: first shape, > 0.
        b: second shape, ≥ 0.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return np.asarray(np.where(b > 0, _half_step(a) / _half_step(a + b), 1.0))


def projection_ratio(n: Number, k: Number) -> Floats:
    """E[‖P_U∇f‖/‖∇f‖] = E[cos(P_U∇f, ∇f)] = Γ((k+1)/2) Γ(n/2) / (Γ(k/2) Γ((n+1)/2)), 1 for k ≥ n.

    Args:
        n: dimension, ≥ 1.
        k: number of tangents, ≥ 1.
    """
    n = np.asarray(n, dtype=float)
    used = np.minimum(np.asarray(k, dtype=float), n)
    return expected_root_beta(used / 2, (n - used) / 2)


def mean_cosine(n: Number, k: Number) -> Floats:
    """E[cos(mean, ∇f)] = E√B, B ~ Beta(k/2, (n−1)/2); see `projection_ratio` for n and k."""
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    return expected_root_beta(k / 2, (n - 1) / 2)


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
            the expectation then, which has no closed form.

    Raises:
        ValueError: if no expectation is known for the aggregation.
    """
    if aggregation == "projection":
        return float(projection_ratio(n, k))
    factor = {"mean": 1.0, "sum": float(k), "mean-times-n": float(n)}.get(aggregation)
    if factor is None:
        raise ValueError(f"no expected norm is known for the aggregation {aggregation!r}")
    mean = np.sqrt(mean_squared_ratio(n, k, unit=True)) if unit else mean_ratio(n, k)
    return factor * float(mean)


def _half_step(x: Floats) -> Floats:
    """Γ(x+½)/Γ(x), relative error below 1e-11."""
    large = np.sqrt(x) * (1 - 1 / (8 * x) + 1 / (128 * x**2) + 5 / (1024 * x**3))
    small = np.exp(gammaln(np.minimum(x, 1e4) + 0.5) - gammaln(np.minimum(x, 1e4)))
    return np.asarray(np.where(x > 1e4, large, small))
