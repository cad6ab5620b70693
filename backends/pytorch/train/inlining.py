"""The body of a generated function where it is called from: statements and results."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from backends.pytorch.train.layout import join_lines
from compiler.writing.names import free_name

LONGEST = 4
"""Statements of a body that are repeated where they are needed; more are a function."""


@dataclass(frozen=True)
class Inlined:
    """The statements of a function, its parameters and variables, and the expressions that it
    returns."""

    parameters: tuple[str, ...]
    variables: frozenset[str]
    lines: tuple[str, ...]
    results: tuple[str, ...]

    @property
    def assigned(self) -> frozenset[str]:
        """The variables that statements give values; a parameter may be one."""
        nodes = ast.walk(ast.parse("\n".join(self.lines)))
        stored = (n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        return frozenset(stored)

    def reads(self, name: str) -> bool:
        """Whether a variable is read."""
        return name in _find_names("\n".join((*self.lines, *self.results)))


def inline(text: str, taken: Collection[str], longest: int = LONGEST) -> Inlined | None:
    """The body of the only function of a text as statements for another function, where its
    variables have names that are not `taken`; None where it has more statements than `longest`,
    branches, is decorated, or calls functions beside it."""
    tree = ast.parse(text)
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        return None
    function = tree.body[0]
    *statements, last = function.body
    simple = all(isinstance(s, ast.Assign) for s in statements) and not function.decorator_list
    if len(statements) > longest or not simple or not isinstance(last, ast.Return):
        return None
    if last.value is None:
        return None
    variables = _find_variables(function)
    clashing = sorted(variables & set(taken))
    if clashing:
        used = {*taken, *variables, *_find_names(text)}
        names = {n: free_name(n, used, "_") for n in clashing}
        return inline(rename_variables(text, names), (), longest)
    lines = text.split("\n")
    parameters = tuple(argument.arg for argument in function.args.args)
    written = tuple(_cut_statement(lines, statement) for statement in statements)
    elements = last.value.elts if isinstance(last.value, ast.Tuple) else [last.value]
    return Inlined(
        parameters,
        frozenset(variables),
        written,
        tuple(_cut(lines, element) for element in elements),
    )


def _find_variables(function: ast.FunctionDef) -> set[str]:
    """The parameters and variables of a function."""
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return stored | {argument.arg for argument in function.args.args}


def rename_variables(text: str, names: Mapping[str, str]) -> str:
    """Code in which variables and parameters have other names."""
    lines = [line.encode() for line in text.split("\n")]
    places = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name | ast.arg):
            name = node.id if isinstance(node, ast.Name) else node.arg
            places += [(node.lineno - 1, node.col_offset, name)] if name in names else []
    for line, start, name in sorted(places, reverse=True):
        old = lines[line]
        lines[line] = old[:start] + names[name].encode() + old[start + len(name.encode()) :]
    return "\n".join(line.decode() for line in lines)


def _find_names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def cut_source(text: str, node: ast.stmt | ast.expr) -> str:
    """A statement or expression of a text as one line."""
    if isinstance(node, ast.stmt):
        return _cut_statement(text.split("\n"), node)
    return _cut(text.split("\n"), node)


def _cut_statement(lines: list[str], statement: ast.stmt) -> str:
    """A statement as one line, with its comment."""
    assert statement.end_lineno is not None
    return join_lines(lines[statement.lineno - 1 : statement.end_lineno])


def _cut(lines: list[str], node: ast.expr) -> str:
    """An expression as one line."""
    found = ast.get_source_segment("\n".join(lines), node)
    assert found is not None
    return join_lines(found.split("\n"))
