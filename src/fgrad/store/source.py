"""What can be known of the package's modules without importing them (and torch with them).

Two questions are answered from the syntax trees: which public functions a module offers, so that a
configuration can be checked before any job starts, and whether a change of the code can change a
result, so that only the jobs it concerns run again.
"""

import ast
import hashlib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent


@cache
def names(module: str) -> tuple[str, ...]:
    """Names of a module's public functions, as they are written in a configuration.

    Args:
        module: name within the package, e.g. ``"aggregation"``.

    Returns:
        Function names in source order; a trailing underscore is dropped and ``_`` becomes ``-``, so
        that ``sum_`` is ``sum`` and ``max_normalized`` is ``max-normalized``.
    """
    return tuple(
        node.name.rstrip("_").replace("_", "-")
        for node in _tree(module).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    )


@cache
def resolve(module: str, name: str) -> Any:
    """The function that a configuration calls ``name``; imports the module.

    Raises:
        AttributeError: if the module has no such function.
    """
    imported = import_module(f"fgrad.{module}")
    plain = name.replace("-", "_")
    return getattr(imported, plain + "_" if hasattr(imported, plain + "_") else plain)


@cache
def fingerprint(*modules: str) -> str:
    """Hash of the code that the given modules run.

    Imports within the package are followed, also those inside functions and those by `resolve` with
    the module's name written out. Comments, docstrings and
    formatting leave the hash as it is; a changed formula does not.

    Args:
        modules: names within the package, e.g. ``"descent"`` or ``"figures.quality"``.

    Returns:
        16 hexadecimal digits.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imports(module)
    trees = (f"{module}\n{_code(module)}" for module in sorted(found))
    return hashlib.blake2b("\n".join(trees).encode(), digest_size=8).hexdigest()


def _path(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    return path if path.exists() else path.with_suffix("") / "__init__.py"


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _imports(module: str) -> list[str]:
    wanted: list[str] = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fgrad":
            base = ".".join((node.module or "").split(".")[1:])
            wanted += [f"{base}.{alias.name}".lstrip(".") for alias in node.names] + [base]
        elif isinstance(node, ast.Import):
            wanted += [alias.name[6:] for alias in node.names if alias.name.startswith("fgrad.")]
        elif isinstance(node, ast.Constant) and str(node.value).startswith("fgrad."):
            wanted.append(str(node.value)[6:].partition(":")[0])
    return [name for name in wanted if name and _path(name).exists()]


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, of a module, class or function or below a constant."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@cache
def _code(module: str) -> str:
    tree = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return ast.dump(tree)
