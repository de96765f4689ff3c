"""Tables and schema in config are what `make docs` makes of the options, and say what fgrad checks."""

import copy
import json
import math
import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from fgrad.errors import ConfigError
from fgrad.plan import read
from fgrad.plan.sections import Config
from fgrad.plan.syntax import parsed
from fgrad.validation import validate

ROOT = Path(__file__).parent.parent
DOCS = runpy.run_path(str(ROOT / "docs/options.py"))
SCHEMA = json.loads((ROOT / "config/schema.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "config/README.md").read_text(encoding="utf-8")
EDITOR = Draft202012Validator(SCHEMA)
PAPER = read.read(ROOT / "config/config.yaml")
FILES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("config", "docs", "tests")
    for path in sorted((ROOT / folder).glob("*.yaml"))
]


def test_the_page_of_modules_names_every_key():
    (line,) = re.findall(r"the keys it knows \((.*?)\)", (ROOT / "docs/modules.md").read_text("utf-8"), re.S)  # fmt: skip
    assert set(re.findall(r"`(\w+)`", line)) == set(Config.model_fields)


@pytest.mark.long
def test_what_is_made_is_what_is_there():
    stale = [path.name for path, text in DOCS["made"]().items() if path.read_text("utf-8") != text]
    assert stale == [], "make docs"


@pytest.mark.long
def test_a_page_that_says_something_else_is_stale():
    other = PAGE.replace("| list of names |", "| a name |")
    assert other != PAGE
    assert DOCS["tabled"](other) == PAGE


def test_every_kind_of_keys_has_a_table():
    shown = re.findall(r"<!-- [\w.]+:(\w+) -->", PAGE)
    assert {"Config", *SCHEMA["$defs"]} - set(shown) == set()
    assert len(set(shown)) == len(shown)


def test_no_cell_holds_what_only_python_says():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    for row in rows:
        assert not re.search(r"None|True|False|\(\)|e[+-]0|\bint\b|\bstr\b|Annotated", row), row
        assert row.count(" | ") in (2, 3), row


@pytest.mark.parametrize("name", FILES)
def test_files_name_the_schema_and_follow_it(name):
    first = (ROOT / name).read_text(encoding="utf-8").partition("\n")[0]
    path = first.removeprefix("# yaml-language-server: $schema=")
    assert (ROOT / name).parent.joinpath(path).resolve() == ROOT / "config/schema.json"
    assert list(EDITOR.iter_errors(read.read(ROOT / name))) == []


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def accepted(over: dict[str, Any]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # keys of the release before
        try:
            validate(Config, read.laid_over(PAPER, over), "config")
        except ConfigError:
            return False
    return True


IDEAS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ideas.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "text",
    [
        IDEAS[0],
        "learning_rates: missing",
        "gradients: {}",
        "gradients: {frog: {k: [3]}, new: {aggregation: mean-of-best, sampler: basis, k: [2]}}",
        "gradients: {old: {aggregation: mean, tangents: rademacher, k: [1]}}",
        "gradients: {long: {aggregation: sum, sampler: orthogonal, max_length: 1e3, k: [1]}}",
        "gradients: {away: {aggregation: '../ideas/a_1.py:größer', k: [1]}}",
        "quality: {normalized: [], exact: {samples: 7}, direct: [{n: [1, 3], samples: 2}]}",
        "functions: {steps: {ackley: 3}, search: {range: [1e-30, 1e30], margin: 0}}",
        "angles: {angle: [0.5, 179], function: plane}\nfunctions: {steps: {plane: 5}}",
        "networks: {fc: {device: 'cuda:12', batch: null, rates_of: mnist, widths: []}}",
        "networks: {fc: {perturb: weights, tangents: exact}, data_dir: ~/data}",
        "figures: {formats: [svg], font: serif, column_width: 20, page_width: 20.5}",
        "orphans: cancel\npublished_results: elsewhere/of_theirs.csv",
    ],
)
def test_right_for_fgrad_and_for_an_editor(text):
    over = parsed(text, "text")
    assert accepted(over)
    assert list(EDITOR.iter_errors(over)) == []


@pytest.mark.parametrize(
    "text",
    [
        "colour: red",
        "learning_rates: publish",
        "orphans: null",
        "figures:",
        "figures: {formats: []}",
        "figures: {formats: [pdf, pdf]}",
        "figures: {formats: pdf}",
        "figures: {font_size: 15}",
        "gradients: {frog: {aggregation: nearest}}",
        "gradients: {frog: {sampler: 'my gradients:uniform'}}",
        "gradients: {frog: {aggregation: 'my.py:not a name'}}",
        "gradients: {frog: {k: 4}}",
        "gradients: {frog: {k: [4, 0]}}",
        "gradients: {frog: {k: [4, 4]}}",
        "gradients: {frog: {normalise: true}}",
        "gradients: {frog: {normalize: 1}}",
        "gradients: {a/b: {aggregation: mean, k: [1]}}",
        f"gradients: {{{'a' * 65}: {{aggregation: mean, k: [1]}}}}",
        "gradients: {frog: null}",
        "quality: {gradient: twos}",
        "quality: {direct: [{n: [1]}]}",
        "quality: {direct: []}",
        "quality: {direct: [{n: [1], samples: 5, seed: 3}]}",
        "functions: {sedes: [1]}",
        "functions: {seeds: []}",
        "functions: {seeds: [4294967296]}",
        "functions: {seeds: ['1']}",
        "functions: {n: [1.5]}",
        "functions: {functions: [shpere]}",
        "functions: {steps: {shpere: 3}}",
        "functions: {patience: true}",
        "functions: {search: {range: [1e-6]}}",
        "functions: {search: {range: [0, 1]}}",
        "functions: {search: {warmup: 3}}",
        "angles: {angle: [180]}",
        "angles: {n: 1}",
        "networks: {fc: {device: tpu}}",
        "networks: {fc: {device: 'cuda:01'}}",
        "networks: {fc: {epochs: -1}}",
        "networks: {fc: {rates_of: imagenet}}",
        "networks: {fc: {search: {pruning: hyperband}}}",
        "networks: {lenet: {epochs: 3}}",
        "networks: {data_dir: ''}",
    ],
)
def test_wrong_for_fgrad_and_for_an_editor(text):
    over = parsed(text, "text")
    assert not accepted(over)
    assert not EDITOR.is_valid(over)


Place = tuple[str | int, ...]


def leaves(schema: dict[str, Any], place: Place = ()) -> dict[Place, dict[str, Any]]:
    """Place in a configuration → what stands there, if it is a number or one of some values."""
    schema = SCHEMA["$defs"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    found = {}
    inner = dict(schema.get("properties", {}))
    inner |= dict(enumerate(schema.get("prefixItems", ())))
    inner |= {0: schema["items"]} if "items" in schema else {}
    inner |= dict(zip(["frog"], schema.get("patternProperties", {}).values(), strict=False))
    inner |= {"sphere": schema["additionalProperties"]} if "propertyNames" in schema else {}
    for key, one in inner.items():
        if isinstance(one, dict) and not one.get("deprecated"):
            found |= leaves(one, (*place, key))
    if schema.get("type") in ("integer", "number") or "enum" in schema:
        found[place] = schema
    for way in schema.get("anyOf", ()):
        found |= leaves(way, place)
    return found


LEAVES = leaves(SCHEMA)
NUMBERS = {place: one for place, one in LEAVES.items() if "enum" not in one}


def laid(place: Place, value: Any) -> dict[str, Any]:
    """A layer of a configuration with a value in a place."""
    for key in reversed(place):
        if key == "direct":
            value = [{"n": [1], "samples": 1} | value[0]]
        value = (
            [value] * (2 if place[-2] == "range" else 1) if isinstance(key, int) else {key: value}
        )
    return value


def taken(place: Place, value: Any) -> bool:
    """Whether the options take a value there, whatever the others are."""
    try:
        Config.model_validate(read.laid_over(copy.deepcopy(PAPER), laid(place, value)))
    except ValidationError as error:
        return not any(one["loc"][: len(place)] == place for one in error.errors())
    return True


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Numbers in, at and beyond the bounds, and what is no number."""
    ends = [schema[end] for end in DOCS["SIGNS"] if end in schema]
    others = st.sampled_from([True, None, "1", 0.5, []])
    if schema["type"] == "integer":
        near = [end + step for end in ends for step in (-1, 0, 1)]
        inside = st.integers(min(ends), max(ends))
        return st.sampled_from(near) | inside | st.integers(-(10**20), 10**20) | others
    near = [
        one
        for end in ends
        for one in (end, *(math.nextafter(end, way * math.inf) for way in (-1, 1)))
    ]
    every = st.floats(allow_nan=False, allow_infinity=False)
    return st.sampled_from(near) | st.floats(min(ends), max(ends)) | every | others


def test_there_are_places_to_try():
    assert len(NUMBERS) > 60
    assert ("functions", "search", "range", 0) in NUMBERS
    assert ("quality", "direct", 0, "n", 0) in NUMBERS
    assert ("gradients", "frog", "k", 0) in NUMBERS


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_numbers_are_taken_where_the_schema_says(data):
    place = data.draw(st.sampled_from(list(NUMBERS)))
    value = data.draw(values(NUMBERS[place]))
    assert taken(place, value) == EDITOR.is_valid(laid(place, value)), (place, value)


@pytest.mark.parametrize("place", NUMBERS, ids=lambda place: ".".join(map(str, place)))
def test_bounds_are_those_of_the_options(place):
    """At each bound and one step beyond, on either side."""
    schema = NUMBERS[place]
    whole = schema["type"] == "integer"
    for end in (schema[one] for one in DOCS["SIGNS"] if one in schema):
        for way in (-1, 0, 1):
            value = end + way if whole else math.nextafter(end, way * math.inf) if way else end
            assert taken(place, value) == EDITOR.is_valid(laid(place, value)), value


def test_every_name_in_the_schema_is_taken():
    names = {place: one["enum"] for place, one in LEAVES.items() if "enum" in one}
    assert len(names) > 20
    for place, allowed in names.items():
        assert all(taken(place, name) for name in allowed), place
        assert not taken(place, "no-such-name")
        assert not EDITOR.is_valid(laid(place, "no-such-name"))
