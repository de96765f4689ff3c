"""What ran is what is hashed: every line a job executes lies in a definition of its fingerprint."""

import ast
import random
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from fgrad import jobs
from fgrad.experiments import training
from fgrad.gradients.registry import AGGREGATIONS, SAMPLERS
from fgrad.options.base import JobOptions
from fgrad.options.functions import FunctionComparison, FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.problems.data import Split
from fgrad.problems.published import prepare
from fgrad.problems.registry import DATASETS, FUNCTIONS, MODELS
from fgrad.store import fingerprint as fp
from fgrad.store.context import Context

pytestmark = pytest.mark.long

ROOMS = ("gradients", "problems", "experiments")
"""Rooms whose code makes numbers."""

APART = ("registry", "published", "gpus")
"""Their modules that do not: names, the making of files that are known by checksums, and the choice
of a GPU."""

Lines = dict[str, set[int]]


def module_of(file: str) -> str | None:
    """The module of a file in one of the rooms that make numbers."""
    path = Path(file)
    if not path.is_relative_to(fp.PACKAGE):
        return None
    parts = path.relative_to(fp.PACKAGE).with_suffix("").parts
    if parts[0] not in ROOMS or parts[-1] in APART:
        return None
    return ".".join(("fgrad", *(part for part in parts if part != "__init__")))


def executed(work: Callable[[], Any]) -> Lines:
    """Lines of the rooms that some work executes, module by module; imports are done before."""
    work()
    found: Lines = {}

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            module = module_of(frame.f_code.co_filename)
            assert module is not None
            found.setdefault(module, set()).add(frame.f_lineno)
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        return line if module_of(frame.f_code.co_filename) else None

    threading.settrace(call)
    sys.settrace(call)
    try:
        work()
    finally:
        sys.settrace(None)
        threading.settrace(None)
    for module in found:
        if fp._within(module.removeprefix("fgrad."), fp.OPTIONS):
            found[module] -= in_classes(
                module
            )  # what they check is no number, what they hold a parameter
    return found


