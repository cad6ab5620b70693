"""Several data sets of a train as one: a row of the first beside one of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from compiler.data.joined import JoinedSource, qualify
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node, Output, Parameter, Value
from compiler.program.data import DataSet


def join_data(parts: Sequence[DataSet]) -> DataSet:
    """The data set whose members these are. They have different names."""
    parts = [replace(part, source=part.source.place_held(qualify(part.name, ""))) for part in parts]
    first = parts[0]
    augmented = [(part.name, part.augment) for part in parts if part.augment is not None]
    return DataSet(
        ", ".join(part.name for part in parts),
        tuple(
            replace(column, name=qualify(part.name, column.name))
            for part in parts
            for column in part.schema
        ),
        _join_graphs([(part.name, part.columns) for part in parts]),
        tuple(
            replace(s, path=qualify(part.name, s.path), of=qualify(part.name, s.of))
            for part in parts
            for s in part.statistics
        ),
        span=first.span,
        members=tuple(parts),
        source=JoinedSource(tuple((part.name, part.source) for part in parts)),
        split=first.split,
        augment=_join_graphs(augmented) if augmented else None,
    )


def find_owner(data: DataSet, column: str) -> DataSet:
    """The data set that a column of joined ones is of; the data set itself where it is alone."""
    owners = (part for part in data.members if column.startswith(qualify(part.name, "")))
    return next(owners, data)


def find_lead(data: DataSet, columns: Iterable[str]) -> DataSet:
    """The data set over whose rows a figure is taken that reads these columns: the first of those
    that it reads, in the order of the train; the first of all where it reads none."""
    read = {find_owner(data, column).name for column in columns}
    return next((part for part in data.parts if part.name in read), data.parts[0])


def _join_graphs(parts: Sequence[tuple[str, Graph]]) -> Graph:
    """Graphs beside each other, with the names of each behind that of its data set. Calls of
    blocks are not told apart: what is printed is the graph of a member."""
    frame = parts[0][1].frame
    moved = [qualify_graph(name, graph, frame) for name, graph in parts]
    return replace(
        moved[0],
        inputs=tuple(item for graph in moved for item in graph.inputs),
        outputs=tuple(output for graph in moved for output in graph.outputs),
        parameters=tuple(p for graph in moved for p in graph.parameters),
        nodes=tuple(node for graph in moved for node in graph.nodes),
        conditions=tuple(c for graph in moved for c in graph.conditions),
        constants={path: n for graph in moved for path, n in graph.constants.items()},
        aliases=(),
        decisions=(),
        assertions=(),
    )


def qualify_graph(data: str, graph: Graph, frame: Frame) -> Graph:
    """A graph of a data set with all its names behind that of the data set, in another frame."""

    def name(value: Value) -> Value:
        return replace(value, name=qualify(data, value.name))

    def move(node: Node) -> Node:
        inputs = tuple(v and name(v) for v in node.inputs)
        outputs = tuple(map(name, node.outputs))
        origin = replace(node.origin, name="", hints=(), guard=None)
        return replace(node, inputs=inputs, outputs=outputs, scope=frame, origin=origin)

    def rename(output: Output) -> Output:
        return replace(output, name=qualify(data, output.name), value=name(output.value), pick=None)

    def place(parameter: Parameter) -> Parameter:
        return replace(parameter, value=name(parameter.value), hints=())

    return replace(
        graph,
        inputs=tuple(replace(item, value=name(item.value), hints=()) for item in graph.inputs),
        outputs=tuple(map(rename, graph.outputs)),
        parameters=tuple(map(place, graph.parameters)),
        nodes=tuple(map(move, graph.nodes)),
        constants={qualify(data, path): n for path, n in graph.constants.items()},
    )
