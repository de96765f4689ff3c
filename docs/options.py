"""What a configuration may say, of the options themselves: tables for people, a schema for editors.

``make docs`` writes both: a table below each ``<!-- module:Model -->`` of config/README.md, and
config/schema.json. A table has the keys of a model, without those of a base whose table is above.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from docstring_parser import parse_from_object
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from fgrad.plan.rates import Record
from fgrad.plan.sections import Config
from fgrad.validation import Model

HOME = Path(__file__).resolve().parent.parent

BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
"""What pydantic calls a bound that stands behind a validator, and what JSON Schema does."""

SIGNS = dict(zip(BOUNDS.values(), (">", "≥", "<", "≤"), strict=True))


class Generator(GenerateJsonSchema):
    """Docstrings below fields as descriptions, names of the release before, and no titles."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        kind: type[Model] = schema["cls"]
        del found["title"]
        for name, own in found["properties"].items():
            own["description"] = told(kind)[name]
        for old, new in kind.renamed.items():
            now = {"description": f"Now called `{new}`.", "deprecated": True}
            found["properties"][old] = found["properties"][new] | now
        return found


def told(kind: type[Model]) -> dict[str, str]:
    """Field → what is said below it, by the class that says it last."""
    found = {}
    for one in reversed(kind.__mro__):
        for field in parse_from_object(one).params if issubclass(one, Model) else ():
            found[field.arg_name] = " ".join((field.description or "").split())
    return found


def schema_of(kind: type[Model]) -> dict[str, Any]:
    """A model in JSON Schema."""
    found = kind.model_json_schema(schema_generator=Generator)
    for node in nodes(found):
        for ours, theirs in BOUNDS.items():
            if ours in node:
                node[theirs] = node.pop(ours)
        if "patternProperties" in node:
            node.setdefault("additionalProperties", False)
        if isinstance(node.get("default"), dict):
            del node["default"]
    return found


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a schema, itself first."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            yield from nodes(inner)


def schema() -> dict[str, Any]:
    """What a file of a configuration may say: all of it, or a part that is laid over others.

    So keys are required in entries of lists alone, which are replaced as a whole.
    """
    found = schema_of(Config)
    needed = {f"#/$defs/{name}": one.pop("required", []) for name, one in found["$defs"].items()}
    del found["required"], found["properties"]["gradients"]["minProperties"]
    for node in nodes(found):
        if needed.get(node.get("items", {}).get("$ref")):
            node["items"]["required"] = needed[node["items"]["$ref"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Made by make docs, from the options.",
        "title": "fgrad",
        **found,
        "description": "A configuration, or a part that is laid over another.",
    }


class Tables:
    """Tables of one page, from its first to its last."""

    def __init__(self) -> None:
        self.kinds: list[type[Model]] = []
        self.named: dict[tuple[str, ...], str] = {}
        self.defs: dict[str, Any] = {}

    def table(self, kind: type[Model]) -> str:
        """The keys of a model, those that must be given first, or the columns of a table."""
        found = schema_of(kind)
        self.defs = found.get("$defs", {})
        above = {name for one in self.kinds if issubclass(kind, one) for name in one.model_fields}
        self.kinds.append(kind)
        columns = issubclass(kind, Record)
        names = list(found["properties"])
        if issubclass(kind, Record):
            names = [*kind.columns(), *kind.known]
        required = found.get("required", [])
        if not columns:
            names.sort(key=lambda name: name not in required)
        rows = []
        for name in names:
            if name in above or name in kind.renamed:
                continue
            own = found["properties"][name]
            values = self.words(own)
            if columns and name not in required:
                values += ", or empty"
            default = "" if columns or "default" not in own else f"`{plain(own['default'])}`"
            rows.append((f"`{name}`", values, default, own["description"]))
        head = ("column" if columns else "key", "values", "default", "meaning")
        shown = [place for place in range(4) if place != 2 or any(row[2] for row in rows)]
        lines = [head, ("---",) * 4, *rows]
        return "".join(f"| {' | '.join(line[i] for i in shown)} |\n" for line in lines)

    def words(self, schema: dict[str, Any]) -> str:
        """The values that a schema allows."""
        match schema:
            case {"$ref": _}:
                found = "keys, see below"
            case {"anyOf": [{"enum": names}, *_]} if tuple(names) in self.named:
                found = f"{self.named[tuple(names)]} as above"
            case {"anyOf": ways}:
                if "title" in schema:
                    self.named[tuple(ways[0]["enum"])] = schema["title"]
                found = ", ".join(self.words(way) for way in ways if way != {"type": "null"})
            case {"enum": values} | {"examples": values}:
                found = ", ".join(f"`{value}`" for value in values)
            case {"items": {"$ref": _}}:
                found = "list, see below"
            case {"prefixItems": [one, *_]}:
                found = f"two {several(self.words(one))}"
            case {"items": one}:
                found = f"list of {several(self.words(one))}"
            case {"patternProperties": values}:
                found = f"for each name: {self.words(*values.values())}"
            case {"propertyNames": names, "additionalProperties": value}:
                found = f"for each {self.words(names)}: {self.words(value)}"
            case {"type": "integer" | "number"}:
                found = bounds(schema)
            case _:
                found = {"boolean": "`true`, `false`"}.get(schema["type"]) or schema["title"]
        return found


def several(one: str) -> str:
    """Words for several of what words for one say."""
    return re.sub(r"^(whole )?\w+", r"\g<0>s", one)


def bounds(schema: dict[str, Any]) -> str:
    """The numbers from one bound to another."""
    ends = {sign: number(schema[end]) for end, sign in SIGNS.items() if end in schema}
    whole = schema["type"] == "integer"
    if whole and "<" in ends:
        ends["≤"] = f"{ends.pop('<')} − 1"
    if ends.keys() == {"≥", "≤"}:
        words = [f"{ends['≥']} … {ends['≤']}"]
    else:
        words = [f"{sign} {end}" for sign, end in ends.items()]
    return ", ".join(["whole number" if whole else "number", *words])


def number(value: float) -> str:
    """A number in short; large powers of ten and two as such."""
    for base, least in ((10, 4), (2, 16)):
        power = round(math.log(value, base)) if value > 0 else 0
        if abs(power) >= least and math.isclose(value, float(base) ** power, rel_tol=1e-15):
            return f"{base}{str(power).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return f"{value:g}"


def plain(value: Any) -> str:
    """A value as one writes it in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(plain, value))}]"
    if isinstance(value, float):
        return re.sub(r"e([+-])0*", r"e\1", f"{value:g}")
    return value if isinstance(value, str) else json.dumps(value)


TABLE = re.compile(r"^(<!-- (fgrad[\w.]+:\w+) -->\n)(?:\n(?:\|.*\n)+)?", re.MULTILINE)


def tabled(page: str) -> str:
    """A page with its tables."""
    tables = Tables()
    return TABLE.sub(lambda found: f"{found[1]}\n{tables.table(resolve_name(found[2]))}", page)


def made() -> dict[Path, str]:
    """File → what it is to hold."""
    page = HOME / "config/README.md"
    return {
        page: tabled(page.read_text(encoding="utf-8")),
        HOME / "config/schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
    }


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
