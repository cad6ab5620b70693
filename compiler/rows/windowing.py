"""Columns over windows of rows, as a deployed file computes them."""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Value
from compiler.ops.reshaping import Reshape
from compiler.program.data import DataSet
from compiler.rows.rows import ROWS
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.writing.names import free_name


def take_windows(data: DataSet) -> DataSet:
    """The data item with columns that are computed of windows of raw rows, `[rows, length, …]`, as
    many at once as there are windows; the same where it has no windows.

    A column is computed of single rows: the rows of all windows are laid one after the other, and
    what comes out is cut into windows again. Targets are left out: they lie behind a window.
    """
    window = data.window
    if window is None or data.source_rows is not None:
        return data
    columns = data.columns
    taken = {v.name for node in columns.nodes for v in node.outputs} | set(columns.parameter)
    taken |= {item.name for item in columns.inputs}
    length = Dim.of(window.length)
    count = {ROWS: Dim.of(ROWS) * length}

    def cut(type_: TensorType) -> TensorType:
        return TensorType(type_.dtype, (type_.shape[0], length, *type_.shape[1:]))

    def lay(type_: TensorType) -> TensorType:
        return type_.substitute(count)

    def name(base: str) -> str:
        found = free_name(base, taken, ".")
        taken.add(found)
        return found

    inputs, nodes, laid = [], [], {}
    for item in columns.inputs:
        given = replace(item, value=Value(item.name, cut(item.value.type)))
        laid[item.value.name] = Value(name(f"{item.name}.rows"), lay(item.value.type))
        inputs.append(given)
        nodes.append(_reshape(columns, given.value, laid[item.value.name]))
    for node in columns.nodes:
        made = tuple(Value(v.name, lay(v.type)) for v in node.outputs)
        laid |= {v.name: v for v in made}
        given_values = tuple(v and laid.get(v.name, v) for v in node.inputs)
        nodes.append(replace(node, op=node.op.substitute(count), inputs=given_values, outputs=made))
    outputs = []
    for output in columns.outputs:
        if output.name in window.targets:
            continue
        found = Value(name(f"{output.name}.windows"), cut(output.value.type))
        nodes.append(_reshape(columns, laid[output.value.name], found))
        outputs.append(replace(output, value=found))
    graph = replace(columns, inputs=tuple(inputs), nodes=tuple(nodes), outputs=tuple(outputs))
    return replace(data, columns=graph, source_rows=data)


def _reshape(columns: Graph, value: Value, result: Value) -> Node:
    """The node that lays rows of windows out, or cuts them into windows."""
    return Node(Reshape(result.type.shape), (value,), (result,), columns.frame, Site())
