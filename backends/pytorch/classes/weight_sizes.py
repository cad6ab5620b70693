"""Sizes of weights that a module holds and code reads there: which number of its constructor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

from backends.pytorch.classes.explained import Width
from backends.pytorch.classes.merged import Merged, MergedClass
from backends.pytorch.terms.terms import Many, Tree, variables
from compiler.ir.graph import Node, Value
from compiler.report.diagnostics import Fault
from compiler.types.dims import DimError
from compiler.types.tensor import TensorType


def find_weight_width(
    target: MergedClass, explained: Collection[Merged], path: str, axis: int
) -> Width | None:
    """What a size of a weight below a module is called, once the module is explained."""
    slot, _, label = path.rpartition(".")
    owner = next((item for item in target.items if item.slot == slot and item.declares), None)
    if owner is None or owner not in explained or len(owner.variants) != 1:
        return None
    leaf = _find_leaf(owner, label, axis)
    return None if leaf is None or isinstance(leaf.solution, Tree) else Width(leaf.solution)


def _find_leaf(item: Merged, label: str, axis: int) -> Many | None:
    """The number in the constructor of a module that a size of its weight is; None where it is
    none of them, or not by itself."""
    if item.sample.primitive is None:
        return None
    (node,) = item.sample.nodes
    found = [
        leaf
        for leaf in variables(item.variants[0].constructor)
        if type(leaf.literal) is int and leaf.literal == _weight_size(node, label, axis)
        if _weight_size(_grow(node, leaf), label, axis) == leaf.literal + 1
    ]
    return found[0] if len(found) == 1 else None


def _grow(node: Node, leaf: Many) -> Node:
    """An operation with one more of what a number in its constructor counts."""
    inputs = list(node.inputs)
    if leaf.dim is not None and leaf.dim[0] == "in" and leaf.dim[1] < len(inputs):
        value = inputs[leaf.dim[1]]
        if value is not None:
            shape = list(value.type.shape)
            shape[leaf.dim[2]] += 1
            grown = TensorType(value.type.dtype, tuple(shape))
            inputs[leaf.dim[1]] = Value(value.name, grown)
        return replace(node, inputs=tuple(inputs))
    op: Any = node.op
    assert isinstance(leaf.literal, int)
    if leaf.field not in {one.name for one in fields(op)}:
        return node
    return replace(node, op=replace(op, **{leaf.field: leaf.literal + 1}))


def _weight_size(node: Node, label: str, axis: int) -> int | None:
    """A size of a weight of an operation."""
    types = [None if v is None else v.type for v in node.inputs[: len(node.op.operands)]]
    try:
        weights = node.op.weights(types)
    except (Fault, DimError):
        return None
    shape = next((w.type.shape for w in weights if w.name == label), ())
    return shape[axis].known if 0 <= axis < len(shape) else None
