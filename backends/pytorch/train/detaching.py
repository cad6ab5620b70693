"""Nets whose results are detached: a script runs them without keeping what gradients need."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backends.pytorch.train.inlining import cut_source
from backends.pytorch.train.layout import break_line

BLOCK = "    with torch.no_grad():"


def free_detached(text: str, *, measures: bool = False) -> str:
    """Functions in which statements that run nets for detached values stand in `torch.no_grad()`:
    `fake = G(x).detach()` as well as `y = G(x)` where only `y.detach()` is read. A function that
    `measures` is called where no gradients are kept: there they only lose their `detach()`."""
    measures = measures and "autograd.grad" not in text
    functions = [s for s in ast.parse(text).body if isinstance(s, ast.FunctionDef)]
    lines = text.split("\n")
    for function in reversed(functions):
        first, last = function.body[0].lineno - 1, function.body[-1].end_lineno
        lines[first:last] = _Function(text, function, measures=measures).write(lines[first:last])
    return "\n".join(lines)


@dataclass(frozen=True)
class _Detached:
    """A statement that runs nets for a value that is detached: what is assigned, and the
    statements in which `value.detach()` is `value` then."""

    target: str
    value: ast.expr
    readers: tuple[int, ...] = ()
    merged: int | None = None
    """The statement that does nothing but detach it, which is left out."""


class _Function:
    """One function of a script."""

    def __init__(self, text: str, function: ast.FunctionDef, *, measures: bool) -> None:
        self.text = text
        self.measures = measures
        self.body = function.body
        self.nets = {
            argument.arg
            for argument in function.args.args
            if argument.annotation is not None and ast.unparse(argument.annotation) == "nn.Module"
        }

    def write(self, lines: Sequence[str]) -> list[str]:
        """The lines of its body, which are given, with the nets in blocks."""
        found = {i: made for i in range(len(self.body)) if (made := self._find(i)) is not None}
        plain = all(isinstance(s, ast.Assign | ast.Return | ast.Expr) for s in self.body)
        if not found or not plain:
            return list(lines)
        left_out = {made.merged for made in found.values()}
        written: list[str] = []
        end = self.body[0].lineno
        for number, statement in enumerate(self.body):
            assert statement.end_lineno is not None
            offset = self.body[0].lineno
            between = lines[end - offset : statement.lineno - offset]
            end = statement.end_lineno + 1
            if number in left_out:
                written += between
                continue
            read = {m.target for m in found.values() if number in m.readers}
            written += between
            if number in found:
                goes_on = not between and number - 1 in {*found, *left_out}
                written += [] if goes_on or self.measures else [BLOCK]
                indent = " " * (4 if self.measures else 8)
                written += self._lay_out(self._assign(found[number], statement), read, indent)
            elif read:
                written += self._lay_out(cut_source(self.text, statement), read, " " * 4)
            else:
                written += lines[statement.lineno - offset : statement.end_lineno + 1 - offset]
        return written

    def _assign(self, made: _Detached, statement: ast.stmt) -> str:
        """The statement with its comment, or the one of the statement that detaches its value."""
        comment = cut_source(self.text, statement).partition("  # ")[2]
        if not comment and made.merged is not None:
            comment = cut_source(self.text, self.body[made.merged]).partition("  # ")[2]
        value = cut_source(self.text, made.value)
        return f"{made.target} = {value}" + (f"  # {comment}" if comment else "")

    def _lay_out(self, line: str, read: set[str], indent: str) -> list[str]:
        for name in read:
            line = re.sub(rf"(?<![\w.]){name}\.detach\(\)", name, line)
        return break_line(indent + line)

    def _find(self, number: int) -> _Detached | None:
        match self.body[number]:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if self._runs_net(value):
                inner = _read_detached(value)
                if inner is not None:
                    return _Detached(target, inner)
                return self._find_read(number, target, value)
        return None

    def _find_read(self, number: int, target: str, value: ast.expr) -> _Detached | None:
        """The same of a value that is detached wherever it is read."""
        readers = []
        for place in range(number + 1, len(self.body)):
            statement = self.body[place]
            loads = [n for n in ast.walk(statement) if _is_name(n, target, ast.Load)]
            if len(loads) != len(list(_list_detached(statement, target))):
                return None
            readers += [place] if loads else []
            if any(_is_name(n, target, ast.Store) for n in ast.walk(statement)):
                break
        if not readers:
            return None
        match self.body[readers[0]]:
            case ast.Assign(targets=[ast.Name(id=name)], value=read) if len(readers) == 1:
                alone = readers[0] == number + 1 and _read_detached(read)
                if isinstance(alone, ast.Name):
                    return _Detached(name, value, merged=readers[0])
        return _Detached(target, value, tuple(readers))

    def _runs_net(self, value: ast.expr) -> bool:
        calls = [n.func for n in ast.walk(value) if isinstance(n, ast.Call)]
        return any(isinstance(f, ast.Name) and f.id in self.nets for f in calls)


def _read_detached(value: ast.expr) -> ast.expr | None:
    """What is detached, where an expression does nothing else at last."""
    match value:
        case ast.Call(func=ast.Attribute(value=inner, attr="detach"), args=[], keywords=[]):
            return inner
    return None


def _list_detached(statement: ast.stmt, name: str) -> Iterator[ast.expr]:
    """Where a statement detaches a variable."""
    for node in ast.walk(statement):
        inner = _read_detached(node) if isinstance(node, ast.expr) else None
        if isinstance(inner, ast.Name) and inner.id == name:
            yield inner


def _is_name(node: ast.AST, name: str, use: type[ast.expr_context]) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, use)
