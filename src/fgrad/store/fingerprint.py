"""Hash of the code that can change a job's numbers, definition by definition; nothing is imported.

A *definition* is what is bound at the top of a module: a function, a class, a constant. From the
definitions a job begins with, every name they use is followed to the definition behind it, and all
that is found is hashed. What only says something is left out: docstrings, annotations, messages of
errors, lines for a log; and so are the rooms that move numbers but do not make them (`UNHASHED`).
Files of the user's own that a job refers to (`fgrad.plugins`) are followed and hashed the same way.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import fgrad
from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.store.syntax import annotated, bound, called, dotted, plain, silenced, stored

PACKAGE = Path(__file__).parent.parent
NAME = PACKAGE.name

UNHASHED = (
    "cli", "errors", "jobs", "orphans", "outlook", "plan", "plugins", "store", "upkeep",
    "validation",
    "problems.published", "experiments.gpus",
)  # fmt: skip
"""Rooms and modules that say, check, plan and save, but make no number.
`fgrad.problems.published` makes files that are known by their checksums and their format;
`fgrad.experiments.gpus` finds a GPU, which is recorded as the option ``device`` is."""

OPTIONS = ("options", "gradients.approach")
"""Where functions and constants count but classes do not: what they hold is a job's parameter."""

Key: TypeAlias = tuple[str, str]
"""Module and name; the name is empty for all of a module."""


class UnknownReferenceError(ConfigError):
    """A reference to a module or definition that is not there, or cannot be followed."""


@dataclass(frozen=True)
class _Module:
    """A module's definitions by name, its imports, and statements that are neither.

    An import is what a name is bound to: a module and a name in it, which is empty for the module.
    All statements are without what only says something; what their annotations name is kept apart.
    """

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Key] = field(default_factory=dict)
    foreign: dict[str, Key] = field(default_factory=dict)
    """Imports from elsewhere."""
    loose: list[ast.stmt] = field(default_factory=list)
    types: dict[int, set[str]] = field(default_factory=dict)


def fingerprint(*references: str | Path) -> str:
    """Hash of all code that the given definitions may run.

    Comments, docstrings, formatting, annotations, messages and definitions that nothing refers to
    leave the hash as it is; a changed formula does not.

    Args:
        references: each ``module:attribute``, or the path of a script, whose every line counts.

    Returns:
        16 hexadecimal digits, the same for every version of Python.

    Raises:
        UnknownReferenceError: if there is no such module or definition.
    """
    _follow_plugins()
    return _fingerprint(*references)


@cache
def _fingerprint(*references: str | Path) -> str:
    parts = [f"{module}:{name} {_hash(module, name)}" for module, name in closure(*references)]
    parts += [_digest(_script(Path(one))) for one in references if _is_path(one)]
    return _digest("\n".join(sorted(parts)))


def closure(*references: str | Path) -> frozenset[Key]:
    """The definitions, as module and name, that the given ones may run; raises as `fingerprint`."""
    _follow_plugins()
    return frozenset().union(*map(_closure, references))


@cache
def _closure(reference: str | Path) -> frozenset[Key]:
    if _is_path(reference):
        path = Path(reference)
        waiting = _references(_parsed(path), str(path), _all(path))
    else:
        module, _, name = str(reference).partition(":")
        waiting = [_defined(module, name, str(reference))]
    found: set[Key] = set()
    while waiting:
        key = waiting.pop()
        if key not in found and _counts(*key):
            found.add(key)
            waiting += _used(*key)
    return frozenset(found)


class Watch:
    """The fingerprint of definitions, and whether their files were edited since.

    Args:
        references: as in `fingerprint`.
    """

    def __init__(self, *references: str | Path) -> None:
        self.references = references
        self.code = fingerprint(*references)
        modules = {path_of(module) for module, _ in closure(*references)}
        self.files = sorted({one for one in modules if one}, key=str)
        self.files += [Path(one) for one in references if _is_path(one)]
        self.before = self._content()

    def edited(self) -> bool:
        """Whether the fingerprint is another one now."""
        try:
            if self._content() == self.before:
                return False
            clear()
            return fingerprint(*self.references) != self.code
        except (OSError, SyntaxError, UnknownReferenceError):
            return True

    def _content(self) -> list[bytes]:
        return [one.read_bytes() for one in self.files]


