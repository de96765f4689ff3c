"""Files of the user's own that a name refers to: ``my_gradients.py:weighted``.

A *reference* stands wherever the name of an aggregation, a sampler, a function, a model or a data
set does. Its *sources* are the file and what that imports from its own folder, as texts by their
path in that folder: they travel with the options of a run, so that it can be computed where the
files are not, and is fingerprinted as the package's own code is. What is in `use` is laid out in a
folder of this process and imported from there.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from fgrad.errors import ConfigError

PACKAGE = "own"
"""What stands before a module's name in references to definitions, and in no import."""

REFERENCE = re.compile(r"([^:]*\.py):(.*)", re.DOTALL)

PATTERN = r"^([^:]*/)?[^\s\d:/.-][^\s:/.-]*\.py:[^\s\d:/.-][^\s:/.-]*$"
"""References as Python and JavaScript both can tell them; `parts` looks more closely."""

SIZE = 10**6
"""Bytes of a source at most."""


def is_reference(name: object) -> bool:
    """Whether a name refers to a file."""
    return isinstance(name, str) and REFERENCE.fullmatch(name) is not None


def parts(reference: str) -> tuple[str, str]:
    """File and name of a reference.

    Raises:
        ConfigError: if it is none, or its name is no name of Python's.
    """
    found = REFERENCE.fullmatch(reference)
    if found is None or not found[2].isidentifier() or not Path(found[1]).stem.isidentifier():
        raise ConfigError(
            f"{reference}: a file and a name in it are needed, such as my_file.py:name"
        )
    return found[1], found[2]


def short(name: str) -> str:
    """What is shown of a name: of a reference the name in its file."""
    return parts(name)[1] if is_reference(name) else name


def definition(reference: str) -> str:
    """A reference as ``module:attribute``, as the package's own definitions are referred to."""
    file, name = parts(reference)
    return f"{PACKAGE}.{Path(file).stem}:{name}"


