"""Fingerprints: what can change a number changes them, what only says something does not."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgrad.store import fingerprint as module
from fgrad.store.fingerprint import UnknownReferenceError, Watch, closure, fingerprint

ROOT = Path(__file__).parents[2]

FILES = {
    "run.py": '''"""Doc of a module."""

import math
from math import sin as wave
from typing import TYPE_CHECKING

import made.helpers as m
from made.errors import RefusedError
from made.kinds import Kind
from made.registry import NAMES
from made.shared import factor, other
from made.store import log

if TYPE_CHECKING:
    from made.types import Shape

LIMIT = 3
"""Text below a constant."""

TYPED: int = 5


def step(x: "Shape", by: float = 0.5, kind: Kind | None = None) -> float:
    """Doc of a function."""
    local: float = x * by
    assert local < LIMIT, f"{local} is too much"
    if local < 0:
        raise RefusedError(f"{local} is below 0")
    if local > 1:
        log.say("more than one")
    log.progress(1, 2)
    print("at work")
    return local + m.helper(x) + factor() + wave(x) + math.cos(x)


@m.twice
def compute(x):
    from made.inner import deep

    return Runner(x).go() + deep(x) + TYPED + len(NAMES)


def unused(x):
    return other(x)


class Base:
    """Doc of a class."""

    size: int = 1

    def start(self):
        return 0


class Runner(Base):
    def __init__(self, x):
        self.x = x

    def go(self):
        return self.start() + step(self.x)
''',
    "helpers.py": "def twice(f):\n    return lambda x: 2 * f(x)\n\n\ndef helper(x):\n    return x + OFFSET\n\n\nOFFSET = 7\n\n\ndef idle(x):\n    return x\n",
    "shared.py": "from made.deeper import factor\n\n\ndef other(x):\n    return x\n",
    "deeper.py": "TABLE = {}\n\n\ndef factor():\n    return 4 + len(TABLE)\n\n\nTABLE.setdefault('a', 1)\n",
    "inner.py": "def deep(x):\n    return x - 1\n",
    "kinds.py": "class Kind:\n    def value(self):\n        return 1\n",
    "types.py": "class Shape:\n    rank = 1\n",
    "errors.py": "class RefusedError(Exception):\n    pass\n",
    "registry.py": "NAMES = ['a']\n",
    "store/__init__.py": "",
    "store/log.py": "def say(text):\n    print(text)\n\n\ndef progress(done, total):\n    print(done)\n",
    "script.py": "from made.run import compute\n\nanswer = compute(3)\n",
}  # fmt: skip

BEGIN = "made.run:compute"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose `compute` reaches every module."""
    home = tmp_path / "made"
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    monkeypatch.setattr(module, "PACKAGE", home)
    monkeypatch.setattr(module, "NAME", "made")
    module.clear()
    yield home
    monkeypatch.undo()
    module.clear()


