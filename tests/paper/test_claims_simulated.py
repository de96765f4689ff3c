"""The test of the tests: how often claims err on data whose truth is known, and what they find."""

import pytest
import simulated_claims as simulated

from fgrad.paper import contents
from fgrad.paper.evidence import trend

pytestmark = pytest.mark.long

POWER = 0.8


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch) -> None:
    monkeypatch.setattr(trend, "DRAWS", 1_999)


def test_every_claim_is_simulated():
    assert {*simulated.AGAINST} | simulated.CERTAIN == {*contents.CLAIMS}


# few, for the sake of time: see `simulated.too_often` for what so many can find
@pytest.mark.parametrize("name", simulated.AGAINST)
@pytest.mark.parametrize("repeats", [20, pytest.param(40, marks=pytest.mark.slow)])
def test_false_alarms_and_power(name, repeats):
    without, present = (simulated.verdicts(name, some, repeats) for some in (False, True))
    assert not simulated.too_often(without["holds"], repeats)
    assert not simulated.too_often(present["fails"], repeats)
    assert present["holds"] >= POWER * repeats
