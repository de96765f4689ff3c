"""What is followed from a definition although its name does not say so, and what is refused."""

from pathlib import Path

import pytest

from fgrad.store import fingerprint as fp

BASE = {
    "__init__.py": "",
    "a.py": "from made import b\n\n\ndef run(x):\n    return b.f(x)\n",
    "b.py": "K = 1\n\n\ndef f(x):\n    return x * K\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    home = tmp_path / "made"
    home.mkdir()
    for name, text in BASE.items():
        (home / name).write_text(text)
    monkeypatch.setattr(fp, "PACKAGE", home)
    monkeypatch.setattr(fp, "NAME", "made")
    fp.clear()
    yield home
    monkeypatch.undo()
    fp.clear()


def again(*references: str) -> str:
    fp.clear()
    return fp.fingerprint(*references or ("made.a:run",))


REGISTERED = """
ALL = {}


def register(function):
    ALL[function.__name__] = function
    return function


@register
def g(x):
    return x + 1


def f(x):
    return ALL["g"](x)
"""
DISPATCHED = """
from functools import singledispatch


@singledispatch
def f(x):
    return x


@f.register
def _(x: int):
    return x + 1
"""
CARRIED = """
class Done(BaseException):
    pass


def f(x):
    raise Done(x + 1)
"""
NUMPY = "import numpy as np\n\n\ndef f(x):\n    np.log(x + 1, out=x)\n    return x\n"
DRAWN = "import torch\n\n\ndef f(g):\n    print(torch.rand(1, generator=g) + 1)\n    return g\n"
PATCHED = "from made import c\n\nc.K = 1 + 1\n\n\ndef f(x):\n    return c.h(x)\n"
AGAIN = "from made.c import h\n\n\ndef h(x):\n    return x + 1\n\n\ndef f(x):\n    return h(x)\n"
NAMED = 'from made.c import Law\n\n\ndef f(x, law: "Law"):\n    return law.of(x)\n'
TRIED = "try:\n    f = len\nexcept NameError:\n    f = 1 + 1\n"


@pytest.mark.parametrize(
    ("text", "file", "old", "new"),
    [
        (REGISTERED, "b.py", "x + 1", "x + 2"),
        (DISPATCHED, "b.py", "x + 1", "x + 2"),
        (CARRIED, "b.py", "x + 1", "x + 2"),
        (NUMPY, "b.py", "x + 1", "x + 2"),
        (DRAWN, "b.py", "generator=g) + 1", "generator=g) + 2"),
        (PATCHED, "b.py", "1 + 1", "1 + 2"),
        (AGAIN, "b.py", "x + 1", "x + 2"),
        (NAMED, "c.py", "x * 3", "x * 4"),
        (TRIED, "b.py", "1 + 1", "1 + 2"),
        (BASE["b.py"], "__init__.py", "1", "2"),
    ],
)
def test_what_changes_a_number_is_seen(package, text, file, old, new):
    (package / "__init__.py").write_text("import sys\n\nsys.setrecursionlimit(1000 + 1)\n")
    (package / "b.py").write_text(text)
    (package / "c.py").write_text(
        "K = 3\n\n\ndef h(x):\n    return x * K\n\n\nclass Law:\n    def of(self, x):\n        return x * 3\n"
    )
    before = again()
    content = (package / file).read_text()
    assert old in content
    (package / file).write_text(content.replace(old, new, 1))
    assert again() != before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("from .b import f", "relative imports and * cannot be followed"),
        ("from made.b import *", "relative imports and * cannot be followed"),
        ("def f(:", "line 1: "),
        ("from made.b import gone\n\n\ndef f(x):\n    return gone(x)", "has no gone"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_a_line(package, line, words):
    Path(package / "a.py").write_text(f"{line}\n\n\ndef run(x):\n    return f(x)\n")
    with pytest.raises(fp.UnknownReferenceError) as caught:
        again()
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