def again(*references: str | Path) -> str:
    module.clear()
    return fingerprint(*references)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, old
    ast.parse(text.replace(old, new))
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("run.py", "x * by", "x / by"),
        ("run.py", "LIMIT = 3", "LIMIT = 4"),
        ("run.py", "TYPED: int = 5", "TYPED: int = 6"),
        ("run.py", "by: float = 0.5", "by: float = 0.25"),
        ("run.py", "@m.twice\n", ""),
        ("run.py", "@m.twice\n", "@m.idle\n"),
        ("run.py", "class Runner(Base)", "class Runner"),
        ("run.py", "return 0", "return 1"),  # a method of the base class
        ("run.py", "self.start() + step", "self.start() - step"),  # a method
        ("run.py", "size: int = 1", "size: int = 2"),
        ("run.py", "size: int = 1", "size: float = 1"),  # a field of a data class
        ("run.py", "local < LIMIT", "local <= LIMIT"),
        ("run.py", "if local < 0:", "if local < 1:"),
        ("run.py", "raise RefusedError(", "raise ValueError("),  # may be caught elsewhere
        ("run.py", "from made.shared import factor, other", "from made.shared import other as factor, other"),
        ("run.py", "from math import sin as wave", "from math import cos as wave"),
        ("run.py", "import math\n", "import cmath as math\n"),
        ("run.py", "from made.inner import deep", "from made.helpers import idle as deep"),
        ("run.py", "deep(x) + TYPED", "TYPED + deep(x)"),
        ("helpers.py", "x + OFFSET", "x - OFFSET"),  # through an alias of its module
        ("helpers.py", "OFFSET = 7", "OFFSET = 8"),
        ("helpers.py", "2 * f(x)", "3 * f(x)"),  # a decorator
        ("deeper.py", "4 +", "5 +"),  # through another module that has its name
        ("deeper.py", "'a', 1", "'a', 2"),  # a statement that is no definition
        ("deeper.py", "TABLE.setdefault('a', 1)", "pass"),
        ("deeper.py", "TABLE = {}", "TABLE = {1: 1}"),
        ("inner.py", "x - 1", "x - 2"),  # imported in a function
        ("kinds.py", "return 1", "return 2"),  # of what is handed in
    ],
)  # fmt: skip
def test_what_changes_a_fingerprint(package, file, old, new):
    before = again(BEGIN)
    edit(package / file, old, new)
    assert again(BEGIN) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("run.py", "LIMIT = 3", "LIMIT = 3  # a comment"),
        ("run.py", "    local: float", "    # a comment\n\n    local: float"),
        ("run.py", "Doc of a module", "Other words"),
        ("run.py", "Doc of a function", "Other words"),
        ("run.py", "Doc of a class", "Other words"),
        ("run.py", '    """Doc of a function."""\n', ""),
        ("run.py", "Text below a constant", "Other words"),
        ("run.py", "x * by", "(x * by)"),
        ("run.py", "x * by", "x*by"),
        ("run.py", "@m.twice\ndef compute(x):", "@m.twice\ndef compute(\n    x,\n):"),
        ("run.py", "from made.shared import factor, other", "from made.shared import (\n    other,\n    factor,\n)"),
        ("run.py", 'x: "Shape"', 'x: "float"'),
        ("run.py", "by: float", "by: int"),
        ("run.py", "-> float", "-> int"),
        ("run.py", "local: float = x", "local = x"),
        ("run.py", "TYPED: int = 5", "TYPED: float = 5"),
        ("run.py", "TYPED: int = 5", "TYPED = 5"),
        ("run.py", "is too much", "is far too much"),
        ("run.py", ', f"{local} is too much"', ""),
        ("run.py", "is below 0", "is less than 0"),
        ("run.py", '"more than one"', 'f"{local} is more than one"'),
        ("run.py", "log.progress(1, 2)", "log.progress(2, 2)"),
        ("run.py", "    log.progress(1, 2)\n", ""),
        ("run.py", '    print("at work")\n', ""),
        ("run.py", "if local > 1:", "if local > 2:"),  # it only says something
        ("run.py", '    if local > 1:\n        log.say("more than one")\n', ""),
        ("run.py", "return other(x)", "return other(x) + 1"),  # nothing refers to it
        ("run.py", "def unused(x):", "def added(x):\n    return x\n\n\ndef unused(x):"),
        ("run.py", "from made.store import log", "from made.store import log, log as logs"),
        ("helpers.py", "def idle(x):\n    return x", "def idle(x):\n    return -x"),
        ("shared.py", "return x", "return -x"),
        ("registry.py", "['a']", "['a', 'b']"),
        ("types.py", "rank = 1", "rank = 2"),  # for type checkers alone
        ("errors.py", "    pass", "    text = 'refused'"),
        ("store/log.py", "print(text)", "print(text, flush=True)"),
    ],
)  # fmt: skip
def test_what_changes_no_fingerprint(package, file, old, new):
    before = again(BEGIN)
    edit(package / file, old, new)
    assert again(BEGIN) == before


def test_names_that_are_exchanged_are_other_code(package):
    """The same definitions, called the other way round."""
    source = (
        "from made.helpers import {} as a, {} as b\n\n\ndef compute(x):\n    return a(x) - b(x)\n"
    )
    found = set()
    for names in (("helper", "idle"), ("idle", "helper")):
        (package / "run.py").write_text(source.format(*names))
        found.add(again(BEGIN))
    assert len(found) == 2


def test_a_definition_that_moves_behind_its_name_stays_what_it_is(package):
    """What a module hands on is the definition itself, wherever it is imported from."""
    before = again(BEGIN)
    edit(package / "run.py", "from made.shared import factor, other", "from made.deeper import factor\nfrom made.shared import other")  # fmt: skip
    assert again(BEGIN) == before


def test_a_docstring_is_no_body(package):
    """A function that is a docstring alone is the same as one that passes."""
    (package / "inner.py").write_text('def deep(x):\n    """Words."""\n')
    alone = again(BEGIN)
    (package / "inner.py").write_text("def deep(x):\n    pass\n")
    assert again(BEGIN) == alone


