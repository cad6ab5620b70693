"""Which draws a train may have: those that its processes can share and its optimizer can bear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

from compiler.ir.graph import Node, Op
from compiler.ir.sizes import ROWS
from compiler.program.train import Train
from compiler.report.diagnostics import Message
from compiler.report.messages.augmentation import augmented_fixed_loss
from compiler.report.messages.draws import draw_in_fixed_loss, draw_not_shared
from compiler.types.dims import Dim


def find_draw_faults(train: Train) -> Iterator[Message]:
    """Draws outside of nets that the train cannot make."""
    fixing = [g.optimizer for g in train.groups if g.optimizer.evaluates or g.optimizer.solves]
    if fixing and train.data.augment is not None:
        yield augmented_fixed_loss(train.groups[0].span, fixing[0].name)
    for node in _list_own(train, train.graph.nodes):
        span, name = node.origin.span, node.op.name
        if fixing:
            yield draw_in_fixed_loss(span, name, fixing[0].name)
        if train.processes == "ddp" and not _can_be_shared(node):
            yield draw_not_shared(span, name, str(node.output.type))


def _list_own(train: Train, nodes: Iterable[Node]) -> Iterator[Node]:
    """The draws outside of nets, those in loops too."""
    paths = {net.prefix.removesuffix(".") for net in train.nets}
    for node in nodes:
        if len(node.scope.chain) > 1 and node.scope.chain[1].path in paths:
            continue
        if node.op.random:
            yield node
        for body in node.op.bodies:
            yield from _list_own(train, body.nodes)


def _can_be_shared(node: Node) -> bool:
    """Whether rows of a batch are entries along one axis, or none of what is drawn is about
    them."""
    counting = [size for size in node.output.type.shape if ROWS in size.symbols]
    return counting in ([], [Dim.of(ROWS)]) and not _counts_rows(node.op)


def _counts_rows(op: Op) -> bool:
    """Whether an option follows the number of rows, but for the shape."""
    values = (getattr(op, f.name) for f in fields(op) if f.name != "shape")  # type: ignore[arg-type]
    return any(isinstance(value, Dim) and ROWS in value.symbols for value in values)
