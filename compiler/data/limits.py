"""Which numbers of a column a layer takes: class numbers of a loss, entries of an embedding."""

from __future__ import annotations

from compiler.ir.graph import Node
from compiler.ops.class_losses import ClassLoss
from compiler.ops.gathering import OneHot
from compiler.ops.linear import Embedding


def takes_entries(node: Node, operand: int) -> bool:
    """Whether an operand of a node names entries or classes, and is no size."""
    known = node.op.operands
    if operand < len(known) and known[operand].index:
        return True
    match node.op:
        case ClassLoss():
            return operand == 1
        case Embedding() | OneHot():
            return operand == 0
    return False


def find_limit(node: Node) -> tuple[int | None, int]:
    """The number of entries that an operand of a node may name, and which operand it is."""
    scores = node.inputs[0] if node.inputs else None
    match node.op:
        case ClassLoss(axis=axis) if scores is not None:
            return scores.type.shape[axis].known, 1
        case Embedding(count=count):
            return count, 0
        case OneHot(classes=count):
            return count, 0
    return None, 0