def test_the_order_of_definitions_and_references_does_not_count(package):
    before = again(BEGIN, "made.shared:other")
    assert again("made.shared:other", BEGIN) == before
    parts = FILES["helpers.py"].split("\n\n\n")
    (package / "helpers.py").write_text("\n\n\n".join([*parts[1:], parts[0]]))
    assert again(BEGIN, "made.shared:other") == before


def test_the_closure_is_what_is_reached(package):
    names = {name for home, name in closure(BEGIN) if home == "made.run"}
    assert names == {"compute", "Runner", "Base", "step", "LIMIT", "TYPED"}
    modules = {home for home, _ in closure(BEGIN)}
    assert modules == {f"made.{name}" for name in ("run", "helpers", "deeper", "inner", "kinds")}
    assert closure("made.helpers:helper") == {
        ("made.helpers", "helper"),
        ("made.helpers", "OFFSET"),
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("script.py", "compute(3)", "compute(4)", True),
        ("script.py", "import compute", "import unused as compute", True),
        ("script.py", "answer = ", "# a comment\nanswer = ", False),
        ("script.py", "answer = compute(3)", "answer = compute(3)\nprint('done')", False),
        ("run.py", "x * by", "x / by", True),
        ("run.py", "return other(x)", "return other(x) + 1", False),
    ],
)
def test_a_script_begins_with_all_of_its_lines(package, file, old, new, changes):
    script = package / "script.py"
    before = again(script)
    assert before == again(str(script)) != again(BEGIN)
    edit(package / file, old, new)
    assert (again(script) != before) == changes


def test_a_script_from_elsewhere_says_where_its_names_are_from(package, tmp_path):
    script = tmp_path / "own.py"
    found = set()
    for name in ("sin", "cos"):
        script.write_text(f"from math import {name} as f\n\nanswer = f(1)\n")
        found.add(again(script))
    assert len(found) == 2


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("made.nowhere:f", "made.nowhere:f: there is no module made.nowhere"),
        ("made.run:nothing", "made.run:nothing: made.run has no nothing"),
        ("other.run:compute", "other.run:compute: there is no module other.run"),
    ],
)
def test_unknown_references_are_named(package, reference, message):
    with pytest.raises(UnknownReferenceError) as caught:
        fingerprint(reference)
    assert caught.value.args == (message,)


def test_a_reference_within_the_code_that_leads_nowhere_is_named(package):
    edit(package / "run.py", "m.helper(x)", "m.gone(x)")
    with pytest.raises(UnknownReferenceError, match="has no gone"):
        again(BEGIN)


EXPECTED = "3e1f084d64b0e458"
"""Whoever changes it makes every result stale."""


