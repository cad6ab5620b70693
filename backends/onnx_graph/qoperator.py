"""Writes integer layers as one operator each (QLinearConv, QGemm …) instead of Q and DQ around
float ones: what ONNX Runtime would make of them when it loads the file, in fewer bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.builder import GraphBuilder
from backends.onnx_graph.integer_form import LAYERS, MOVES, find_scale

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Levels:
    """A tensor of levels, with its scale and zero point."""

    levels: ir.Value
    scale: ir.Value
    zero_point: ir.Value


@dataclass(frozen=True)
class Operator:
    """An operator to write: its inputs, and the attributes that it has beside the old node's."""

    op_type: str
    inputs: Sequence[ir.Value | None]
    domain: str = MICROSOFT
    attributes: Mapping[str, object] | None = None


def write_operators(build: GraphBuilder) -> dict[ir.Value, ir.Value]:
    """Replaces every layer between dequantized inputs and a rounded result; what stands for each
    value that is gone. A dense layer without rounding behind it gives fractions."""
    instead: dict[ir.Value, ir.Value] = {}
    for node in list(build.nodes):
        if node.domain or node.op_type not in WRITERS:
            continue
        end = _find_rounding(build, node)
        operator = WRITERS[node.op_type](node, end)
        if operator is None:
            continue
        old = node.outputs[0] if end is None else end.levels
        made = _add(build, node, operator)
        for reader, place in list(old.uses()):
            reader.replace_input_with(place, made)
        instead[old] = made
    return instead


def find_left(build: GraphBuilder, nodes: Iterable[ir.Node]) -> Iterator[str]:
    """The layers between rounded values that no operator stands for, by their paths."""
    for node in nodes:
        layer = node.domain == "" and node.op_type in (*LAYERS, "MatMul")
        if layer and all(find_scale(build, value) is not None for value in node.inputs[:2]):
            yield (node.name or node.op_type).partition("/")[0]


def _add(build: GraphBuilder, node: ir.Node, operator: Operator) -> ir.Value:
    """Adds an operator at the place of a node, under its name."""
    attributes = dict(operator.attributes or {})
    value = build.add_plain(
        operator.op_type, operator.inputs, attributes, f"{node.name}/i8", domain=operator.domain
    )
    made = build.nodes.pop()
    made.name = node.name
    for name, attribute in node.attributes.items():
        made.attributes[name] = attribute
    made.metadata_props.update(node.metadata_props)
    build.nodes.insert(build.nodes.index(node), made)
    return value


def _read_levels(value: ir.Value | None) -> Levels | None:
    """The levels that a value was dequantized from."""
    maker = value.producer() if value is not None else None
    if maker is None or maker.op_type != "DequantizeLinear":
        return None
    levels, scale, zero_point = maker.inputs
    if levels is None or scale is None or zero_point is None:
        return None
    return Levels(levels, scale, zero_point)


def _find_rounding(build: GraphBuilder, node: ir.Node) -> Levels | None:
    """The rounding of a node's result, if nothing else reads it; what clips to the range of the
    levels before is superfluous."""
    value = node.outputs[0]
    clips: list[ir.Node] = []
    while len(readers := list(value.uses())) == 1:
        (reader, _) = readers[0]
        if reader.op_type == "QuantizeLinear":
            _, scale, zero_point = reader.inputs
            if scale is None or zero_point is None:
                return None
            end = Levels(reader.outputs[0], scale, zero_point)
            return end if all(_is_covered(build, clip, end) for clip in clips) else None
        if reader.op_type not in ("Relu", "Clip"):
            return None
        clips.append(reader)
        value = reader.outputs[0]
    return None


def _is_covered(build: GraphBuilder, clip: ir.Node, end: Levels) -> bool:
    """Whether the levels reach no further than a Relu or Clip lets numbers go."""
    scale, zero = build.numbers(end.scale), build.numbers(end.zero_point)
    if scale is None or zero is None or scale.ndim:
        return False
    info = np.iinfo(zero.dtype)
    low, high = (float(scale) * (n - int(zero)) for n in (info.min, info.max))
    bounds = [build.numbers(v) if v is not None else None for v in clip.inputs[1:]]
    least = 0.0 if clip.op_type == "Relu" or bounds[0] is None else float(bounds[0])
    most = np.inf if len(bounds) < 2 or bounds[1] is None else float(bounds[1])
    return low >= least and high <= most * (1 + 1e-6)


def _flatten(parts: Sequence[Levels]) -> Iterator[ir.Value]:
    for part in parts:
        yield from (part.levels, part.scale, part.zero_point)


def _read_all(values: Sequence[ir.Value | None]) -> list[Levels] | None:
    parts = [_read_levels(value) for value in values]
    return None if any(part is None for part in parts) else [p for p in parts if p is not None]


def _write_layer(node: ir.Node, end: Levels | None) -> Operator | None:
    """A convolution, or a dense layer, whose result may stay in fractions."""
    parts = _read_all(node.inputs)
    convolves = node.op_type == "Conv"
    if parts is None or (convolves and end is None):
        return None
    source, weight, *bias = parts
    inputs: list[ir.Value | None] = list(_flatten([source, weight]))
    result = [] if end is None else [end.scale, end.zero_point]
    whole = bias[0].levels if bias else None
    if convolves:
        return Operator("QLinearConv", [*inputs, *result, whole], domain="")
    return Operator("QGemm", [*inputs, whole, *result])


def _write_join(node: ir.Node, end: Levels | None) -> Operator | None:
    """A sum, product or mean."""
    parts = _read_all(node.inputs)
    if parts is None or end is None:
        return None
    return Operator(f"QLinear{node.op_type}", [*_flatten(parts), end.scale, end.zero_point])


def _write_pool(node: ir.Node, end: Levels | None) -> Operator | None:
    """The mean over all of space."""
    join = _write_join(node, end)
    if join is None:
        return None
    return Operator("QLinearGlobalAveragePool", join.inputs, attributes={"channels_last": 0})


def _write_concat(node: ir.Node, end: Levels | None) -> Operator | None:
    parts = _read_all(node.inputs)
    if parts is None or end is None:
        return None
    return Operator("QLinearConcat", [end.scale, end.zero_point, *_flatten(parts)])


def _write_move(node: ir.Node, end: Levels | None) -> Operator | None:
    """What only moves numbers moves levels, where its result has the scale of its input."""
    source = _read_levels(node.inputs[0])
    if source is None or end is None or node.outputs[0].name is None:
        return None
    if (source.scale, source.zero_point) != (end.scale, end.zero_point):
        return None
    return Operator(node.op_type, [source.levels, *node.inputs[1:]], domain="")


Writer = Callable[[ir.Node, Levels | None], Operator | None]
WRITERS: Mapping[str, Writer] = {
    "Conv": _write_layer,
    "Gemm": _write_layer,
    "Add": _write_join,
    "Mul": _write_join,
    "AveragePool": _write_join,
    "GlobalAveragePool": _write_pool,
    "Concat": _write_concat,
    "MaxPool": _write_move,
    **dict.fromkeys(MOVES, _write_move),
}
"""How each operator is written in integers."""