def lines(module: str, name: str) -> Iterator[range]:
    """Lines of a definition in its module's file, decorators included."""
    for statement in _statements(module, name):
        decorators = [d.lineno for d in getattr(statement, "decorator_list", [])]
        yield range(min([statement.lineno, *decorators]), (statement.end_lineno or 0) + 1)


@cache
def path_of(module: str) -> Path | None:
    """File of a module of the package or of a file in use; ``None`` if there is none."""
    if module.startswith(f"{plugins.PACKAGE}."):
        return plugins.path_of(module)
    if module.split(".", maxsplit=1)[0] != NAME:
        return None
    path = PACKAGE.joinpath(*module.split(".")[1:])
    candidates = path.with_suffix(".py"), path / "__init__.py"
    return next((one for one in candidates if one.exists()), None)


def clear() -> None:
    """Forget what was read of files, which may have been edited since."""
    for cached in (_fingerprint, _closure, _parsed, _named, _text, _hash, _used, path_of):
        cached.cache_clear()


_FOLLOWED: dict[str, object] = {}


def _follow_plugins() -> None:
    """Forget what was read if other files of the user's own are in use now."""
    if _FOLLOWED.get("state") is not plugins.state():
        clear()
        _FOLLOWED["state"] = plugins.state()


def _is_path(reference: str | Path) -> bool:
    return isinstance(reference, Path) or reference.endswith(".py")


def _counts(module: str, name: str) -> bool:
    """Whether a definition can change a number."""
    inner = module.removeprefix(f"{NAME}.")
    if module.startswith(f"{plugins.PACKAGE}."):
        return path_of(module) is not None
    if path_of(module) is None or inner.endswith("registry"):
        return False
    if _within(inner, UNHASHED):
        return False
    if not _within(inner, OPTIONS):
        return True
    return bool(name) and not any(isinstance(s, ast.ClassDef) for s in _statements(module, name))


def _within(inner: str, rooms: tuple[str, ...]) -> bool:
    return any(f"{inner}.".startswith(f"{one}.") for one in rooms)


def _defined(module: str, name: str, reference: str) -> Key:
    """Where a name that a module knows is defined."""
    if module == NAME and name in fgrad.__all__:
        return _defined(*fgrad.defined(name), reference)
    path = path_of(module)
    if path is None:
        raise UnknownReferenceError(f"{reference}: there is no module {module}")
    parsed = _parsed(path)
    if not name or name in parsed.definitions:
        return module, name
    if path_of(f"{module}.{name}") is not None:
        return f"{module}.{name}", ""
    if name in parsed.imports:
        return _defined(*parsed.imports[name], reference)
    if any(name in stored(one) for one in parsed.loose):
        return module, ""
    raise UnknownReferenceError(f"{reference}: {module} has no {name}")


@cache
def _parsed(path: Path) -> _Module:
    parsed = _Module()
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise UnknownReferenceError(f"{path}, line {error.lineno}: {error.msg}") from None
    noted = {id(statement): annotated(statement) for statement in body}
    for statement in silenced(body):
        parsed.types[id(statement)] = noted.get(id(statement), set())
        names = bound(statement)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            _check_import(path, statement)
            for name, key in _imported(statement, path).items():
                (parsed.imports if _is_own(key) else parsed.foreign)[name] = key
        elif names:
            for name in names:
                parsed.definitions.setdefault(name, []).append(statement)
        else:
            parsed.loose.append(statement)
    own = parsed.definitions.keys() | parsed.imports.keys()
    for statement in chain(*parsed.definitions.values()):
        # what a decorator of one's own does with it, as registering it, is not in its name
        decorators = getattr(statement, "decorator_list", [])
        if any((dotted(called(one)) or [""])[0] in own for one in decorators):
            parsed.loose.append(statement)
    return parsed


def _check_import(path: Path, statement: ast.Import | ast.ImportFrom) -> None:
    """Refuse what would not be followed."""
    if not isinstance(statement, ast.ImportFrom):
        return
    module = statement.module or ""
    beside = plugins.module_beside(path, module)
    if not beside and not path.is_relative_to(PACKAGE):
        return
    every = any(a.name == "*" for a in statement.names) and (beside or _is_own((module, "")))
    if statement.level or every:
        raise UnknownReferenceError(
            f"{path.name if beside else path}, line {statement.lineno}: relative imports and * "
            f"cannot be followed; from {module if beside else f'{NAME}.…'} import names"
        )


