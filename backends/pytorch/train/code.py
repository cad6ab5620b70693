"""Generated Python as a tree of statements, and its text.

A statement is a line, however long, or a `Suite`: a head with statements under it. Lines are broken
where a formatter would break them when the tree is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from backends.pytorch.train.layout import break_line


@dataclass(frozen=True)
class Suite:
    """A compound statement: `head` is its first line, with the colon."""

    head: str
    body: tuple[Statement, ...]


Statement = str | Suite
T = TypeVar("T", bound=Statement)


@dataclass(frozen=True)
class Function:
    """A function of a script. `doc` are the lines of its docstring; none leaves it out."""

    name: str
    parameters: tuple[str, ...]
    returns: str
    body: tuple[Statement, ...]
    doc: tuple[str, ...] = ()
    decorators: tuple[str, ...] = ()


def suite(head: str, body: Iterable[Statement]) -> Suite:
    """A compound statement."""
    return Suite(head, tuple(body))


def when(condition: object, *parts: T) -> tuple[T, ...]:
    """Parts of code that stand only where something was asked for."""
    return parts if condition else ()


def write_statements(statements: Iterable[Statement], indent: str = "") -> Iterator[str]:
    """Their lines, broken where they are too long."""
    for statement in statements:
        if isinstance(statement, Suite):
            yield from break_line(indent + statement.head)
            yield from write_statements(statement.body, f"{indent}    ")
        elif statement.strip():
            yield from break_line(indent + statement)
        else:
            yield ""


def write_function(function: Function) -> list[str]:
    """The lines of a function."""
    parameters = ", ".join(function.parameters)
    head = f"def {function.name}({parameters}) -> {function.returns}:"
    return [
        *function.decorators,
        *break_line(head),
        *_write_doc(function.doc),
        *write_statements(function.body, "    "),
    ]


def _write_doc(lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    if len(lines) == 1:
        return [f'    """{lines[0]}"""']
    first, *rest = lines
    return [f'    """{first}', *(f"    {line}".rstrip() for line in rest), '    """']
