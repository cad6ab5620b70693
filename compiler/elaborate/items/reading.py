"""Which columns a train reads."""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.graph import Graph
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.data import DataSet
from compiler.report.diagnostics import Message
from compiler.report.messages.augmentation import augments_unread
from compiler.rows.augmenting import find_augmenting


def keep_used(graph: Graph, data: DataSet) -> Graph:
    """The graph without what no output needs, its inputs included, but for what an augmentation
    reads to change others, and for the smallest column where all rows are drawn: it counts them."""
    graph = DeadCode().run(graph, Context())
    used = {v.name for node in graph.nodes for v in node.inputs if v is not None}
    used |= {output.value.name for output in graph.outputs}
    used |= find_augmenting(data, {i.name for i in graph.inputs if i.value.name in used})
    inputs = tuple(item for item in graph.inputs if item.name in used)
    if not inputs and any(node.op.random for node in graph.nodes):
        inputs = tuple(sorted(graph.inputs, key=lambda item: item.value.type.rank)[:1])
    return replace(graph, inputs=inputs)


def reads_nothing(step: Graph, data: DataSet) -> bool:
    """Whether no raw column has to do with an objective."""
    read = {item.name for item in step.inputs}
    wanted = {o.value.name for o in data.columns.outputs if o.name in read}
    for node in reversed(data.columns.nodes):
        if any(value.name in wanted for value in node.outputs):
            wanted |= {value.name for value in node.inputs if value is not None}
    return all(item.value.name not in wanted for item in data.columns.inputs)


def find_unread_augmentation(train: str, graph: Graph, data: DataSet) -> Message | None:
    """What is wrong where a train reads none of the columns that are augmented."""
    if data.augment is None:
        return None
    changed = tuple(output.name for output in data.augment.outputs)
    read = tuple(item.name for item in graph.inputs)
    if not set(changed).isdisjoint(read):
        return None
    return augments_unread(data.augment.outputs[0].origin, train, changed, read)
