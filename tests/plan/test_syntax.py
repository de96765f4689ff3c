"""YAML and JSON in which nothing is other than it looks."""

import math

import pytest

from fgrad.errors import ConfigError
from fgrad.plan import read
from fgrad.plan.syntax import parsed

ANCHORS = "".join(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("-0", 0), ("+5", 5), ("0.5", 0.5), (".5", 0.5), ("5.", 5.0), ("'5'", "5"),
        ("1e-6", 1e-6), ("1.0e6", 1e6), ("1E5", 1e5), (".inf", math.inf), ("yes", True),
        ("0.1_0", "0.1_0"), ("1_000", "1_000"), ("010", "010"), ("1:30", "1:30"), ("0x10", "0x10"),
        ("00", "00"), ("'yes'", "yes"), ("", None), ("[1, 2]", [1, 2]), ("&a [1]", [1]),
    ],
)  # fmt: skip
def test_values_are_what_they_look_like(text, value):
    found = parsed(f"key: {text}", "f.yaml")["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a:\n  b: 1\n  b: 2", "line 3: the key 'b' stands there twice"),
        ('{"a": 1, "a": 2}', "the key 'a' stands there twice"),
        ("a: 1\n'a': 2", "line 2: the key 'a' stands there twice"),
        ("x: &a [1, *a]", "a value stands within itself"),
        ("x: &a {b: *a}", "a value stands within itself"),
        ("[" * 9000, "nested too deeply"),
        ("a: " + "9" * 5000, "4300 digits"),
        ("m0: &m0 {x: 1}\n" + ANCHORS, "more than 10000 keys"),
        ("? [1]\n: 2", "unhashable"),
        ("a: !!int x", "invalid literal"),
        ("a: !!timestamp x", "no YAML"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "single document"),
        ("a\tb: 1", "cannot start any token"),
        ("a: [1", "expected ',' or ']'"),
        ("\0", "special characters are not allowed"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_refused(text, reason):
    with pytest.raises(ConfigError) as caught:
        parsed(text, "f.yaml")
    assert str(caught.value).startswith("f.yaml: no YAML: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_json_may_be_indented_by_tabs():
    assert parsed('{\n\t"a": 1e-6}', "f.json") == {"a": 1e-6}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "keys with values"), (b"[1]", "keys with values"), (b"\xff\xfe\0", "cannot be read"), (None, "a folder or a dev")],
)  # fmt: skip
def test_files_that_are_no_configuration(tmp_path, content, reason):
    path = tmp_path / "f.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"f.yaml: {reason}"):
        read.read(path)


def test_values_of_the_command_line_are_read_as_in_a_file():
    given = read.given(['functions={"seeds": [7, 8]}', "functions={mode: fwad}", "orphans="])
    assert given == {"functions": {"seeds": [7, 8], "mode": "fwad"}, "orphans": None}
    with pytest.raises(ConfigError, match=r"^--config functions: no YAML"):
        read.given(["functions=[1"])
