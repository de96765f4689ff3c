"""Descent: against a plain loop, its stopping rule, and independence of what runs beside it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrad.experiments import descent
from fgrad.gradients.approach import Approach
from fgrad.options.functions import FunctionRun
from fgrad.problems.registry import FUNCTIONS
from fgrad.store import parquet, schemas

PLAIN = dict[str, Any](function="sphere", n=8, gradient="frog", k=4, lr=0.1, steps=70)


def run(**changes) -> FunctionRun:
    return FunctionRun(**PLAIN | changes)


def plain_loop(r: FunctionRun, seed: int) -> list[float]:
    """The textbook: one seed, one tangent after the other, in float64."""
    f = FUNCTIONS[r.function]
    x = torch.full((r.n,), float(f.start[1]), dtype=torch.float64)
    x[0] = f.start[0]
    g = torch.Generator().manual_seed(seed)
    block = min(descent.BLOCK, max(1, descent.ELEMENTS // (r.n * (r.k or 1))))
    values = [f.value(x).item()]
    for step in range(r.steps):
        point = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(f.value(point), point)
        if r.k is None:
            estimate = gradient
        else:
            if step % block == 0:
                drawn = torch.randn(block, r.k, r.n, generator=g)
            v = drawn[step % block].double()
            d = v @ gradient
            if r.gradient == "fg-mean":
                estimate = sum(di * vi for di, vi in zip(d, v, strict=True)) / r.k
            else:
                estimate = torch.linalg.pinv(v) @ d
        x = x - r.lr * estimate
        values.append(f.value(x).item())
    return values


@pytest.mark.long
@pytest.mark.parametrize("mode", ["sim", "fwad"])
@pytest.mark.parametrize("function", ["sphere", "rosenbrock", "styblinski-tang", "ackley"])
@pytest.mark.parametrize(
    ("gradient", "k"), [("bp", None), ("fg-mean", 1), ("fg-mean", 4), ("frog", 4), ("frog", 16)]
)
def test_against_a_plain_loop(function, gradient, k, mode):
    r = run(
        function=function,
        gradient=gradient,
        k=k,
        lr=1e-4,
        steps=70,
        seeds=(3, 5),
        mode=mode,
        patience=70,
    )
    found = descent.descend(r)
    assert found.stops == ["completed", "completed"]
    for seed, values in zip(r.seeds, found.values, strict=True):
        np.testing.assert_allclose(values, plain_loop(r, seed), rtol=2e-3, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=7, unique=True),
    n=st.sampled_from([1, 2, 4, 8, 32, 64, 300]),
    method=st.sampled_from(
        [("bp", None), ("fg-mean", 1), ("fg-mean", 4), ("frog", 2), ("frog", 4), ("frog", 16)]
    ),
    function=st.sampled_from(["sphere", "rosenbrock", "styblinski-tang"]),
)
def test_adding_a_seed_changes_no_bit_of_the_others(seeds, n, method, function):
    gradient, k = method
    common = {"function": function, "n": n, "gradient": gradient, "k": k, "lr": 1e-3, "steps": 30}
    together = descent.descend(FunctionRun(**common, seeds=tuple(seeds)))
    for i in (0, len(seeds) - 1):
        alone = descent.descend(FunctionRun(**common, seeds=(seeds[i],)))
        assert np.array_equal(alone.values[0], together.values[i], equal_nan=True)
        assert alone.stops[0] == together.stops[i]


@pytest.mark.parametrize(("n", "k"), [(4, 2), (8, 4), (32, 16)])
def test_ill_conditioned_tangents_of_one_seed_are_its_own(n, k):
    """Where some draws need float64 and some do not, the precision is chosen draw by draw."""
    common = {"n": n, "k": k, "lr": 0.01, "steps": 300}
    many = descent.descend(run(**common, seeds=tuple(range(9))))
    for few in ((0,), (0, 1), (4, 0, 7)):
        values = descent.descend(run(**common, seeds=few)).values
        assert np.array_equal(values[few.index(0)], many.values[0])


def test_fewer_steps_are_a_prefix():
    long, short = (descent.descend(run(steps=steps, lr=1e-3)) for steps in (150, 77))
    assert np.array_equal(long.values[0][:78], short.values[0])


def test_more_patience_changes_no_value():
    common = {"gradient": "fg-mean", "k": 1, "n": 64, "lr": 0.03, "steps": 300, "seeds": (0, 1)}
    short, long = (descent.descend(run(**common, patience=p)) for p in (3, 300))
    assert "stalled" in short.stops
    for a, b in zip(short.values, long.values, strict=True):
        assert np.array_equal(a, b[: len(a)], equal_nan=True)


def first_stop(values: list[float], patience: int) -> int:
    count = 0
    for t in range(1, len(values)):
        if np.isnan(values[t]):
            return t
        count = 0 if values[t] < values[t - 1] else count + 1
        if count == patience:
            return t
    return -1


@given(
    values=st.lists(
        st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan]), min_size=1, max_size=30
    ).filter(lambda v: not np.isnan(v[0])),
    patience=st.integers(1, 6),
    block=st.integers(1, 8),
)
def test_the_stopping_rule_is_the_papers(values, patience, block):
    column = np.array(values, dtype=np.float32)[:, None, None]
    rule, done = descent.StoppingRule(column[0], patience), 1
    while done < len(values):  # in blocks, as a descent does
        count = min(block, len(values) - done)
        goes_on = rule.update(column[: done + count], count, np.array([0]))
        done += count
        assert goes_on.tolist() == [rule.ends[0, 0] < 0]
    assert rule.ends[0, 0] == first_stop(values, patience)


RATES = (1e-4, 50.0, 3e-4, 1e-5, 1e-6)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["sim", "fwad"])
@pytest.mark.parametrize(
    ("gradient", "k"), [("bp", None), ("fg-mean", 1), ("fg-mean", 4), ("frog", 4), ("frog", 16)]
)
@pytest.mark.parametrize("function", ["sphere", "rosenbrock", "ackley"])
def test_many_rates_at_once_are_each_rates_descent(function, gradient, k, mode):
    one = run(function=function, gradient=gradient, k=k, steps=150, seeds=(3, 5), mode=mode)
    together = descent.descend_all(one, RATES, one.seeds)
    for lr, found in zip(RATES, together, strict=True):
        alone = descent.descend(one.model_copy(update={"lr": lr}))
        if lr > 1:  # rounding grows without bounds
            assert function == "ackley" or set(found.stops) == set(alone.stops) == {"diverged"}
            continue
        assert found.stops == alone.stops
        for a, b in zip(found.values, alone.values, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4)


def test_a_rate_that_diverges_is_dropped_and_changes_nothing():
    one = run(function="rosenbrock", n=64, steps=300, seeds=(0, 1))
    good = (1e-5, 1e-4, 5e-4, 1e-3)
    beside = (10.0, 1e-5, 1.0, 1e-4, 5e-4, 3.0, 1e-3)
    alone = descent.descend_all(one, good, one.seeds)
    together = descent.descend_all(one, beside, one.seeds)
    assert [d.stops[0] for d in together].count("diverged") == 3
    kept = [d for lr, d in zip(beside, together, strict=True) if lr in good]
    for a, b in zip(kept, alone, strict=True):
        for x, y in zip(a.values, b.values, strict=True):
            np.testing.assert_array_equal(x, y)


def test_steps_after_a_rate_is_dropped_are_without_it(monkeypatch):
    sizes = []
    value = FUNCTIONS["rosenbrock"].value
    spy = replace(FUNCTIONS["rosenbrock"], value=lambda x: sizes.append(x.shape[-2]) or value(x))
    monkeypatch.setitem(FUNCTIONS, "rosenbrock", spy)
    one = run(function="rosenbrock", n=16, gradient="bp", k=None, steps=256)
    descent.descend_all(one, (100.0, 10.0, 1e-4), (0,))
    assert sizes[0] == 3
    assert sizes[-1] == 1


def test_a_stalled_descent():
    found = descent.descend(run(function="rosenbrock", n=1, gradient="bp", k=None, patience=20))
    assert found.stops == ["stalled"]
    assert len(found.values[0]) == 21  # the start and 20 steps without a lower value


def test_divergence_is_a_status():
    found = descent.descend(run(function="rosenbrock", gradient="bp", k=None, n=4, lr=10.0))
    assert found.stops == ["diverged"]
    assert np.isnan(found.values[0][-1])
    assert np.isfinite(found.values[0][0])


def test_one_seed_diverges_and_the_others_go_on():
    common = {"function": "styblinski-tang", "gradient": "fg-mean", "k": 1, "n": 2, "steps": 400}
    found = descent.descend(run(**common, lr=0.03, seeds=tuple(range(8))))
    assert set(found.stops) >= {"diverged", "completed"}


def test_angles_of_the_projection_share_their_span():
    common = {
        "function": "styblinski-tang",
        "n": 64,
        "k": 16,
        "lr": 0.002,
        "angle": (15, 90),
        "steps": 60,
    }
    r = run(**common)
    narrow, wide = (descent.descend(r, angle).values[0] for angle in r.angle)
    np.testing.assert_allclose(narrow, wide, rtol=1e-4)
    r = run(**common | {"gradient": "fg-mean", "lr": 0.01})
    narrow, wide = (descent.descend(r, angle).values[0] for angle in r.angle)
    assert not np.allclose(narrow, wide, rtol=1e-2)


def test_a_new_approach_needs_a_name_only():
    scaled: Any = Approach(aggregation="max-normalized", sampler="rademacher")
    r = FunctionRun(
        function="sphere", n=8, gradient="mine", k=4, lr=0.05, approach=scaled, steps=20
    )
    values = descent.descend(r).values[0]
    assert values[-1] < values[0]


def test_parquet_follows_the_contract(tmp_path, carried_out):
    path = tmp_path / "run.parquet"
    r = run(seeds=(4, 2), angle=(30.0, 60.0), steps=12)
    carried_out(r, path)
    frame = parquet.read(path)
    assert list(frame.columns) == list(schemas.FUNCTIONS)
    assert len(frame) == 2 * 2 * 13
    assert str(frame["k"].dtype) == "Int64"
    assert (frame["lr"] == 0.1).all()
    part = frame[(frame["seed"] == 2) & (frame["angle_deg"] == 60)]
    assert list(part["step"]) == list(range(13))
    np.testing.assert_array_equal(part["value"], descent.descend(r, 60.0).values[1].astype(float))
    kept = parquet.provenance(path)
    assert kept["run"] == r.model_dump(mode="json")
    assert len(kept["stop"]) == 4
    assert kept["stop"][0] == {"angle_deg": 30.0, "seed": 4, "steps": 12, "stop": "completed"}
    assert kept["versions"]["torch"] == torch.__version__.split("+")[0]
    assert kept["start"] <= kept["end"]


def test_backpropagation_has_no_k(tmp_path, carried_out):
    path = tmp_path / "run.parquet"
    carried_out(run(gradient="bp", k=None, steps=3), path)
    frame = parquet.read(path)
    assert frame["k"].isna().all()
    assert str(frame["k"].dtype) == "Int64"


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_on_the_gpu(mode):
    r = run(mode=mode, seeds=(0, 1, 2), steps=100)
    found = descent.descend(r, device="cuda")
    assert found.stops == ["completed"] * 3
    assert all(values[-1] < 0.1 * values[0] for values in found.values)
