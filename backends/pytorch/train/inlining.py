"""The body of a generated function where it is called from: statements and results."""

from __future__ import annotations

import ast
from collections.abc import Collection
from dataclasses import dataclass

from backends.pytorch.train.layout import join_lines

LONGEST = 4
"""Statements of a body that are repeated where they are needed; more are a function."""


@dataclass(frozen=True)
class Inlined:
    """The statements of a function, its parameters, and the expressions that it returns."""

    parameters: tuple[str, ...]
    lines: tuple[str, ...]
    results: tuple[str, ...]

    def reads(self, name: str) -> bool:
        """Whether a variable is read."""
        return name in _find_names("\n".join((*self.lines, *self.results)))


def inline(text: str, taken: Collection[str]) -> Inlined | None:
    """The body of the only function of a text as statements for another function; None where it
    is long, branches, calls functions beside it or uses names that are `taken` there."""
    tree = ast.parse(text)
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        return None
    function = tree.body[0]
    *statements, last = function.body
    simple = all(isinstance(s, ast.Assign) for s in statements)
    if len(statements) > LONGEST or not simple or not isinstance(last, ast.Return):
        return None
    if last.value is None or _find_variables(function) & set(taken):
        return None
    lines = text.split("\n")
    parameters = tuple(argument.arg for argument in function.args.args)
    written = tuple(_cut_statement(lines, statement) for statement in statements)
    elements = last.value.elts if isinstance(last.value, ast.Tuple) else [last.value]
    return Inlined(parameters, written, tuple(_cut(lines, element) for element in elements))


def _find_variables(function: ast.FunctionDef) -> set[str]:
    """The parameters and variables of a function."""
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return stored | {argument.arg for argument in function.args.args}


def _find_names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _cut_statement(lines: list[str], statement: ast.stmt) -> str:
    """A statement as one line, with its comment."""
    assert statement.end_lineno is not None
    return join_lines(lines[statement.lineno - 1 : statement.end_lineno])


def _cut(lines: list[str], node: ast.expr) -> str:
    """An expression as one line."""
    found = ast.get_source_segment("\n".join(lines), node)
    assert found is not None
    return join_lines(found.split("\n"))
