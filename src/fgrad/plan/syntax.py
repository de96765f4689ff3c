"""YAML and JSON in which nothing is other than it looks: keys once, plain numbers."""

import json
import re
from typing import Any, ClassVar

import yaml

from fgrad.errors import ConfigError
from fgrad.options.base import LONGEST

_NONE = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""What reading raises where a text is no YAML, a wrong tag included."""


def parsed(text: str, where: object) -> Any:
    """What a text in YAML or JSON stands for.

    Args:
        text: YAML; its numbers are those of JSON, and ``1e-6`` is one. In YAML 1.1, which Snakemake
            reads, ``0.1_0``, ``010`` and ``1:30`` are numbers too, and others than they look.
        where: named in messages.

    Raises:
        ConfigError: if it is neither, or gives a key twice.
    """
    try:
        try:
            return json.loads(text, object_pairs_hook=_once)
        except json.JSONDecodeError:
            return yaml.load(text, _Loader)
    except _NONE as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"{where}: no YAML: {reason}") from None
    except RecursionError:
        raise ConfigError(f"{where}: no YAML: nested too deeply") from None


_TWICE = "the key {!r} stands there twice; keep one"


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping of pairs; raises ValueError if a key is there twice."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(_TWICE.format(key))
        found[key] = value
    return found


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Keys once, numbers as they look, and no value within itself."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [(tag, form) for tag, form in forms if not tag.endswith((":int", ":float"))]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As YAML has it, but for an alias of what it stands in."""
        open_anchor = self.check_event(yaml.AliasEvent) and self.anchors.get(
            self.peek_event().anchor
        )
        if open_anchor and open_anchor.end_mark is None:
            raise ValueError("a value stands within itself")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """As YAML has it, but for keys that are there twice."""
        keys = set()
        for key in (key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"):
            name = self.construct_object(key, deep=True)
            if name in keys:
                raise ValueError(f"line {key.start_mark.line + 1}: {_TWICE.format(name)}")
            keys.add(name)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found

    def flatten_mapping(self, node: Any) -> None:
        """As YAML has it, for a bounded number of keys: merges of merges grow without end."""
        super().flatten_mapping(node)
        if len(node.value) > LONGEST:
            raise ValueError(f"more than {LONGEST} keys")


_DIGITS = list("-+.0123456789")
_WHOLE = r"(0|[1-9][0-9]*)"
for _tag, _form in {
    "int": rf"[-+]?{_WHOLE}$",
    "float": rf"[-+]?({_WHOLE}(\.[0-9]*|(?=[eE]))|\.[0-9]+)([eE][-+]?[0-9]+)?$|[-+]?\.inf$|\.nan$",
}.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_form), _DIGITS)
