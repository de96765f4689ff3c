"""Tables of names: nothing is loaded before it is looked up, nothing is reached but by name."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pkgutil import resolve_name
from types import FunctionType, ModuleType

import pytest
import torch

from fgrad.gradients import registry
from fgrad.gradients.approach import Approach
from fgrad.gradients.estimators import coefficients, draw
from fgrad.gradients.perturbation import Perturbation
from fgrad.gradients.registry import AGGREGATIONS, MODES, Registry
from fgrad.gradients.sampling import sample

TABLES = {name: table for name, table in vars(registry).items() if isinstance(table, Registry)}


def test_the_tables_and_the_options_are_known_without_torch():
    code = "import sys, fgrad.gradients.approach, fgrad.gradients.laws, fgrad.problems.registry; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("table", TABLES)
def test_what_is_listed_is_there_and_public(table):
    for where in TABLES[table].where.values():
        module, _, name = where.partition(":")
        assert not name.startswith("_")
        assert hasattr(resolve_name(module), name)


def reached(start: Callable[..., object]) -> set[str]:
    """Functions and classes of the package that a definition refers to, however far."""
    found, waiting = set(), [start]
    while waiting:
        one = waiting.pop()
        where = f"{one.__module__}:{one.__qualname__}".removeprefix("fgrad.gradients.")
        if where in found:
            continue
        found.add(where)
        scope = vars(sys.modules[one.__module__])
        for node in ast.walk(ast.parse(inspect.getsource(one))):
            other = scope.get(node.id) if isinstance(node, ast.Name) else None
            assert not (isinstance(other, ModuleType) and other.__name__.startswith("fgrad."))
            if isinstance(other, type | FunctionType) and other.__module__.startswith("fgrad."):
                waiting.append(other)
    return found


def modules(start: Callable[..., object]) -> set[str]:
    return {where.partition(":")[0] for where in reached(start)}


def test_what_is_named_is_reached_by_its_name_alone():
    for start in (coefficients, draw):
        assert not modules(start) & {"aggregation", "solve", "laws", "sampling"}
    assert "laws" not in modules(sample)
    for name in set(AGGREGATIONS) - {"projection"}:
        assert modules(AGGREGATIONS[name]) == {"aggregation"}
        assert not any("projection" in where for where in reached(AGGREGATIONS[name]))
    assert "solve:decompose" in reached(AGGREGATIONS["projection"])


def test_a_mode_reaches_no_other():
    alone = {"blocks", "draws", "inputs", "jacobians", "kernels", "measuring", "state"}
    shared = alone | {"approach", "explicit", "stateful", "fgrad.plugins"}
    drawn = shared | {"estimators"}
    expected = {
        "backpropagation": alone,
        "activations-sim": drawn | {"activations", "dense", "tail"},
        "activations-fwad": drawn | {"activations", "agreement", "perturbed"},
        "weights-sim": drawn | {"weights"},
        "weights-exact": shared | {"weights", "sampling"},
        "weights-fwad": drawn | {"weights", "agreement", "perturbed"},
        "weights-whole": drawn | {"weights", "perturbed"},
    }
    assert {mode: modules(MODES[mode]) for mode in MODES} == expected
    assert not modules(Perturbation) & {"activations", "weights", "sampling", "aggregation"}
    for what in ("activations", "weights"):
        assert "jacobians:jvp" not in reached(MODES[f"{what}-sim"])
        assert "agreement:agreed" not in reached(MODES[f"{what}-sim"])
        assert "jacobians:jvp" in reached(MODES[f"{what}-fwad"])
    assert "estimators:coefficients" not in reached(MODES["weights-exact"])


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_coefficients_are_those_of_the_table(name, generator, monkeypatch):
    v = torch.randn(2, 300, generator=generator)
    d = torch.randn(2, generator=generator)
    seen = []

    def watched(*args: object, **options: object) -> torch.Tensor:
        seen.append(options)
        return d

    monkeypatch.setitem(AGGREGATIONS, name, watched)
    assert coefficients(Approach(aggregation=name), v, d) is d
    assert seen == [{"apart": True} if name == "projection" else {}]