def test_the_same_for_every_python(package):
    """The very value, here and by every other interpreter that is installed."""
    assert again(BEGIN) == EXPECTED
    code = (
        "import sys, pathlib, types; errors = types.ModuleType('fgrad.errors');"
        "errors.ConfigError = Exception; sys.modules['fgrad.errors'] = errors;"  # no pydantic there
        "from fgrad.store import fingerprint as f;"
        f"f.NAME, f.PACKAGE = 'made', pathlib.Path({str(package)!r});"
        f"print(f.fingerprint({BEGIN!r}))"
    )
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 16)]
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python"))
    for python in [sys.executable, *filter(None, found), *map(str, pyenv)]:
        environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
        command = [python, "-S", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode == 0:  # else a name without an interpreter behind it
            assert done.stdout.strip() == EXPECTED, python


def test_fields_that_another_python_adds_do_not_count(package, monkeypatch):
    before = again(BEGIN)
    parse = ast.parse

    def newer(text: str, **options: Any) -> ast.AST:
        tree: ast.AST = parse(text, **options)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                vars(node).update(_fields=(*node._fields, "added", "listed"), added=None, listed=[])
        return tree

    monkeypatch.setattr(ast, "parse", newer)
    assert again(BEGIN) == before


def test_a_watch_tells_of_edits_that_count(package):
    watch = Watch(BEGIN, package / "script.py")
    assert watch.code == again(BEGIN, package / "script.py")
    assert not watch.edited()
    (package / "inner.py").touch()
    (package / "shared.py").write_text("")
    (package / "shared.py").write_text(FILES["shared.py"])
    edit(package / "helpers.py", "    return x + OFFSET", "    # a comment\n    return x + OFFSET")
    assert not watch.edited()
    edit(package / "helpers.py", "x + OFFSET", "x - OFFSET")
    assert watch.edited()
    (package / "helpers.py").write_text(FILES["helpers.py"])
    assert not watch.edited()


@pytest.mark.parametrize("name", ["helpers.py", "script.py", "inner.py"])
@pytest.mark.parametrize("damage", [None, "def (\n", "# nothing\n"])
def test_a_watch_survives_files_that_go_or_break(package, name, damage):
    watch = Watch(BEGIN, package / "script.py")
    if damage is None:
        (package / name).unlink()
    else:
        (package / name).write_text(damage)
    assert watch.edited()


KINDS = (
    "fgrad.experiments.quality:compute_direct",
    "fgrad.experiments.quality:compute_exact",
    "fgrad.experiments.descent:compute",
    "fgrad.experiments.training:compute",
    "fgrad.experiments.search.functions:compute",
    "fgrad.experiments.search.networks:compute",
)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the package."""
    home = tmp_path_factory.mktemp("copied") / "fgrad"
    shutil.copytree(ROOT / "src/fgrad", home, ignore=shutil.ignore_patterns("__pycache__"))
    return home


@pytest.fixture
def on_copy(copied, monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", copied)
    module.clear()
    yield copied
    monkeypatch.undo()
    module.clear()


MODULES = sorted(
    str(path.relative_to(ROOT / "src/fgrad"))
    for room in ("gradients", "problems", "experiments", "options", "store")
    for path in (ROOT / "src/fgrad" / room).rglob("*.py")
)


def statements(text: str) -> list[ast.stmt]:
    """Those that begin a line of their own."""
    lines = text.splitlines()
    found = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt))
    return [s for s in found if not lines[s.lineno - 1][: s.col_offset].strip()]


def said(text: str, draw) -> str:
    """The text with a comment, blank lines, a docstring or a line that prints put somewhere."""
    lines = text.splitlines(keepends=True)
    where = draw(st.sampled_from(statements(text)))
    first = min([where.lineno, *(d.lineno for d in getattr(where, "decorator_list", []))])
    indent = " " * where.col_offset
    later = where.col_offset or not text[: text.find("\n")].startswith("from __future__")
    kinds = ["# words", "\n\n", '"""Words."""', "'words'", "print('words')"]
    kind = draw(st.sampled_from(kinds if later else kinds[:2]))
    if isinstance(where, ast.If) and "elif" in lines[first - 1]:
        kind = "\n\n"
    return "".join([*lines[: first - 1], f"{indent}{kind}\n", *lines[first - 1 :]])


@pytest.fixture(scope="module")
def untouched():
    """The fingerprints of the package as it is."""
    return {kind: fingerprint(kind) for kind in KINDS}


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.long
def test_words_anywhere_in_the_package_change_no_fingerprint(untouched, on_copy, data):
    originals = {name: (on_copy / name).read_text() for name in MODULES}
    written = [name for name in MODULES if statements(originals[name])]
    try:
        for name in data.draw(st.lists(st.sampled_from(written), min_size=1, max_size=12)):
            path = on_copy / name
            path.write_text(said(path.read_text(), data.draw))
        module.clear()
        assert {kind: fingerprint(kind) for kind in KINDS} == untouched
    finally:
        for name, text in originals.items():
            (on_copy / name).write_text(text)


def test_a_number_in_any_definition_that_counts_changes_the_fingerprint(on_copy):
    """The other way round: every constant of a formula in the closure of a descent."""
    (kind,) = KINDS[2:3]
    before = again(kind)
    tried = 0
    for home, name in sorted(closure(kind)):
        path = module.path_of(home)
        assert path is not None
        text = path.read_text()
        lines = text.splitlines(keepends=True)
        found = [
            node
            for statement in module._statements(home, name)
            for node in ast.walk(statement)
            if isinstance(node, ast.Constant) and type(node.value) in (int, float)
        ]
        for node in found[:2]:
            line = lines[node.lineno - 1].encode()
            changed = line[: node.col_offset] + b"12345" + line[node.end_col_offset :]
            path.write_text("".join([*lines[: node.lineno - 1], changed.decode(), *lines[node.lineno :]]))  # fmt: skip
            assert again(kind) != before, (home, name, line)
            tried += 1
        path.write_text(text)
    assert again(kind) == before
    assert tried > 15


def test_no_module_is_imported_relatively():
    """Such imports are not followed."""
    for path in (ROOT / "src/fgrad").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_checking_a_configuration_needs_no_torch():
    code = (
        "import sys, yaml, pathlib; from fgrad.plan import runs, status;"
        "_, found = runs.load(yaml.safe_load(open('config/config.yaml')), pathlib.Path('config'));"
        "assert len(status.Status(found, pathlib.Path('workflow/scripts')).stale) > 264;"
        "sys.exit(bool({'torch', 'pandas', 'matplotlib', 'scipy', 'optuna'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
