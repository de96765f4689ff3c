"""Tables of names: nothing is loaded before it is looked up, nothing is reached but by name."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from types import CodeType, ModuleType

import pytest
import torch

from fgrad.gradients import registry
from fgrad.gradients.approach import Approach
from fgrad.gradients.estimators import coefficients, draw
from fgrad.gradients.registry import AGGREGATIONS, Registry
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


def names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names(constant)


def reached(start: Callable[..., object]) -> set[str]:
    """Functions and classes of the room that a function refers to, however far."""
    found, waiting = set(), [start]
    while waiting:
        one = waiting.pop()
        where = f"{one.__module__}:{one.__qualname__}"
        if where in found:
            continue
        found.add(where)
        parts = vars(one).values() if isinstance(one, type) else [one]
        parts = [getattr(part, "fget", part) for part in parts]
        scope = vars(sys.modules[one.__module__])
        for name in {
            name for part in parts if hasattr(part, "__code__") for name in names(part.__code__)
        }:
            other = scope.get(name)
            assert not (isinstance(other, ModuleType) and other.__name__.startswith("fgrad."))
            if getattr(other, "__module__", "").startswith("fgrad.") and hasattr(
                other, "__qualname__"
            ):
                waiting.append(other)
    return found


def modules(start: Callable[..., object]) -> set[str]:
    return {where.partition(":")[0].removeprefix("fgrad.gradients.") for where in reached(start)}


def test_what_is_named_is_reached_by_its_name_alone():
    for start in (coefficients, draw):
        assert not modules(start) & {"aggregation", "solve", "laws", "sampling"}
    assert "laws" not in modules(sample)
    for name in set(AGGREGATIONS) - {"projection"}:
        assert modules(AGGREGATIONS[name]) == {"aggregation"}
        assert not any("projection" in where for where in reached(AGGREGATIONS[name]))
    assert "fgrad.gradients.solve:decompose" in reached(AGGREGATIONS["projection"])


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
