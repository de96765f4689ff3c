"""Quality: direct against exact, both against theory, and independence of how jobs are cut."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fgrad.experiments import quality
from fgrad.experiments.quality import METRICS
from fgrad.gradients import laws
from fgrad.options.quality import QualityRun
from fgrad.store import parquet, schemas

NORMALIZED = ("mean", "sum")
COSINE, RATIO = METRICS.index("cosine"), METRICS.index("norm_ratio")


def values(run: QualityRun) -> np.ndarray:
    measure = quality.direct if run.method == "direct" else quality.exact
    return measure(run, run.n[0]).values


@pytest.mark.parametrize(
    ("n", "k"), [(1, 3), (2, 2), (16, 4), (64, 1), (64, 16), (256, 128), (40, 64)]
)
def test_direct_and_exact_have_the_same_law(n, k):
    """Kolmogorov–Smirnov on every metric of every aggregation with normal tangents."""
    names = ("projection", "mean", "sum")
    common = dict[str, Any](n=(n,), k=(k,), samples=2000, aggregations=names, normalized=())
    direct = values(QualityRun(**common, gradient="random"))
    exact = values(QualityRun(**common, gradient="random", method="exact", seed=1))
    tests = 0
    for a in range(len(names)):
        for m in range(len(METRICS)):
            x, y = direct[:, a, 0, m], exact[:, a, 0, m]
            if np.allclose(x, x[0], rtol=1e-5, atol=1e-4):  # no spread: k ≥ n or n = 1
                np.testing.assert_allclose(y, x[0], rtol=1e-5, atol=1e-4)
                continue
            scale = 1e-5 * np.abs(x).max()  # atoms (cosine ±1) are blurred by rounding
            x, y = np.round(x / scale), np.round(y / scale)
            assert stats.ks_2samp(x, y).pvalue > 1e-4, (names[a], METRICS[m])
            tests += 1
    assert tests


def test_exact_follows_theory_at_a_billion_dimensions():
    k = (1, 16, 1024)
    run = QualityRun(n=(10**9,), k=k, samples=4000, method="exact", normalized=())
    found = values(run)
    for j, size in enumerate(k):
        for a, law in enumerate((laws.projection_ratio, laws.mean_cosine)):
            cosine = found[:, a, j, COSINE]
            assert abs(cosine.mean() - law(10**9, size)) < 5 * cosine.std() / 4000**0.5
        ratio = found[:, 1, j, RATIO]
        assert abs(ratio.mean() - laws.mean_ratio(10**9, size)) < 5 * ratio.std() / 4000**0.5


@pytest.mark.parametrize("method", ["direct", "exact"])
@pytest.mark.parametrize("gradient", ["ones", "ones-normalized", "random", "random-normalized"])
def test_metrics_belong_together(method, gradient):
    extra: dict[str, Any] = {"normalized": ()} if method == "exact" else {}
    found = values(
        QualityRun(n=(24,), k=(1, 8, 24, 30), samples=40, gradient=gradient, method=method, **extra)
    )
    true, norm, ratio, difference, dot, cosine = np.moveaxis(found, -1, 0)
    np.testing.assert_allclose(ratio, norm / true, rtol=1e-5)
    np.testing.assert_allclose(cosine, dot / (norm * true), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(difference**2, norm**2 - 2 * dot + true**2, rtol=1e-3, atol=1e-3)
    if gradient.endswith("normalized"):
        np.testing.assert_allclose(true, 1, rtol=1e-5)
    elif gradient == "ones":
        np.testing.assert_allclose(true, 24**0.5, rtol=1e-6)
    else:
        assert true.std() > 0.1
    np.testing.assert_allclose(cosine[:, 0, 2:], 1, rtol=1e-5)  # the projection with k ≥ n
    np.testing.assert_allclose(difference[:, 0, 2:], 0, atol=1e-4)


def test_estimates_by_hand():
    """Every aggregation of a sample, recomputed in float64 from the very tangents."""
    run = QualityRun(
        n=(12,),
        k=(2, 5),
        samples=3,
        aggregations=("projection", "mean", "sum", "max"),
        normalized=NORMALIZED,
    )
    found = quality.direct(run, 12)
    assert found.aggregations == [
        *((name, False) for name in ("projection", "mean", "sum", "max")),
        *((name, True) for name in ("mean", "sum")),
    ]
    for sample in range(3):
        v = torch.randn(5, 12, generator=quality._generator(0, 12, sample, "cpu")).double()
        unit = v / v.norm(dim=1, keepdim=True)
        ones = torch.ones(12, dtype=torch.float64)
        for j, k in enumerate(run.k):
            d, e = v[:k] @ ones, unit[:k] @ ones
            best = d.abs().argmax()
            expected = [
                v[:k].T @ torch.linalg.solve(v[:k] @ v[:k].T, d), d @ v[:k] / k, d @ v[:k],
                d[best] * v[best], e @ unit[:k] / k, e @ unit[:k],
            ]  # fmt: skip
            for a, g in enumerate(expected):
                metrics = [12**0.5, g.norm(), g.norm() / 12**0.5, (g - ones).norm(), g.sum()]
                metrics.append(g.sum() / g.norm() / 12**0.5)
                np.testing.assert_allclose(
                    found.values[sample, a, j], metrics, rtol=1e-4, atol=1e-5
                )


@settings(max_examples=25, deadline=None)
@given(
    n=st.sampled_from([1, 3, 16, 64]),
    samples=st.integers(1, 40),
    cut=st.integers(0, 40),
    k=st.sampled_from([[1, 4, 16], [1, 4, 8], [2]]),
    angle=st.sampled_from([None, 20.0]),
)
def test_a_sample_does_not_depend_on_its_job(n, samples, cut, k, angle):
    """Cutting a run in two changes no bit, whatever precision its tangents need."""
    common: dict[str, Any] = {"n": [n], "k": k, "gradient": "random", "normalized": ["mean"]}
    common["angle"] = angle if n > 1 else None
    whole = values(QualityRun(**common, samples=samples))
    cut = min(cut, samples)
    parts = [
        values(QualityRun(**common, first=first, samples=count))
        for first, count in ((0, cut), (cut, samples - cut))
        if count
    ]
    assert np.array_equal(np.concatenate(parts), whole)


def test_seeds_differ_and_repeat():
    run = QualityRun(n=(16,), k=(4,), samples=5)
    assert np.array_equal(values(run), values(run))
    assert not np.array_equal(values(run), values(run.model_copy(update={"seed": 1})))


def test_angle_changes_the_mean_and_not_the_projection():
    common: dict[str, Any] = {"n": [64], "k": [16], "samples": 300}
    narrow, wide = (values(QualityRun(**common, angle=angle)) for angle in (15, 90))
    # the same spans, so equal sample by sample
    np.testing.assert_allclose(narrow[:, 0, 0, COSINE], wide[:, 0, 0, COSINE], rtol=1e-3)
    assert narrow[:, 1, 0, COSINE].mean() < 0.6 * wide[:, 1, 0, COSINE].mean()


def test_parquet_follows_the_contract(tmp_path, carried_out):
    run = QualityRun(n=(4, 8), k=(1, 2), samples=3, first=10, normalized=NORMALIZED)
    path = tmp_path / "q.parquet"
    carried_out(run, path)
    frame = parquet.read(path)
    assert list(frame.columns) == list(schemas.QUALITY)
    assert str(frame["k"].dtype) == "Int64"
    assert len(frame) == 2 * 3 * 5 * 2
    assert sorted(frame["sample"].unique()) == [10, 11, 12]
    assert set(frame["aggregation"]) == {"projection", "mean", "sum"}
    assert frame["angle_deg"].isna().all()
    direct = quality.direct(run, 8)
    row = frame[
        (frame["n"] == 8) & (frame["sample"] == 11) & (frame["k"] == 2) & frame["normalized"]
    ]
    assert list(row["aggregation"]) == ["mean", "sum"]
    np.testing.assert_array_equal(row[list(METRICS)], direct.values[1, 3:, 1])
    kept = parquet.provenance(path)
    assert kept["run"] == run.model_dump(mode="json")
    assert kept["threads"] == 1
    assert kept["stop"] == "completed"


@pytest.mark.gpu
def test_on_the_gpu():
    run = QualityRun(n=(64,), k=(1, 16, 64), samples=500)
    found = quality.direct(run, 64, device="cuda").values
    for j, k in enumerate(run.k):
        cosine = found[:, 0, j, COSINE]
        assert (
            abs(cosine.mean() - laws.projection_ratio(64, k)) < 5 * cosine.std() / 500**0.5 + 1e-5
        )
