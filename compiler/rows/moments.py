"""Trains as they are evaluated: with the numbers of the last moment of the training."""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.graph import Node
from compiler.ops.creation import Constant
from compiler.ops.fused.moments import Moment, OfTime
from compiler.program.train import Train


def settle_moment(train: Train, rows: int) -> Train:
    """The train with constants for what follows from how far the training is, of so many training
    rows: those of its last step."""
    if not any(node.op.of_time for node in train.graph.nodes):
        return train
    per_epoch = train.count_steps(rows)
    assert per_epoch is not None, "the rows are known"
    steps = train.epochs * per_epoch
    last = Moment(steps, train.epochs, steps, per_epoch)
    nodes = tuple(_settle(node, last) for node in train.graph.nodes)
    return replace(train, graph=replace(train.graph, nodes=nodes))


def _settle(node: Node, last: Moment) -> Node:
    if not isinstance(node.op, OfTime):
        return node
    return replace(node, op=Constant(node.op.find(last), node.op.dtype))
