"""What a graph costs, by block: parameters, multiply-adds, bytes of weights and activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from compiler.ir.evaluate import expand
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node, Parameter
from compiler.ir.modes import take_evaluation
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType


@dataclass
class Summary:
    """One row: a block's call or one op, with the rows inside it.

    `parameters` counts weights, or the codes that stand for them (other buffers are not
    counted), each where it is read first; `multiply_adds` and the types keep symbolic dims.
    """

    path: str
    kind: str
    output: TensorType | None = None
    parameters: int = 0
    weight_bytes: int = 0
    multiply_adds: Dim = field(default_factory=lambda: Dim.of(0))
    activation_bytes: Dim = field(default_factory=lambda: Dim.of(0))
    children: list[Summary] = field(default_factory=list)
    is_op: bool = False


def summarize(graph: Graph) -> Summary:
    """The tree of rows of a graph in evaluation mode. FLOPs are twice the multiply-adds."""
    graph = take_evaluation(graph)
    root = Summary("", graph.frame.block or graph.name)
    rows: dict[Frame, Summary] = {graph.frame: root}
    counted: set[str] = set()
    known: dict[tuple[int, ...], tuple[Dim, Dim]] = {}
    derived = _count_derivatives(graph)
    for node in graph.nodes:
        parents = [_find_row(frame, rows) for frame in node.scope.chain]
        row = _summarize_node(graph, node, counted, known)
        row.multiply_adds = row.multiply_adds + derived.get(node.outputs[0].name, 0)
        parents[-1].children.append(row)
        _add(parents[-1], row)
        for parent in parents:
            parent.output = row.output
    for frame, row in reversed(rows.items()):  # inner calls come behind those around them
        if frame.parent is not None:
            _add(rows[frame.parent], row)
    for parameter in graph.parameters:  # weights that only leave through an output
        if parameter.path not in counted:
            _count(root, parameter)
    if len(graph.outputs) == 1:
        root.output = graph.outputs[0].value.type
    return root


def _count_derivatives(graph: Graph) -> dict[str, Dim]:
    """What the derivatives cost that are written out in place of nodes, by their results; nothing
    where PyTorch alone has them."""
    if not any(node.op.of_graph for node in graph.nodes):
        return {}
    try:
        nodes = expand(graph).nodes
    except CompileError:
        return {}
    wanted = {node.outputs[0].name for node in graph.nodes if node.op.of_graph}
    own = set(graph.producers)
    found: dict[str, Dim] = {}
    total = Dim.of(0)
    for node in nodes:
        name = node.outputs[0].name
        if name in wanted:
            found[name], total = total, Dim.of(0)
        elif name not in own:
            total = total + node.op.multiply_adds(node.types, [v.type for v in node.outputs])
    return found


def _add(total: Summary, row: Summary) -> None:
    """Adds the figures of a row to one around it."""
    total.parameters += row.parameters
    total.weight_bytes += row.weight_bytes
    if row.multiply_adds != 0:
        total.multiply_adds += row.multiply_adds
    total.activation_bytes += row.activation_bytes


def _find_row(frame: Frame, rows: dict[Frame, Summary]) -> Summary:
    """The row of a frame, made under its parent's on first sight (parents come first)."""
    if frame not in rows:
        rows[frame] = Summary(frame.path, frame.block)
        if frame.parent is not None:
            rows[frame.parent].children.append(rows[frame])
    return rows[frame]


def _summarize_node(
    graph: Graph, node: Node, counted: set[str], known: dict[tuple[int, ...], tuple[Dim, Dim]]
) -> Summary:
    """The row of a node. `known` has multiply-adds and bytes by the objects that they follow from:
    equal layers share ops and types."""
    path = ".".join(part for part in (node.scope.path, node.origin.name) if part)
    row = Summary(path if node.origin.name else "", node.op.name, node.outputs[0].type, is_op=True)
    for value in node.inputs:
        parameter = graph.parameter.get(value.name) if value is not None else None
        if parameter is not None and parameter.path not in counted:
            counted.add(parameter.path)
            _count(row, parameter)
    types = node.types
    made = [v.type for v in node.outputs]
    key = (id(node.op), *map(id, types), *map(id, made))
    if key not in known:
        sizes = (one.size * one.dtype.bytes for one in made)
        known[key] = node.op.multiply_adds(types, made), sum(sizes, start=Dim.of(0))
    row.multiply_adds, row.activation_bytes = known[key]
    return row


def _count(row: Summary, parameter: Parameter) -> None:
    size = parameter.value.type.size.known or 0
    row.parameters += size if is_weight(parameter) else 0
    row.weight_bytes += size * parameter.value.type.dtype.bytes


def is_weight(parameter: Parameter) -> bool:
    """Whether a parameter holds numbers of the net itself: a weight, or the codes that stand for
    one in few bits; no statistic, and no scale."""
    kinds = (DType.I8, DType.U8, DType.F16, DType.BF16)
    coded = parameter.value.type.dtype in kinds and parameter.path.endswith("codes")
    return parameter.trainable or coded


def walk(summary: Summary, depth: int) -> Iterator[tuple[int, Summary]]:
    """Rows in order with their level, down to `depth` levels of blocks below the root; ops are
    rows where they hold weights or where they stand beside blocks."""
    yield from _walk(summary, 0, depth)


def _walk(summary: Summary, level: int, depth: int) -> Iterator[tuple[int, Summary]]:
    yield level, summary
    if level >= depth:
        return
    for child in summary.children:
        yield from _walk(child, level + 1, depth)
