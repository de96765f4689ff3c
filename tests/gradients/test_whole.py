"""Whole gradients of the user's own: any function of evaluations of f."""

from typing import Any

import pytest
import torch
from torch import nn

import fgrad
from fgrad import Approach, Perturbation


def differences(f, x, k, generator):
    v = torch.randn(k, len(x), generator=generator, dtype=x.dtype)
    return (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6 @ v / k


WHOLE = Approach(estimator=differences)


def test_a_point_and_many_points():
    def f(x):
        return x.square().sum(-1)

    x = torch.linspace(-1, 1, 15, dtype=torch.float64).view(3, 5)
    g = fgrad.forward_gradient(f, x, 4, torch.Generator().manual_seed(0), WHOLE)
    generator = torch.Generator().manual_seed(0)
    for one, found in zip(x, g, strict=True):
        v = torch.randn(4, 5, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(found, 2 * one @ v.mT @ v / 4, rtol=1e-6, atol=1e-6)


def network() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.4), nn.Linear(6, 3)
    )
    return made.double()


def test_of_a_network_it_is_that_of_the_loss_of_one_step():
    """With the dropout of that step in every evaluation, and the state moved on once."""
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    whole, plain = network(), network()
    torch.manual_seed(7)
    gradient = Perturbation(whole, WHOLE, k=3, perturb="weights")
    loss = gradient(x, y)
    torch.manual_seed(7)
    expected = nn.functional.cross_entropy(plain(x), y)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    true = torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None])
    v = torch.randn(3, len(true), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = torch.cat([p.grad.flatten() for p in whole.parameters() if p.grad is not None])
    torch.testing.assert_close(found, v @ true @ v / 3, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(dict(whole.named_buffers()), dict(plain.named_buffers()))


def test_its_tangents_go_on_from_step_to_step():
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    gradient = Perturbation(network().eval(), WHOLE, k=1, perturb="weights")
    steps = []
    for _ in range(2):
        gradient(x, y)
        steps.append(of_the_first(gradient))
    assert not torch.equal(*steps)


def of_the_first(gradient: Perturbation) -> torch.Tensor:
    found = gradient.parameters[0].grad
    assert found is not None
    return found.clone()


WRONG: Any = 3


def short(f, x, k, generator):
    return x[:2]


def number(f, x, k, generator) -> Any:
    return 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Approach(estimator=WRONG), "estimator = 3: unknown estimator; allowed: a function, file.py:name"),
        (lambda: Approach("mean", estimator=differences), "an estimator is a whole gradient"),
        (lambda: Approach(sampler="basis", estimator=differences), "an estimator is a whole gradient"),
        (lambda: Perturbation(network(), WHOLE, perturb="weights"), "k = None"),
        (lambda: Perturbation(network(), WHOLE, 2), "a whole gradient needs perturb weights and mode sim"),
        (lambda: Perturbation(network(), WHOLE, 2, perturb="weights", mode="fwad"), "perturb weights and mode sim"),
        (lambda: fgrad.forward_gradient(lambda x: x.sum(-1), torch.ones(3), 2, torch.Generator(), Approach(estimator=short)), "the estimator gives [2] at a point [3]"),
        (lambda: fgrad.forward_gradient(lambda x: x.sum(-1), torch.ones(3), 2, torch.Generator(), Approach(estimator=number)), "the estimator gives float at a point [3]"),
        (lambda: fgrad.fixed_directions(lambda x: x.sum(-1), torch.ones(3), torch.eye(3), WHOLE), "an approach with an aggregation is needed"),
    ],
)  # fmt: skip
def test_what_it_cannot_be(make, message):
    with pytest.raises(ValueError, match=r"^") as refused:
        make()
    assert message in str(refused.value)
