"""Columns of a data item put before a net, so that a deployed file takes raw rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from compiler.ir.authored import Alias
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Input, Node, Parameter, Value
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.data import DataSet
from compiler.types.dims import Dim
from compiler.writing.names import free_name

PREFIX = "preprocess."
"""Where the fitted figures of the columns live among the weights of a deployed graph."""


def prefix_parameters(graph: Graph, prefix: str) -> Graph:
    """The graph with its weights under a prefix: as a train with several nets stores them."""
    if not prefix:
        return graph
    renamed = {p.path: replace(p.value, name=prefix + p.path) for p in graph.parameters}
    return _rename(graph, renamed)


def join_columns(data: DataSet, graph: Graph, columns: Mapping[str, str]) -> Graph:
    """The graph behind the columns that its inputs are given; they fit."""
    wanted = {i.name: columns.get(i.name, i.name) for i in graph.inputs}
    rows = find_rows(graph)
    assert rows is not None, "columns fit where the inputs share their leading dim"
    before, names = _prepare(
        _count_categories(data, cut_columns(data, graph, columns)), graph, rows
    )
    own = _free_names(graph, {i.name for i in before.inputs})
    return _join(before, own, wanted, names)


def _count_categories(data: DataSet, columns: Graph) -> Graph:
    """The columns with how many categories each raw one has."""
    counts = {c.name: len(c.categories) for c in data.schema if c.categories}
    inputs = (replace(item, categories=counts.get(item.name)) for item in columns.inputs)
    return replace(columns, inputs=tuple(inputs))


def cut_columns(data: DataSet, graph: Graph, columns: Mapping[str, str]) -> Graph:
    """The columns that the inputs of a net are given, with the raw columns they are made of."""
    outputs = {o.name: o for o in data.columns.outputs}
    kept = tuple(outputs[columns.get(i.name, i.name)] for i in graph.inputs)
    before = DeadCode().run(replace(data.columns, outputs=kept), Context())
    read = {v.name for n in before.nodes for v in n.inputs if v is not None}
    read |= {o.value.name for o in before.outputs}
    return replace(before, inputs=tuple(i for i in before.inputs if i.name in read))


def _free_names(graph: Graph, taken: Collection[str]) -> Graph:
    """The graph with its own values under other names than these: raw columns keep theirs, which
    whoever runs the file gives them by."""
    made = [v for n in graph.nodes for v in n.outputs]
    known = {*taken, *(v.name for v in made), *graph.parameter}
    renamed: dict[str, Value] = {}
    for value in made:
        if value.name in taken:
            name = free_name(value.name, known, ".")
            known.add(name)
            renamed[value.name] = replace(value, name=name)
    return _rename(graph, renamed) if renamed else graph


def find_rows(graph: Graph) -> Dim | None:
    """The leading dim that all inputs share."""
    leading = {i.value.type.shape[0] if i.value.type.rank else None for i in graph.inputs}
    return leading.pop() if len(leading) == 1 else None


def _prepare(before: Graph, graph: Graph, rows: Dim) -> tuple[Graph, Mapping[str, str]]:
    """The columns with the net's dim for `rows`, under names that the net does not use, and these
    names; its inputs keep theirs."""
    kept = {i.name for i in before.inputs}
    taken = {v.name for n in graph.nodes for v in n.outputs} | set(graph.parameter) | kept
    renamed: dict[str, Value] = {}
    for parameter in before.parameters:
        path = PREFIX + parameter.path
        renamed[parameter.path] = replace(parameter.value, name=path)
        taken.add(path)
    for value in (*(i.value for i in before.inputs), *(v for n in before.nodes for v in n.outputs)):
        name = f"{PREFIX}{value.name[1:]}" if value.name.startswith("%") else value.name
        while name in taken and value.name not in kept:
            name = f"{name}.raw"
        taken.add(name)
        renamed[value.name] = Value(name, value.type.substitute({"rows": rows}))
    sized = replace(
        before,
        nodes=tuple(replace(n, op=n.op.substitute({"rows": rows})) for n in before.nodes),
    )
    return _rename(sized, renamed), {name: value.name for name, value in renamed.items()}


def _join(
    before: Graph, graph: Graph, wanted: Mapping[str, str], names: Mapping[str, str]
) -> Graph:
    """One graph: the columns under a frame of their own, then the net. `names` are those of the
    columns' values, by what they were."""
    frame = Frame("preprocess", "preprocess", 0, graph.frame, origin=before.frame.origin)
    made = {o.name: o.value for o in before.outputs}
    renamed = {i.value.name: made[wanted[i.name]] for i in graph.inputs}
    rest = _rename(replace(graph, inputs=()), renamed)
    moved = {id(before.frame): frame}

    def place(scope: Frame) -> Frame:
        """The call of a block among the columns under the frame of all."""
        if id(scope) not in moved:
            assert scope.parent is not None, "what is not the root stands in another frame"
            parent, path = place(scope.parent), f"{frame.path}.{scope.path}"
            tensors = tuple((formal, names.get(value, value)) for formal, value in scope.tensors)
            moved[id(scope)] = replace(scope, parent=parent, path=path, tensors=tensors)
        return moved[id(scope)]

    nodes = tuple(replace(n, scope=place(n.scope)) for n in before.nodes)
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

    def alias(old: Alias) -> Alias:
        value = renamed.get(old.value)
        return old if value is None else replace(old, value=value.name)

    return replace(
        graph,
        aliases=tuple(map(alias, graph.aliases)),
        inputs=tuple(map(port, graph.inputs)),
        outputs=tuple(replace(o, value=new(o.value)) for o in graph.outputs),
        parameters=tuple(map(parameter, graph.parameters)),
        nodes=tuple(map(node, graph.nodes)),
    )
