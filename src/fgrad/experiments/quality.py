"""Approximation quality of gradient estimates (sections 4.1 and 4.3).

Two methods with one interface: `direct` draws tangents and computes the estimators on real vectors;
`exact` samples the metrics from their exact law, in O(1) for each sample whatever n and k.

Source: the paper, sections 3 and 4.1; the laws are derived in `fgrad.gradients.laws`.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fgrad.gradients.approach import Approach
from fgrad.gradients.estimators import aggregate, combine, draw, known_derivatives, whole
from fgrad.gradients.laws import MEAN, PROJECTION
from fgrad.gradients.registry import AGGREGATIONS, KNOWN, LAWS
from fgrad.gradients.sampling import gamma
from fgrad.gradients.stateful import begun, told
from fgrad.options.quality import QualityRun
from fgrad.plugins import short
from fgrad.store.context import Context, Progress, Result

METRICS = ("true_norm", "estimate_norm", "norm_ratio", "difference_norm", "dot", "cosine")

ELEMENTS = 2**20
"""Entries of tangents and coefficients in work at a time: what stays in the cache."""


MULTIPLES = {"sum", "mean", "mean-times-n"}
"""Aggregations that are V d times a number."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of every estimate of a run.

    Args:
        values: [samples, A, K, 6], float64; the last axis is `METRICS`.
        aggregations: the A (aggregation, normalized) pairs.
        k: the K numbers of tangents.
    """

    values: npt.NDArray[np.float64]
    aggregations: list[tuple[str, bool]]
    k: tuple[int, ...]


def direct(
    run: QualityRun,
    n: int,
    progress: Progress = lambda done, total: None,
    device: torch.device | str = "cpu",
) -> Metrics:
    """Compute the estimators on real vectors.

    A sample draws max(k) tangents once; every k uses its first k of them, every aggregation the
    same ones, and one factorisation serves all projections. Samples have generators of their own,
    so a sample's values depend on the seed, n, and its number alone.

    Args:
        run: what to compute.
        n: dimension, one of ``run.n``.
        progress: called with samples done and samples in all.
        device: where to compute.

    Returns:
        [samples, A, K, 6] as `Metrics`.
    """
    plain = [(name, False) for name in run.aggregations]
    scaled = [(name, True) for name in run.normalized]
    # A batch of one takes another path through the BLAS and differs in the last bits, so a batch
    # has at least two samples or, where tangents are many, always exactly one.
    combinations = len(run.k) * len(plain + scaled)
    batch = max(1, ELEMENTS // (max(run.k) * (n + combinations)))
    parts = []
    for start in range(0, run.samples, batch):
        count = min(batch, run.samples - start)
        numbers = [run.first + start + i for i in range(count)]
        if batch > 1 == count:
            numbers *= 2
        generators = [_generator(run.seed, n, number, device) for number in numbers]
        parts.append(_batch(run, n, generators, plain, scaled)[:count].cpu())
        progress(start + count, run.samples)
    values = torch.cat(parts).double().numpy()
    return Metrics(values, plain + scaled, run.k)


def exact(run: QualityRun, n: int) -> Metrics:
    """Sample the metrics from their exact law for normal tangents, O(1) for each sample.

    The laws of ‖g‖/‖∇f‖ and cos(g, ∇f) are those of `fgrad.gradients.laws`. The
    mean and its multiples share their draws, and the projection's are made whether or not it is
    asked for, so that an aggregation's values do not depend on those beside it.

    Args:
        run: what to compute; aggregations ``projection``, ``mean`` and ``sum``.
        n: dimension, one of ``run.n``.

    Returns:
        [samples, A, K, 6] as `Metrics`.
    """
    generator = _generator(run.seed, n, run.first, "cpu")
    norm = _exact_norm(run, n, generator)
    pairs = [(name, False) for name in run.aggregations]
    values = torch.empty(run.samples, len(pairs), len(run.k), 6, dtype=torch.float64)
    for j, k in enumerate(run.k):
        drawn = {}
        for law in (PROJECTION, MEAN):
            a, b = map(float, law.shapes(n, k))
            g, h = (gamma(shape, generator, (run.samples,)) for shape in (a, b))
            drawn[type(law)] = (g, h)
        for i, (name, _) in enumerate(pairs):
            named = LAWS[name]
            ratio, cosine = named.polar(*drawn[type(named)], n, k)
            estimate = norm * ratio
            dot = norm * estimate * cosine
            # ‖g − ∇f‖² from the parts along and across ∇f: no cancellation where they agree
            across = estimate * (1 - cosine**2).clamp(min=0).sqrt()
            difference = torch.hypot(estimate * cosine - norm, across)
            parts = (norm, estimate, ratio, difference, dot, cosine)
            values[:, i, j] = torch.stack([part.expand(run.samples) for part in parts], -1)
    return Metrics(values.numpy(), pairs, run.k)


def compute_direct(run: QualityRun, context: Context) -> Result:
    """Compute a run on real vectors, on one thread; one row for each sample, aggregation and k."""
    torch.set_num_threads(1)
    parts = []
    for i, n in enumerate(run.n):

        def ahead(done: int, total: int, before: int = i) -> None:
            context.progress(before * total + done, len(run.n) * total)

        parts.append(_columns(direct(run, n, ahead), n, run.first))
    return _result(run, parts)


def compute_approach(run: QualityRun, context: Context) -> Result:
    """Compute an approach with its own tangents; one row for each sample and k.

    To a sampler that keeps state the samples are steps of a descent whose gradient stays.
    """
    torch.set_num_threads(1)
    parts = []
    for i, n in enumerate(run.n):
        values = torch.stack([_of_approach(run, n, k) for k in run.k], 2).double().numpy()
        metrics = Metrics(values, [(str(run.name), False)], run.k)
        parts.append(_columns(metrics, n, run.first))
        context.progress(i + 1, len(run.n))
    return _result(run, parts)


def _of_approach(run: QualityRun, n: int, k: int) -> Tensor:
    """Metrics of every sample, [samples, 1, 6]."""
    assert run.approach is not None
    approach, found = begun(run.approach.how), []
    for number in range(run.first, run.first + run.samples):
        generator = _generator(run.seed, n, number, "cpu")
        (gradient,) = _true_gradient(run, n, [generator])
        if approach.estimator is not None:

            def linear(x: Tensor, gradient: Tensor = gradient) -> Tensor:
                return x @ gradient

            g = whole(approach, linear, torch.zeros(n), k, generator)
        else:
            v = draw(approach, (k, n), generator)
            g = aggregate(approach, v, v @ gradient)
            told(approach, g)
        found.append(_measured(g[None, None, None], gradient[None])[:, :, 0])
    return torch.cat(found)


def compute_exact(run: QualityRun, context: Context) -> Result:
    """Sample a run from its exact law, on one thread; rows as of `compute_direct`."""
    torch.set_num_threads(1)
    parts = []
    for i, n in enumerate(run.n):
        parts.append(_columns(exact(run, n), n, run.first))
        context.progress(i + 1, len(run.n))
    return _result(run, parts)


def _result(run: QualityRun, parts: list[dict[str, npt.NDArray[np.generic]]]) -> Result:
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    facts = {"device": "cpu", "threads": 1, "stop": "completed"}
    return Result(columns | {"angle_deg": run.angle}, facts)


def _columns(metrics: Metrics, n: int, first: int) -> dict[str, npt.NDArray[np.generic]]:
    """One row for each sample, aggregation and k."""
    samples, pairs, sizes = metrics.values.shape[:3]
    sample, which, size = (axis.ravel() for axis in np.indices((samples, pairs, sizes)))
    shown = [(short(name), normalized) for name, normalized in metrics.aggregations]
    names, flags = (np.array(column) for column in zip(*shown, strict=True))
    return {
        "n": np.full(len(sample), n),
        "k": np.array(metrics.k)[size],
        "aggregation": names[which],
        "normalized": flags[which],
        "sample": sample + first,
        **{name: metrics.values[..., i].ravel() for i, name in enumerate(METRICS)},
    }


def _batch(
    run: QualityRun,
    n: int,
    generators: list[torch.Generator],
    plain: list[tuple[str, bool]],
    scaled: list[tuple[str, bool]],
) -> Tensor:
    """Metrics of one batch of B samples, [B, A, K, 6]."""
    sampler = Approach(sampler="normal" if run.angle is None else "angle")
    gradient = _true_gradient(run, n, generators)
    v = draw(sampler, (max(run.k), n), generators, run.angle)
    pairs = plain + scaled
    at_once = [not normalized or name in MULTIPLES for name, normalized in pairs]
    first = [pair for pair, now in zip(pairs, at_once, strict=True) if now]
    estimates = _estimates(run, first, v, gradient)
    if not all(at_once):
        v /= v.norm(dim=-1, keepdim=True)
        others = [(name, False) for (name, _), now in zip(pairs, at_once, strict=True) if not now]
        order = torch.tensor(at_once).logical_not().int().argsort(stable=True).argsort()
        estimates = torch.cat([estimates, _estimates(run, others, v, gradient)], 1)[:, order]
    return _measured(estimates, gradient)


def _measured(estimates: Tensor, gradient: Tensor) -> Tensor:
    """Metrics of estimates [B, A, K, n] of gradients [B, n], [B, A, K, 6]."""
    true_norm = gradient.norm(dim=-1)[:, None, None]
    norm = estimates.norm(dim=-1)
    dot = (estimates * gradient[:, None, None]).sum(-1)
    difference = (estimates - gradient[:, None, None]).norm(dim=-1)
    # cos(0, ∇f) = 0: at n = 1 a tangent may be drawn so small that its estimate is zero
    cosine = torch.where(norm > 0, dot / (norm * true_norm), 0).clamp(-1, 1)
    metrics = (true_norm.expand_as(norm), norm, norm / true_norm, difference, dot, cosine)
    return torch.stack(metrics, -1)


def _estimates(
    run: QualityRun, pairs: list[tuple[str, bool]], v: Tensor, gradient: Tensor
) -> Tensor:
    """Estimates of the aggregations for every k, [B, A, K, n].

    All that are combinations of the tangents are one product with them. Of tangents that are
    normalised, uᵢ = vᵢ/‖vᵢ‖, the sum and its multiples see the derivatives dᵢ/‖vᵢ‖ alone, and
    Σ cᵢ uᵢ = Σ (cᵢ/‖vᵢ‖) vᵢ, so that no tangent is touched.
    """
    k, n = v.shape[-2:]
    estimates = v.new_empty(len(v), len(pairs), len(run.k), n)
    derivatives = known_derivatives(gradient, v)
    lengths = v.norm(dim=-1) if any(normalized for _, normalized in pairs) else derivatives
    linear, coefficients = [], []
    for i, (name, normalized) in enumerate(pairs):
        if name in KNOWN and 2 * k > n:
            m = min(k, n)
            sizes = [min(size, m) for size in run.k]
            estimates[:, i] = KNOWN[name](gradient, v[:, :m], sizes)
            continue
        linear.append(i)
        if name == "projection":
            coefficients.append(AGGREGATIONS[name](v, derivatives, run.k))
            continue
        seen = derivatives / lengths if normalized else derivatives
        own = v.new_zeros(len(v), len(run.k), k)
        for j, size in enumerate(run.k):
            own[:, j, :size] = AGGREGATIONS[name](v[:, :size], seen[:, :size])
        coefficients.append(own / lengths[:, None] if normalized else own)
    if linear:
        combined = combine(torch.cat(coefficients, 1), v)
        estimates[:, linear] = combined.view(len(v), len(linear), len(run.k), n)
    return estimates


def _true_gradient(run: QualityRun, n: int, generators: list[torch.Generator]) -> Tensor:
    """∇f of every sample, [B, n]; random ones come from the sample's own generator."""
    device = generators[0].device
    gradient = torch.ones(len(generators), n, device=device)
    if run.gradient.startswith("random"):
        for row, generator in zip(gradient, generators, strict=True):
            row.normal_(generator=generator)
    if run.gradient.endswith("normalized"):
        gradient /= gradient.norm(dim=-1, keepdim=True)
    return gradient


def _exact_norm(run: QualityRun, n: int, generator: torch.Generator) -> Tensor:
    if run.gradient.endswith("normalized"):
        return torch.ones(1, dtype=torch.float64)
    if run.gradient == "random":
        return (2 * gamma(n / 2, generator, (run.samples,))).sqrt()
    return torch.tensor([math.sqrt(n)], dtype=torch.float64)


def _generator(seed: int, n: int, sample: int, device: torch.device | str) -> torch.Generator:
    mixed = np.random.SeedSequence((seed, n, sample)).generate_state(1)[0]
    return torch.Generator(device).manual_seed(int(mixed))