def references(values: object) -> Iterator[str]:
    """Every reference among plain values, each once for each place."""
    if is_reference(values):
        yield str(values)
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from references(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from references(value)


def collect(reference: str, folder: Path) -> dict[str, str]:
    """Sources of a reference; nothing is imported.

    Args:
        reference: with a path below the folder.
        folder: what the path is relative to.

    Returns:
        Path below the file's own folder → text, the file first.

    Raises:
        ConfigError: if the file is missing, cannot be read, is no Python, has no such name, or is
            not below the folder.
    """
    file, name = parts(reference)
    path = folder / file
    if Path(file).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{reference}: the path must lead to a file below {folder}")
    tree = _parsed(path, reference)
    if name not in (known := list(_bound(tree))):
        there = ", ".join(known[:20]) or "nothing"
        raise ConfigError(f"{reference}: {path} defines no {name}; it has {there}")
    found = {path.name: path}
    waiting = [tree]
    while waiting:
        for inner in _imported(waiting.pop(), path.parent):
            if inner not in found:
                found[inner] = path.parent / inner
                waiting.append(_parsed(found[inner], reference))
    return {inner: one.read_text(encoding="utf-8") for inner, one in found.items()}


def merged(*sources: Mapping[str, str]) -> dict[str, str]:
    """Sources together.

    Raises:
        ConfigError: if two files are of one name.
    """
    found: dict[str, str] = {}
    for one in sources:
        for file, text in one.items():
            if found.setdefault(file, text) != text:
                raise ConfigError(f"{file}: two files of this name are asked for; rename one")
    return found


class _InUse:
    """What is laid out in a folder of this process."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}
        self.folder: TemporaryDirectory[str] | None = None
        self.modules: dict[str, ModuleType] = {}

    @property
    def root(self) -> Path | None:
        return None if self.folder is None else Path(self.folder.name)

    def lay_out(self, sources: Mapping[str, str]) -> None:
        sources = dict(sources)
        self.forget()
        self.folder = TemporaryDirectory(prefix="fgrad-own-")
        for file, text in sources.items():
            path = Path(self.folder.name, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.sources = sources
        sys.path.insert(0, self.folder.name)

    def forget(self) -> None:
        if self.folder is None:
            return
        where = self.folder.name
        sys.path[:] = [one for one in sys.path if one != where]
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(where):
                del sys.modules[name]
        self.modules.clear()
        self.sources.clear()
        self.folder.cleanup()
        self.folder = None


_in_use = _InUse()


def use(sources: Mapping[str, str]) -> None:
    """From here on references to these files mean these texts; those of other files are as before.

    Args:
        sources: of all references that this process is to follow; of a file that is in use already
            the new text is.
    """
    if dict(sources).items() <= _in_use.sources.items():
        return
    _in_use.lay_out(_in_use.sources | dict(sources))


def in_use() -> dict[str, str]:
    """All sources that are in use, for a process that is to use them too."""
    return dict(_in_use.sources)


def follow(values: object) -> dict[str, str]:
    """Sources of every reference among plain values, which are in use from here on.

    A file that is not in use yet is looked for below the working directory.

    Raises:
        ConfigError: as `collect` and `merged`.
    """
    every = dict.fromkeys(references(values))
    found = []
    for reference in every:
        file, name = parts(reference)
        inner = Path(file).name
        if inner in _in_use.sources and _in_use.root is not None:
            found.append(collect(f"{inner}:{name}", _in_use.root))
        else:
            found.append(collect(reference, Path.cwd()))
    sources = merged(*found)
    use(sources)
    return sources


def path_of(module: str) -> Path | None:
    """File of a module ``own.name`` that is in use."""
    package, _, inner = module.partition(".")
    if package != PACKAGE or _in_use.root is None:
        return None
    path = _in_use.root.joinpath(*inner.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def module_beside(path: Path, module: str) -> str | None:
    """What a file in use means by a module, if that is of its own folder too: ``own.name``."""
    root = _in_use.root
    if root is None or not path.is_relative_to(root):
        return None
    own = f"{PACKAGE}.{module}"
    return own if path_of(own) else None


def state() -> object:
    """Something else each time that other sources are in use."""
    return _in_use.folder


def load(reference: str) -> Any:
    """What a reference refers to; of a file that is not in `use`, below the working directory.

    Raises:
        ConfigError: as `collect`; if the file cannot be imported or has no such name.
    """
    file, name = parts(reference)
    inner = Path(file).name
    if inner not in _in_use.sources:
        follow(reference)
    assert _in_use.root is not None
    module = _in_use.modules.get(inner)
    if module is None:
        module = _in_use.modules[inner] = _import(reference, _in_use.root / inner)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(f"{reference}: {inner} defines no {name}") from None


def _import(reference: str, path: Path) -> ModuleType:
    for file in _in_use.sources:
        name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        there = str(getattr(sys.modules.get(name), "__file__", ""))
        if file != path.name and name in sys.modules and not there.startswith(str(path.parent)):
            raise ConfigError(f"{reference}: {file}: another module is called {name}; rename it")
    spec = spec_from_file_location(f"{PACKAGE}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"{reference}: cannot be imported: {type(error).__name__}: {said}"
        ) from error
    return module


def _parsed(path: Path, reference: str) -> ast.Module:
    try:
        if path.stat().st_size > SIZE:
            raise ConfigError(f"{reference}: {path} has more than {SIZE:,} bytes")
        return ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{reference}: there is no file {path}") from None
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, a NUL
        raise ConfigError(f"{reference}: {path} cannot be read: {error}") from None
    except SyntaxError as error:
        raise ConfigError(f"{reference}: {path}, line {error.lineno}: {error.msg}") from None


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names at the top of a module."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (one.asname or one.name.partition(".")[0] for one in names)


def _imported(tree: ast.Module, folder: Path) -> Iterator[str]:
    """Files of the folder that a module imports, however deep in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{one.name}" for one in node.names]
        else:
            continue
        for name in names:
            steps = name.split(".")
            for count in range(1, len(steps) + 1):
                inner = Path(*steps[:count])
                for file in (inner.with_suffix(".py"), inner / "__init__.py"):
                    if (folder / file).is_file():
                        yield file.as_posix()