def in_classes(module: str) -> set[int]:
    tree = ast.parse(Path(str(fp.path_of(module))).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {line for one in classes for line in range(one.lineno, (one.end_lineno or 0) + 1)}


def covered(keys: Iterable[tuple[str, str]]) -> Lines:
    """Lines of definitions."""
    found: Lines = {}
    for module, name in keys:
        for lines in fp.lines(module, name):
            found.setdefault(module, set()).update(lines)
    return found


def uncovered(ran: Lines, keys: Iterable[tuple[str, str]]) -> list[str]:
    """Lines that ran but are in none of the definitions."""
    known = covered(keys)
    return [
        f"{module}:{line}"
        for module, lines in ran.items()
        for line in sorted(lines - known.get(module, set()))
    ]


@dataclass(frozen=True)
class Case:
    """A job, and how it is done in a folder with a prepared data set."""

    run: JobOptions
    work: Callable[[Path, Path], Any]


def computed(run: JobOptions) -> Case:
    def work(folder: Path, source: Path) -> None:
        jobs.carry_out(run, folder / "run.parquet", Context(source=source))

    return Case(run, work)


def trained(**options: Any) -> Case:
    """A training on a handful of made images."""
    run = TrainRun(**{"lr": 0.01, "reduce": 32, "epochs": 2, "batch": 4} | options)

    def work(_: Path, __: Path) -> None:
        facts = DATASETS[run.dataset]
        shape = (8, facts.channels, facts.size, facts.size)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        split = Split(images, torch.arange(8) % facts.classes)
        training.train(run, (split, split, split))

    return Case(run, work)


def function(**options: Any) -> Case:
    return computed(FunctionRun(**dict[str, Any](n=2, lr=0.01, steps=3, seeds=(0, 1)) | options))


FROG: dict[str, Any] = {"gradient": "frog", "k": 2}
FWAD = ("fc", "lenet5", "vit")
"""In forward mode; resnet18 and mlpmixer are not tried in it, as tracing them takes 95 seconds."""
MEAN: dict[str, Any] = {"gradient": "fg-mean", "k": 2}
BP: dict[str, Any] = {"gradient": "bp"}
EACH_AGGREGATION: list[dict[str, Any]] = [
    {"gradient": "own", "k": 2, "approach": {"aggregation": aggregation, "sampler": sampler}}
    for aggregation in AGGREGATIONS
    for sampler in SAMPLERS
    if sampler != "angle"
]
OWN = {"aggregation": "projection", "independent": True, "normalize": True}
CASES: dict[str, Case] = {
    "quality": computed(QualityRun(n=(2, 8), k=(1, 4), samples=3, normalized=("mean",))),
    "quality-few": computed(QualityRun(n=(16,), k=(2,), samples=3, aggregations=("mean",))),
    "quality-large": computed(QualityRun(n=(64,), k=(2,), samples=3, gradient="random-normalized")),
    "quality-angle": computed(QualityRun(n=(8,), k=(3,), samples=3, angle=15.0)),
    "quality-every": computed(
        QualityRun(n=(8,), k=(2,), samples=3, aggregations=tuple(AGGREGATIONS))
    ),
    "exact": computed(QualityRun(n=(2, 100), k=(1, 4), samples=3, method="exact")),
    **{
        f"function-{name}-{gradient['gradient']}": function(function=name, **gradient)
        for name in FUNCTIONS
        for gradient in (BP, MEAN, FROG)
    },
    **{
        f"gradient-{one['approach']['aggregation']}-{one['approach']['sampler']}": function(
            function="sphere", **one
        )
        for one in EACH_AGGREGATION
    },
    "function-fwad": function(function="ackley", mode="fwad", **FROG),
    "function-dependent": function(function="sphere", gradient="frog", k=4, n=3),
    "function-angle": function(function="sphere", angle=(30.0, 60.0), **FROG),
    "function-own": function(function="sphere", gradient="own", k=2, approach=OWN),
    "function-scaled": function(
        function="sphere", gradient="own", k=2, approach={"aggregation": "mean", "scale": True}
    ),
    "search-function": computed(
        FunctionSearch(function="sphere", n=2, steps=5, evaluations=8, repeats=2, **FROG)
    ),
    "search-unbounded": computed(
        FunctionSearch(function="plane", n=2, steps=5, evaluations=4, repeats=2, **BP)
    ),
    "comparison": computed(
        FunctionComparison(function="sphere", n=2, steps=5, lr=0.01, published=0.02, **FROG)
    ),
    "search-network": computed(
        NetworkSearch(model="fc", reduce=64, epochs=2, evaluations=8, generation=2, warmup=0, **BP)
    ),
    "data": computed(TrainRun(model="fc", lr=0.01, reduce=64, epochs=1, **FROG)),
    **{
        f"{model}-{perturb}-{mode}": trained(model=model, perturb=perturb, mode=mode, **FROG)
        for model in MODELS
        for perturb in ("activations", "weights")
        for mode in ("sim", *(["fwad"] if model in FWAD else []))
    },
    "bp": trained(model="fc", **BP),
    "explicit": trained(model="fc", perturb="weights", sampling="explicit", **FROG),
    "law-of-the-mean": trained(model="fc", perturb="weights", **MEAN),
    "statistics": trained(model="fc", statistics=True, augment=True, dataset="cifar10", **FROG),
    **{
        f"schedule-{name}": trained(model="fc", schedule=name, optimizer=optimizer, **BP)
        for name, optimizer in (
            ("exponential", "nesterov"), ("steps", "adam"), ("cosine", "adamw"), ("plateau", "sgd"),
        )
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Callable[[str], Lines]:
    """Lines that a case executes, traced once."""
    found: dict[str, Lines] = {}
    source = tmp_path_factory.mktemp("data") / "mnist5k.pt"
    prepare("mnist5k", None, source)

    def of(name: str) -> Lines:
        if name not in found:
            folder = tmp_path_factory.mktemp("case")
            found[name] = executed(lambda: CASES[name].work(folder, source))
        return found[name]

    return of


@pytest.mark.parametrize("name", CASES)
def test_every_line_that_ran_is_hashed(name, ran):
    keys = fp.closure(*CASES[name].run.code())
    assert sum(map(len, ran(name).values())) > 20
    assert uncovered(ran(name), keys) == []


KINDS = ["quality", "exact", "function-sphere-frog", "search-function", "search-network", "data"]


@pytest.mark.parametrize("name", KINDS)
def test_without_one_definition_it_is_not(name, ran):
    keys = fp.closure(*CASES[name].run.code())
    functions = [
        key
        for key in keys
        if any(
            isinstance(part, ast.FunctionDef) and ran(name).get(key[0], set()) & set(inside(part))
            for part in fp._statements(*key)
        )
    ]
    assert len(functions) > 5
    for key in functions:
        assert uncovered(ran(name), keys - {key}), key


def inside(statement: ast.FunctionDef) -> range:
    """Lines of the body of a function."""
    return range(statement.body[0].lineno, (statement.body[-1].end_lineno or 0) + 1)


@pytest.mark.parametrize("name", KINDS)
def test_a_change_of_any_line_that_ran_changes_the_hash(name, ran, tmp_path, monkeypatch):
    """A statement that is inserted before a line, in a copy of the package."""
    shutil.copytree(fp.PACKAGE, tmp_path / "fgrad", ignore=shutil.ignore_patterns("__pycache__"))
    starts = [
        (module, node.lineno)
        for module, lines in ran(name).items()
        for function in ast.walk(ast.parse(Path(str(fp.path_of(module))).read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.stmt) and node is not function and node.lineno in lines
    ]
    references = CASES[name].run.code()
    monkeypatch.setattr(fp, "PACKAGE", tmp_path / "fgrad")
    fp.clear()
    before = fp.fingerprint(*references)
    tried = 0
    for module, line in random.Random(0).sample(starts, min(40, len(starts))):
        path = Path(str(fp.path_of(module)))
        text = path.read_text()
        mutant = mutated(text, line)
        if mutant is None:
            continue
        path.write_text(mutant)
        fp.clear()
        assert fp.fingerprint(*references) != before, f"{module}:{line}"
        path.write_text(text)
        tried += 1
    assert tried >= 20
    monkeypatch.undo()
    fp.clear()


def mutated(text: str, line: int) -> str | None:
    """A statement more before a line; ``None`` where none can stand, as before an ``else``."""
    lines = text.splitlines(keepends=True)
    own = lines[line - 1]
    indent = own[: len(own) - len(own.lstrip())]
    mutant = "".join([*lines[: line - 1], f"{indent}mutated = 1\n", *lines[line - 1 :]])
    try:
        ast.parse(mutant)
    except SyntaxError:
        return None
    return mutant
