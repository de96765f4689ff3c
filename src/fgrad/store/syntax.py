"""Syntax trees without what only says something, as texts that compare what code does."""

import ast
from collections.abc import Iterable
from contextlib import suppress

SAID = frozenset({"say", "progress", "log_line", "log_progress", "print", "warn"})
"""Calls of these that stand alone say something and change nothing, unless they draw."""

UNSAID = ("ctx", "kind", "type_comment", "type_params")
"""Fields of syntax trees without a meaning of their own, or not known to every Python."""


def silenced(statements: list[ast.stmt]) -> list[ast.stmt]:
    """The statements without docstrings, annotations, messages and lines that are said.

    The trees are changed; lines are where they were.
    """
    return _Silence().body(statements)


class _Silence(ast.NodeTransformer):
    """Takes out of a syntax tree what says something and changes no number."""

    def __init__(self) -> None:
        self.in_class = False

    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [kept for one in statements for kept in self._kept(one)]

    def _kept(self, statement: ast.stmt) -> list[ast.stmt]:
        if _is_text(statement) or _is_for_types(statement) or _is_said(statement):
            return []
        visited: ast.stmt | None = self.visit(statement)
        return [] if visited is None else [visited]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Expressions are kept as they are: nothing within one only says something."""
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                kept = self.body(value)
                setattr(node, name, kept or ([ast.Pass()] if name == "body" else []))
            elif isinstance(value, list):
                setattr(node, name, [self.visit(v) if _is_inside(v) else v for v in value])
            elif _is_inside(value):
                setattr(node, name, self.visit(value))
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        outside, self.in_class = self.in_class, False
        self.generic_visit(node)
        self.in_class = outside
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Annotations in the body of a class may be fields of its objects."""
        outside, self.in_class = self.in_class, True
        self.generic_visit(node)
        self.in_class = outside
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self.in_class:
            return self.generic_visit(node)
        if node.value is None:
            return None
        plain = ast.Assign([node.target], node.value)
        return self.generic_visit(ast.copy_location(plain, node))

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """An ``if`` that was there only to say something goes with it."""
        self.generic_visit(node)
        silent = not node.orelse and all(isinstance(one, ast.Pass) for one in node.body)
        called = any(isinstance(n, ast.Call | ast.NamedExpr) for n in ast.walk(node.test))
        return None if silent and not called else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """The class of an error may decide where it is caught, its message nothing."""
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        name = getattr(raised, "attr", getattr(raised, "id", ""))
        if name[:1].isupper() and not name.endswith(("Error", "Exception", "Interrupt")):
            return self.generic_visit(node)  # it may carry a number to where it is caught
        bare = ast.Raise(raised if name[:1].isupper() else None)
        return ast.copy_location(bare, node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)


def _is_inside(node: object) -> bool:
    """Whether statements or arguments of functions may be within."""
    return isinstance(node, ast.AST) and not isinstance(node, ast.expr)


def _is_said(statement: ast.stmt) -> bool:
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return False
    called = statement.value.func
    draws = any(isinstance(n, ast.keyword) and n.arg == "generator" for n in ast.walk(statement))
    return getattr(called, "attr", getattr(called, "id", "")) in SAID and not draws


def plain(node: object) -> str:
    if isinstance(node, ast.AST):
        fields = (
            f"{name}={plain(value)}"
            for name, value in ast.iter_fields(node)
            if value not in (None, []) and name not in UNSAID
        )
        return f"{type(node).__name__}({', '.join(fields)})"
    return f"[{', '.join(map(plain, node))}]" if isinstance(node, list) else repr(node)


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, of a module, class or function or below a constant."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_for_types(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and getattr(statement.test, "id", "") == "TYPE_CHECKING"


def called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def bound(statement: ast.stmt) -> list[str]:
    """Names that a statement at the top of a module defines."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign():
            targets: Iterable[ast.expr] = statement.targets
        case ast.AnnAssign() | ast.AugAssign():
            targets = [statement.target]
        case _:
            return []
    return [name for target in targets for name in stored(target)]


def stored(node: ast.AST) -> list[str]:
    """Names that are bound within a tree."""
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return [n.id for n in names if isinstance(n.ctx, ast.Store)]


def dotted(node: ast.AST) -> list[str]:
    """The parts of a dotted name that is read, else nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return [node.id, *reversed(parts)]
    return []


def annotated(statement: ast.stmt) -> set[str]:
    """Names in annotations of arguments: objects of these classes are handed in."""
    notes: list[ast.AST] = []
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.arg) and node.annotation:
            notes.append(node.annotation)
        waiting += filter(_is_inside, ast.iter_child_nodes(node))
    for text in [n for note in notes for n in ast.walk(note) if isinstance(n, ast.Constant)]:
        with suppress(SyntaxError):  # a text that is no annotation, as in Literal
            notes.append(ast.parse(str(text.value), mode="eval"))
    return {n.id for note in notes for n in ast.walk(note) if isinstance(n, ast.Name)}
