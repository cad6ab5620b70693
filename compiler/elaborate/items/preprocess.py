"""The clause `preprocess`: whether the columns of a data item fit before a net."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.elaborate.scopes.context import Body
from compiler.ir.graph import Graph
from compiler.ir.sizes import pin_sizes
from compiler.passes.base import Context
from compiler.passes.set_sizes import SetSizes
from compiler.program.data import DataSet
from compiler.report.diagnostics import Fault
from compiler.report.messages.deployments import preprocess_does_not_fit, preprocess_name_clash
from compiler.report.source import Span
from compiler.rows.preprocess import PREFIX, cut_columns, find_rows, join_columns
from compiler.types.tensor import TensorType


def put_before(
    body: Body, data: DataSet, graph: Graph, columns: Mapping[str, str], span: Span
) -> Graph | None:
    """The graph with the columns of a data item before its inputs: it takes raw columns. None
    where they do not fit, which is reported.

    `columns` names the column of an input where it is not the input's own name. Sizes of the net
    that a column settles, such as the length of its windows, are those of the column.
    """
    wanted = {i.name: columns.get(i.name, i.name) for i in graph.inputs}
    outputs = {o.name: o for o in data.columns.outputs}
    graph = _settle(graph, find_settled(data, graph, columns))
    rows = find_rows(graph)
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
            message = preprocess_does_not_fit(span, item.name, str(expected), shown)
            body.session.sink.report(message)
    if not accepted or not _check_names(body, data, graph, columns, span):
        return None
    return join_columns(data, graph, columns)


def find_settled(data: DataSet, graph: Graph, columns: Mapping[str, str]) -> dict[str, int]:
    """Sizes that a net leaves open and a column of a data item settles, but for that of rows."""
    columns_of = {i.name: columns.get(i.name, i.name) for i in graph.inputs}
    outputs = {o.name: o.value.type.shape for o in data.columns.outputs}
    shapes = {name: outputs.get(column, ()) for name, column in columns_of.items()}
    return pin_sizes(graph, {n: [None, *(d.known for d in s[1:])] for n, s in shapes.items()})


def _settle(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph at these sizes; as it is where an op refuses them, so that it does not fit."""
    try:
        return SetSizes(tuple(sizes.items())).run(graph, Context())
    except Fault:
        return graph


def _check_names(
    body: Body, data: DataSet, graph: Graph, columns: Mapping[str, str], span: Span
) -> bool:
    """Whether no raw column that the file would take is called as one of its outputs or weights:
    these names are its own, and stay."""
    before = cut_columns(data, graph, columns)
    taken = {o.name: "an output" for o in graph.outputs}
    taken |= dict.fromkeys(graph.parameter, "a weight")
    fitted = [PREFIX + p.path for p in before.parameters]
    clashes = [n for n in (*(i.name for i in before.inputs), *fitted) if n in taken]
    for name in clashes:
        body.session.sink.report(preprocess_name_clash(span, name, taken[name]))
    return not clashes