def _imported(statement: ast.Import | ast.ImportFrom, path: Path | None) -> dict[str, Key]:
    """What names an import binds in a file."""

    def meant(module: str) -> str:
        return (path and plugins.module_beside(path, module)) or module

    if isinstance(statement, ast.Import):
        first = {a.name: a.name.partition(".")[0] for a in statement.names}
        return {
            a.asname or first[a.name]: (meant(a.name if a.asname else first[a.name]), "")
            for a in statement.names
        }
    module = "." * statement.level + (statement.module or "")
    return {a.asname or a.name: (meant(module), a.name) for a in statement.names}


def _is_own(key: Key) -> bool:
    return key[0].split(".", maxsplit=1)[0] in (NAME, plugins.PACKAGE)


def _statements(module: str, name: str) -> list[ast.stmt]:
    """The statements of a definition; those of the whole module if the name is empty."""
    path = path_of(module)
    assert path is not None
    parsed = _parsed(path)
    own = parsed.definitions[name] if name else [*chain(*parsed.definitions.values())]
    return list(dict.fromkeys([*own, *parsed.loose]))


_text = cache(plain)


@cache
def _named(
    statement: ast.stmt,
) -> tuple[frozenset[tuple[str, ...]], tuple[ast.Import | ast.ImportFrom, ...]]:
    """Dotted names in a statement, each as long as it is written, and the imports within."""
    names: set[tuple[str, ...]] = set()
    imports: list[ast.Import | ast.ImportFrom] = []
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif parts := dotted(node):
            names.add(tuple(parts))
        else:
            waiting += ast.iter_child_nodes(node)
    return frozenset(names), tuple(imports)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@cache
def _hash(module: str, name: str) -> str:
    path = path_of(module)
    assert path is not None
    parsed, statements = _parsed(path), _statements(module, name)
    names = {chain[0] for statement in statements for chain in _named(statement)[0]}
    bound = {n: parsed.foreign[n] for n in names & parsed.foreign.keys()}
    own = {n: _defined(*parsed.imports[n], n) for n in names & parsed.imports.keys()}
    bound |= {n: key for n, key in own.items() if _counts(*key)}
    return _digest(f"{sorted(bound.items())}\n" + "\n".join(map(_text, statements)))


@cache
def _used(module: str, name: str) -> tuple[Key, ...]:
    """The definitions that one refers to."""
    path = path_of(module)
    assert path is not None
    parsed, statements = _parsed(path), _statements(module, name)
    handed = set().union(*(parsed.types[id(one)] for one in statements))
    types = [(module, n) for n in handed if n in parsed.definitions]
    types += [_defined(*parsed.imports[n], n) for n in handed if n in parsed.imports]
    classes = [
        key
        for key in types
        if key[1] and any(isinstance(s, ast.ClassDef) for s in _statements(*key))
    ]
    return (*_references(parsed, module, statements), *classes, *_packages(module))


def _packages(module: str) -> list[Key]:
    """The packages around a module that do something when they are imported."""
    parts = module.split(".")
    around = [".".join(parts[:count]) for count in range(1, len(parts))]
    paths = {package: path_of(package) for package in around}
    return [(package, "") for package, path in paths.items() if path and _parsed(path).loose]


def _references(parsed: _Module, module: str, statements: list[ast.stmt]) -> list[Key]:
    named = [_named(one) for one in statements]
    imports = dict(parsed.imports)
    for node in chain(*(inside for _, inside in named)):
        bound = _imported(node, path_of(module))
        imports.update({n: key for n, key in bound.items() if _is_own(key)})
    found: list[Key] = []
    for first, *rest in {names for chains, _ in named for names in chains}:
        if first in parsed.definitions and path_of(module) is not None:
            found.append((module, first))
        elif first in imports:
            found.append(_followed(imports[first], rest))
    return found


def _followed(bound: Key, rest: list[str]) -> Key:
    """What a dotted name means: attributes of modules are followed, those of objects are not."""
    module, name = _defined(*bound, ".".join(bound))
    while not name and rest:
        module, name = _defined(module, rest[0], module)
        rest = rest[1:]
    return module, name


def _all(path: Path) -> list[ast.stmt]:
    parsed = _parsed(path)
    return [*chain(*parsed.definitions.values()), *parsed.loose]


def _script(path: Path) -> str:
    parsed = _parsed(path)
    imports = sorted((parsed.imports | parsed.foreign).items())
    return f"{imports}\n" + "\n".join(map(_text, _all(path)))
