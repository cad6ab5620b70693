"""Puts integer layers into the form that runtimes know: whole biases, rounding before moves.

A layer that reads two dequantized tensors, with scales s_x and s_w, sums products in i32 steps of
s_x · s_w. Its bias is added to that sum, so it is stored as i32 in the same steps; with a float
bias the layer would run in f32. And a pool fuses with a QuantizeLinear that reads its result, not
with one behind a Flatten.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.builder import GraphBuilder
from backends.onnx_graph.dtypes import Array
from compiler.types.tensor import DType

LAYERS = ("Conv", "Gemm")
DENSE = ("Gemm", "MatMul")
ABSORBED = ("Relu", "Clip")
MOVES = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze")
LARGEST = 2**31 - 1


def form_integers(build: GraphBuilder) -> None:
    """Rewrites what `fake_quantize` nodes and their neighbours were written as; the meaning
    stays, but for the rounding of biases."""
    for node in list(build.nodes):
        if node.domain == "" and node.op_type == "Pad":
            _pad_levels(build, node)
    nodes: list[ir.Node] = []
    for node in list(build.nodes):
        if node.domain == "" and node.op_type in LAYERS and len(node.inputs) == 3:
            _write_bias(build, node, nodes)
        nodes.append(node)
    build.nodes[:] = nodes
    for node in list(build.nodes):
        if node.domain == "" and node.op_type == "QuantizeLinear":
            _round_before_move(build, node)
    for node in list(build.nodes):
        if node.domain == "" and node.op_type in (*LAYERS, "ConvTranspose"):
            _keep_float(build, node)
        if node.domain == "" and node.op_type in DENSE:
            _part_activation(build, node)


def _pad_levels(build: GraphBuilder, node: ir.Node) -> None:
    """Pads the levels of a dequantized tensor instead of its numbers: what reads the result is
    between two roundings then, and a byte moves faster than a float. Zero is a level."""
    source, widths, *rest = node.inputs
    maker = source.producer() if source is not None else None
    mode = node.attributes.get_string("mode", "constant")
    if maker is None or maker.op_type != "DequantizeLinear" or "axis" in maker.attributes:
        return
    if any(value is not None for value in rest):  # another number than 0, or chosen axes
        return
    levels, *parts = maker.inputs
    filler = parts[1:] if mode == "constant" else []
    padded = build.add_plain(
        "Pad", [levels, widths, *filler], {"mode": mode}, f"{node.name}/levels"
    )
    made = [_take_last(build, node)]
    result = build.add_plain("DequantizeLinear", [padded, *parts], {}, f"{node.name}/float")
    made.append(_take_last(build, node))
    for reader, place in list(node.outputs[0].uses()):
        reader.replace_input_with(place, result)
    place = build.nodes.index(node)
    build.nodes[place:place] = made


def _write_bias(build: GraphBuilder, node: ir.Node, before: list[ir.Node]) -> None:
    """Replaces the float bias of an integer layer by an integer one. A bias that would not fit in
    i32 stays as it is."""
    given = node.inputs[2]
    bias = build.numbers(given) if given is not None else None
    scales = [find_scale(build, value) for value in node.inputs[:2]]
    if given is None or bias is None or bias.dtype != np.float32:
        return
    if any(scale is None for scale in scales):
        return
    source, weight = (np.asarray(scale, np.float32) for scale in scales)
    scale = source * weight
    levels = np.round(bias.astype(np.float64) / scale)
    if source.ndim or np.abs(levels).max(initial=0) > LARGEST:
        return
    whole = build.constant(levels.astype(np.int32), DType.I32, like=given)
    inputs = [whole, build.constant(scale), build.constant(np.zeros(scale.shape, np.int32))]
    attributes = {"axis": 0} if scale.ndim else {}
    value = build.add_plain("DequantizeLinear", inputs, attributes, f"{node.name}/bias")
    before.append(_take_last(build, node))
    node.replace_input_with(2, value)


def _round_before_move(build: GraphBuilder, node: ir.Node) -> None:
    """Rounds once more before a Flatten or Reshape whose result is rounded, where no rounding
    stands there yet. A second rounding to the same levels changes nothing."""
    moved, *parts = node.inputs
    move = moved.producer() if moved is not None else None
    if moved is None or move is None or move.op_type not in MOVES or "axis" in node.attributes:
        return
    source = move.inputs[0]
    maker = source.producer() if source is not None else None
    if source is None or maker is None or maker.op_type in (*MOVES, "DequantizeLinear"):
        return
    if len(list(source.uses())) > 1 or len(list(moved.uses())) > 1:
        return
    given = [value for value in parts if value is not None]
    place = build.nodes.index(move)
    for number, op_type in enumerate(("QuantizeLinear", "DequantizeLinear")):
        source = build.add_plain(op_type, [source, *given], {}, f"{move.name}/{op_type}")
        build.nodes.insert(place + number, _take_last(build, move))
    move.replace_input_with(0, source)


def _keep_float(build: GraphBuilder, node: ir.Node) -> None:
    """Keeps a layer float that is to be float, between others that are not. ONNX Runtime would
    round its weight by itself, with one scale for all channels, wherever its input is dequantized
    and its result rounded (`WeightBiasQuantization`; runtime_faults: float_layer_rounded). It
    sees no rounding behind a LeakyRelu, which with a slope of 1 is the identity, and fuses with
    the layer."""
    weight = node.inputs[1]
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    if weight is None or weight.producer() is not None or maker is None:
        return
    (result,) = node.outputs
    readers = list(result.uses())
    if maker.op_type != "DequantizeLinear" or not _leads_to_rounding(result):
        return
    kept = build.add_plain("LeakyRelu", [result], {"alpha": 1.0}, f"{node.name}/float")
    build.nodes.insert(build.nodes.index(node) + 1, _take_last(build, node))
    for reader, place in readers:
        reader.replace_input_with(place, kept)


def _part_activation(build: GraphBuilder, node: ir.Node) -> None:
    """Lets an integer dense layer run in integers before an activation that no rounding follows.
    ONNX Runtime takes a Relu or Clip for a part of the layer and looks for the rounding behind it;
    where there is none, the layer would run in f32. A LeakyRelu it takes for a node of its own:
    with a slope of 0 it is a Relu, with a slope of 1 the identity, to stand before a Clip
    (runtime_faults: activation_apart)."""
    (result,) = node.outputs
    readers = list(result.uses())
    if len(readers) != 1 or readers[0][0].op_type not in ABSORBED or _leads_to_rounding(result):
        return
    if any(find_scale(build, value) is None for value in node.inputs[:2]):
        return
    activation = readers[0][0]
    if activation.op_type == "Relu":
        activation.op_type = "LeakyRelu"
        activation.attributes["alpha"] = ir.AttrFloat32("alpha", 0.0)
        return
    parted = build.add_plain("LeakyRelu", [result], {"alpha": 1.0}, f"{node.name}/apart")
    build.nodes.insert(build.nodes.index(activation), _take_last(build, node))
    activation.replace_input_with(0, parted)


def _leads_to_rounding(value: ir.Value) -> bool:
    readers = list(value.uses())
    while len(readers) == 1 and readers[0][0].op_type in ABSORBED:
        readers = list(readers[0][0].outputs[0].uses())
    return len(readers) == 1 and readers[0][0].op_type == "QuantizeLinear"


def _take_last(build: GraphBuilder, like: ir.Node) -> ir.Node:
    """Takes the node added last off the end; it belongs to the layer of another node."""
    made = build.nodes.pop()
    made.metadata_props.update(like.metadata_props)
    return made


def find_scale(build: GraphBuilder, value: ir.Value | None) -> Array | None:
    """The scale of a dequantized tensor, also behind nodes that only move its numbers."""
    maker = value.producer() if value is not None else None
    while maker is not None and maker.op_type in MOVES and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    if maker is None or maker.op_type != "DequantizeLinear" or maker.inputs[1] is None:
        return None
    return build.numbers(maker.inputs[1])
