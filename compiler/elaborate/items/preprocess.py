"""Columns of a data item put before a net, so that a deployed file takes raw rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compiler.dims import Dim
from compiler.elaborate.context import Body
from compiler.ir.graph import Frame, Graph, Input, Node, Parameter, Value
from compiler.messages.deployments import PreprocessDoesNotFit
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program import DataSet
from compiler.source import Span
from compiler.tensor import TensorType

PREFIX = "preprocess."
"""Where the fitted figures of the columns live among the weights of a deployed graph."""


def prefix_parameters(graph: Graph, prefix: str) -> Graph:
    """The graph with its weights under a prefix: as a train with several nets stores them."""
    if not prefix:
        return graph
    renamed = {p.path: replace(p.value, name=prefix + p.path) for p in graph.parameters}
    return _rename(graph, renamed)


def put_before(
    body: Body, data: DataSet, graph: Graph, columns: Mapping[str, str], span: Span
) -> Graph | None:
    """The graph with the columns of a data item before its inputs: it takes raw columns. None
    where they do not fit, which is reported.

    `columns` names the column of an input where it is not the input's own name.
    """
    wanted = {i.name: columns.get(i.name, i.name) for i in graph.inputs}
    outputs = {o.name: o for o in data.columns.outputs}
    rows = _find_rows(graph)
    accepted = True
    for item in graph.inputs:
        output = outputs.get(wanted[item.name])
        expected = TensorType(item.value.type.dtype, item.value.type.shape[1:])
        found = None
        if output is not None:
            found = TensorType(output.value.type.dtype, output.value.type.shape[1:])
        if found != expected or rows is None:
            accepted = False
            shown = str(found) if found is not None else ""
            # Straight to the sink: several inputs may not fit at the same place.
            message = PreprocessDoesNotFit(span, item.name, str(expected), shown)
            body.session.sink.report(message)
    if not accepted:
        return None
    return join_columns(data, graph, columns)


def join_columns(data: DataSet, graph: Graph, columns: Mapping[str, str]) -> Graph:
    """The graph behind the columns that its inputs are given; they fit."""
    wanted = {i.name: columns.get(i.name, i.name) for i in graph.inputs}
    outputs = {o.name: o for o in data.columns.outputs}
    rows = _find_rows(graph)
    assert rows is not None, "columns fit where the inputs share their leading dim"
    kept = tuple(outputs[wanted[i.name]] for i in graph.inputs)
    before = DeadCode().run(replace(data.columns, outputs=kept), Context())
    return _join(_prepare(before, graph, rows), graph, wanted)


def _find_rows(graph: Graph) -> Dim | None:
    """The leading dim that all inputs share."""
    leading = {i.value.type.shape[0] if i.value.type.rank else None for i in graph.inputs}
    return leading.pop() if len(leading) == 1 else None


def _prepare(before: Graph, graph: Graph, rows: Dim) -> Graph:
    """The columns with the net's dim for `rows`, without what is not read, under names that the
    net does not use."""
    read = {v.name for n in before.nodes for v in n.inputs if v is not None}
    read |= {o.value.name for o in before.outputs}
    inputs = tuple(i for i in before.inputs if i.name in read)
    taken = {v.name for n in graph.nodes for v in n.outputs} | set(graph.parameter)
    renamed: dict[str, Value] = {}
    for parameter in before.parameters:
        renamed[parameter.path] = replace(parameter.value, name=PREFIX + parameter.path)
    for value in (*(i.value for i in inputs), *(v for n in before.nodes for v in n.outputs)):
        shape = value.type.substitute({"rows": rows})
        name = value.name if value.name not in taken else f"{value.name}.raw"
        if value.name.startswith("%"):
            name = f"{PREFIX}{value.name[1:]}"
        renamed[value.name] = Value(name, shape)
    sized = replace(
        before,
        inputs=inputs,
        nodes=tuple(replace(n, op=n.op.substitute({"rows": rows})) for n in before.nodes),
    )
    return _rename(sized, renamed)


def _join(before: Graph, graph: Graph, wanted: Mapping[str, str]) -> Graph:
    """One graph: the columns under a frame of their own, then the net."""
    frame = Frame("preprocess", "preprocess", 0, graph.frame, origin=before.frame.origin)
    made = {o.name: o.value for o in before.outputs}
    renamed = {i.value.name: made[wanted[i.name]] for i in graph.inputs}
    rest = _rename(replace(graph, inputs=()), renamed)
    frames = {id(before.frame): frame}
    nodes = tuple(replace(n, scope=frames.get(id(n.scope), n.scope)) for n in before.nodes)
    return replace(
        rest,
        inputs=before.inputs,
        parameters=(*before.parameters, *rest.parameters),
        nodes=(*nodes, *rest.nodes),
        conditions=(*before.conditions, *rest.conditions),
    )


def _rename(graph: Graph, renamed: Mapping[str, Value]) -> Graph:
    """The graph with values replaced by name."""

    def new(value: Value) -> Value:
        return renamed.get(value.name, value)

    def node(old: Node) -> Node:
        inputs = tuple(None if v is None else new(v) for v in old.inputs)
        return replace(old, inputs=inputs, outputs=tuple(map(new, old.outputs)))

    def parameter(old: Parameter) -> Parameter:
        return replace(old, value=new(old.value))

    def port(old: Input) -> Input:
        return replace(old, value=new(old.value))

    return replace(
        graph,
        inputs=tuple(map(port, graph.inputs)),
        outputs=tuple(replace(o, value=new(o.value)) for o in graph.outputs),
        parameters=tuple(map(parameter, graph.parameters)),
        nodes=tuple(map(node, graph.nodes)),
    )
