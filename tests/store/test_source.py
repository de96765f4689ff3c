"""Names and fingerprints from syntax trees."""

import subprocess
import sys
from pathlib import Path

import pytest

from fgrad.store import source


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules, a → b → nothing, c alone."""
    (tmp_path / "a.py").write_text(
        'from fgrad.b import f\n\nX = 1\n"""Text below a constant."""\n\ndef run(x):\n    return f(x) + 1\n'
    )
    (tmp_path / "b.py").write_text('"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    return x * 2\n')
    (tmp_path / "c.py").write_text("def g(x):\n    from fgrad import b\n    return b.f(x)\n")
    monkeypatch.setattr(source, "PACKAGE", tmp_path)
    return tmp_path


def fingerprint(module: str) -> str:
    for cached in (source.fingerprint, source._tree, source._code, source.names):
        cached.cache_clear()
    return source.fingerprint(module)


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("b.py", "x * 2", "x * 3", True),
        ("b.py", "x * 2", "x * 2  # twice", False),
        ("b.py", "    return", "    # a comment\n\n    return", False),
        ("b.py", "Doc", "Other words", False),
        ("b.py", "x * 2", "(x * 2)", False),
        ("a.py", "+ 1", "- 1", True),
        ("a.py", "Text", "Other text", False),
        ("a.py", "X = 1", "X = 2", True),
        ("a.py", "def run", "def walk", True),
        ("c.py", "b.f(x)", "b.f(x) + 1", False),
    ],
)
def test_what_changes_a_fingerprint(package, file, old, new, changes):
    before = fingerprint("a")
    text = (package / file).read_text()
    assert old in text
    (package / file).write_text(text.replace(old, new))
    assert (fingerprint("a") != before) == changes


def test_imports_inside_functions_are_followed(package):
    before = fingerprint("c")
    (package / "b.py").write_text("def f(x):\n    return x\n")
    assert fingerprint("c") != before


def test_a_docstring_is_no_body(package):
    """A function that is a docstring alone is the same as one that passes."""
    (package / "b.py").write_text('def f(x):\n    """Words."""\n')
    alone = fingerprint("b")
    (package / "b.py").write_text("def f(x):\n    pass\n")
    assert fingerprint("b") == alone


def test_checking_a_configuration_needs_no_torch():
    code = (
        "import sys, yaml, pathlib; from fgrad.plan import runs; from fgrad.store import source;"
        "runs.load(yaml.safe_load(open('config/config.yaml')), pathlib.Path('config'));"
        "source.fingerprint('experiments.descent', 'experiments.quality');"
        "sys.exit(bool({'torch', 'pandas', 'matplotlib', 'scipy', 'optuna'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
