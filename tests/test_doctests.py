"""Every example in a docstring of the package gives what stands there."""

import re
from importlib import import_module, util
from pathlib import Path

import pytest

from examples import examples, failures

SRC = Path(__file__).parent.parent / "src"
TEXTS = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): text
    for path in sorted(SRC.rglob("*.py"))
    if ">>>" in (text := path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("name", TEXTS)
def test_examples(name):
    module = import_module(name)
    assert failures(module) == ""
    tried = sum(len(one.examples) for one in examples(module).values())
    assert tried == len(re.findall(r"^ *>>> ", TEXTS[name], re.MULTILINE))


@pytest.mark.parametrize(
    "text",
    [
        '"""A module.\n\n>>> one() + 1\n3\n"""\ndef one():\n    return 1\n',
        'def one():\n    """A function.\n\n    >>> one()\n    2\n    """\n    return 1\n',
        'class One:\n    def two(self):\n        """A method.\n\n        >>> 1\n        2\n        """\n',
        'ONE = 1\n"""A constant.\n\n>>> ONE\n2\n"""\n',
        'ONE: int = 1\n"""One with its type.\n\n>>> TWO\n1\n"""\n',
    ],
)
def test_a_wrong_example_is_found(text, tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(text)
    spec = util.spec_from_file_location("wrong", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "Failed example:" in failures(module)
