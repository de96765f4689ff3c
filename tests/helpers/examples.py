"""Examples in docstrings, and in those of attributes, which `doctest` does not look into."""

import ast
import doctest
import inspect
from itertools import pairwise
from types import ModuleType

import torch


def examples(module: ModuleType) -> dict[str, doctest.DocTest]:
    """The examples of each docstring of a module, by the name of what it explains."""
    names = {**vars(module), "torch": torch, "nn": torch.nn}
    found = doctest.DocTestFinder().find(module, globs=names)
    for assigned, said in pairwise(ast.parse(inspect.getsource(module)).body):
        match assigned, said:
            case (
                ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]),
                ast.Expr(ast.Constant(str(text))),
            ):
                where = f"{module.__name__}.{name}", module.__file__, said.lineno - 1
                found.append(doctest.DocTestParser().get_doctest(text, names, *where))
    return {one.name: one for one in found if one.examples}


def failures(module: ModuleType) -> str:
    """What its examples should have given and what they gave; nothing if all is well."""
    said: list[str] = []
    for one in examples(module).values():
        doctest.DocTestRunner(verbose=False).run(one, out=said.append)
    return "".join(said)
