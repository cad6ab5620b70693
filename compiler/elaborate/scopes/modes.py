"""`training`: whether a body is elaborated for training or for evaluation, and who asks."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.values.values import Known
from compiler.ir.hint import HintConst
from compiler.report.diagnostics import Message
from compiler.report.messages.modes import mode_not_asked, mode_outside
from compiler.text.tree.syntax import (
    Argument,
    Attribute,
    Block,
    Conditional,
    Expr,
    Model,
    Name,
    StageLabel,
)

MODE = "training"
"""The word for the mode that a net is in."""


def read_mode(body: Body, name: Name) -> Known | None:
    """What `training` is where one version is elaborated; None for all other names and places."""
    if name.text != MODE or body.mode is None:
        return None
    return Known(body.mode, HintConst(body.mode))


def refuse_mode(body: Body, name: Name) -> Message:
    """Why `training` means nothing where it stands."""
    inside = isinstance(body.item, Block | Model)
    return mode_not_asked(name.span) if inside else mode_outside(name.span)


def asks_mode(body: Body, expression: Expr, *, whole: bool = False) -> bool:
    """Whether an expression is another one in training than in evaluation, and the body is still
    for both. Of a `whole` value, choices inside are left out whose conditions ask: they are
    decided where they stand."""
    if body.mode is not None or MODE not in expression.span.text or body.home is None:
        return False
    names = _find_names(expression, whole=whole)
    if not any(True for _ in names) or not isinstance(body.item, Block | Model):
        return False
    bound = any(MODE in layer for layer in body.names)
    return not bound and find_entry(body.file, MODE, expression.span) is None


def _find_names(expression: Expr, *, whole: bool) -> Iterator[Name]:
    nodes = list(walk(expression))
    inside: set[int] = set()
    for node in nodes:
        match node:
            case Conditional() if whole:
                inside.update(map(id, walk(node.condition)))
            case Argument(name=Name() as name) | Attribute(name=name):  # a parameter's, or a part's
                inside.add(id(name))
            case StageLabel(base=Name() as name):
                inside.add(id(name))
    return (n for n in nodes if isinstance(n, Name) and n.text == MODE and id(n) not in inside)
