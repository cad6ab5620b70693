"""Inputs of a model that stands alone: names in their types become symbolic sizes."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.lookup import find_built_in
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.shapes.types import TensorPattern, evaluate_size, file_number
from compiler.elaborate.values.values import POISON, Known, Tensor, Val
from compiler.ir.hint import Hint, HintName
from compiler.report.diagnostics import Label
from compiler.report.messages.names import type_has_no_dims
from compiler.report.messages.shapes import shape_not_settled, size_never_named
from compiler.text.tree.syntax import Declare, Expr, Name
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType


def declare_input(body: Body, declare: Declare, pattern: TensorPattern, doc: str) -> Val:
    """Declares an input of the graph under construction; its value in the body."""
    if pattern.dims is None or pattern.dtype is None:
        expected = "needs a dtype and dims here, such as `f32[batch, 3]`"
        body.report(type_has_no_dims(declare.type.span, declare.type.name.text, expected))
        return POISON
    if pattern.rest is not None:
        dim = pattern.dims[pattern.rest]
        reason = "`...` leaves the number of axes open"
        body.report(shape_not_settled(dim.span, "an input", reason, "name every axis"))
        return POISON
    sizes: list[Dim] = []
    hints: list[tuple[str, Hint]] = []
    for axis, dim in enumerate(pattern.dims):
        declared = _declare_size(body, declare, axis, dim)
        if declared is None:
            return POISON
        size, hint = declared
        sizes.append(size)
        if hint is not None and size.known is not None:
            hints.append((str(axis), hint))
    found = TensorType(pattern.dtype, tuple(sizes))
    for axis, dim in enumerate(pattern.dims):
        if isinstance(dim, Name) and dim.text in body.names[0]:
            text = f"`{dim.text}` is axis {axis} of this input: {found}"
            body.sizes.setdefault(dim.text, Label(declare.name.span, text))
    assert body.home is not None
    name = declare.name
    value = body.home.builder.input(name.text, found, doc, name.span, tuple(hints))
    return Tensor(value, body.home, name.span)


def _declare_size(
    body: Body, declare: Declare, axis: int, dim: Expr
) -> tuple[Dim, Hint | None] | None:
    """One size of an input: a number, or a symbol that the name stands for from here on."""
    if isinstance(dim, Name) and not _is_number(body, dim):
        symbol = f"{declare.name.text}_{axis}" if dim.text == "_" else dim.text
        if dim.text != "_":
            body.names[0][symbol] = Known(Dim.of(symbol), HintName(symbol))
        return Dim.of(symbol), None
    for name in _names_in(dim):
        if not _is_known(body, name):
            body.report(size_never_named(name.span, name.text))
            return None
    size = evaluate_size(body, dim)
    if size is None:
        return None
    value = body.evaluate(dim)
    return Dim.of(size), value.hint if isinstance(value, Known) else None


def _names_in(dim: Expr) -> Iterator[Name]:
    for node in walk(dim):
        if isinstance(node, Name):
            yield node


def _is_number(body: Body, name: Name) -> bool:
    """Whether a name in a type means a number already."""
    for layer in reversed(body.names):
        value = layer.get(name.text)
        if isinstance(value, Known) and value.is_number:
            return True
    return file_number(body, name) is not None


def _is_known(body: Body, name: Name) -> bool:
    """Whether a name inside arithmetic means something already."""
    if any(name.text in layer for layer in body.names):
        return True
    if find_entry(body.file, name.text, name.span) is not None:
        return True
    return find_built_in(body, name.text, name.span) is not None
