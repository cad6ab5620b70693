"""What ONNX Runtime is known to do wrong or to refuse, and how the files that Weft writes avoid it.

This is the list; a test holds every entry against the installed ONNX Runtime: as long as the plain
form is wrong or refused there, the way around it is needed, and once it is not, it can go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.builder import GraphBuilder
from backends.onnx_graph.integer_form import MOVES
from compiler.types.tensor import DType


class Harm(Enum):
    """What happens to a file in the plain form."""

    WRONG = "wrong numbers"
    REFUSED = "refused"
    FLOATS = "runs in floats"
    ENDS = "ends the process"


@dataclass(frozen=True)
class RuntimeFault:
    """A fault of ONNX Runtime: the versions in which it was seen, what it does with the plain form,
    and the function or method that writes another form instead."""

    name: str
    harm: Harm
    seen: str
    about: str
    avoided: str


FAULTS = (
    RuntimeFault(
        "pad_before_max_pool",
        Harm.WRONG,
        "1.31.1",
        "a Pad of zeros is fused into the MaxPool behind it, whose padding never wins",
        "backends.onnx_graph.runtime_faults.part_pads",
    ),
    RuntimeFault(
        "pool_of_padding",
        Harm.WRONG,
        "1.31.1",
        "a MaxPool whose window holds nothing but padding gives the lowest number, not -inf",
        "compiler.ops.pooling.MaxPool.onnx",
    ),
    RuntimeFault(
        "wide_padding",
        Harm.REFUSED,
        "1.31.1",
        "a MaxPool with a dilation whose padding is not below its kernel",
        "compiler.ops.pooling._needs_pad",
    ),
    RuntimeFault(
        "group_normalization",
        Harm.WRONG,
        "1.31.1",
        "a GroupNormalization takes the variance for the mean of squares less the square of the"
        " mean: NaN, or far off, where numbers are large and vary little",
        "compiler.ops.group_normalization.GroupNorm.onnx",
    ),
    RuntimeFault(
        "mean_of_instances",
        Harm.WRONG,
        "1.31.1",
        "an InstanceNormalization adds its entries up one by one, and divides by their deviation"
        " what the mean of many large ones is off by",
        "compiler.ops.group_normalization._write_instances",
    ),
    RuntimeFault(
        "output_padding",
        Harm.REFUSED,
        "1.31.1",
        "a ConvTranspose whose output padding is not below its stride",
        "compiler.ops.convolution.ConvTranspose.onnx",
    ),
    RuntimeFault(
        "same_with_dilation",
        Harm.REFUSED,
        "1.31.1",
        "a Conv with auto_pad, a dilation and a stride",
        "compiler.ops.convolution.Conv.onnx",
    ),
    RuntimeFault(
        "power_of_integers",
        Harm.WRONG,
        "1.31.1",
        "Pow of integers is computed in f64, which holds no whole numbers from 2**53, no overflow",
        "compiler.ops.arithmetic.Pow.onnx",
    ),
    RuntimeFault(
        "sum_of_integers",
        Harm.WRONG,
        "1.31.1",
        "ReduceSum of integers is computed in f64, which holds no whole numbers from 2**53",
        "compiler.ops.reduction.write_whole_sum",
    ),
    RuntimeFault(
        "product_of_integers",
        Harm.WRONG,
        "1.31.1",
        "ReduceProd of integers is computed in f64, which holds no whole numbers from 2**53",
        "compiler.ops.reduction.write_products",
    ),
    RuntimeFault(
        "quotient_of_the_least",
        Harm.ENDS,
        "1.31.1",
        "Div and Mod of i32 and i64 divide the least number by -1, which no register holds",
        "compiler.ops.arithmetic._write_divisor",
    ),
    RuntimeFault(
        "pad_of_i16",
        Harm.REFUSED,
        "1.31.1",
        "Pad has no kernel for i16",
        "compiler.ops.padding.Pad.onnx",
    ),
    RuntimeFault(
        "where_of_i16",
        Harm.REFUSED,
        "1.31.1",
        "Where has no kernel for i16",
        "compiler.ops.choosing.Where.onnx",
    ),
    RuntimeFault(
        "where_of_bool",
        Harm.REFUSED,
        "1.31.1",
        "Where has no kernel for bool",
        "compiler.ops.choosing.Where.onnx",
    ),
    RuntimeFault(
        "max_of_i16",
        Harm.REFUSED,
        "1.31.1",
        "Max and Min have no kernel for i16",
        "compiler.ops.choosing.Extreme.onnx",
    ),
    RuntimeFault(
        "argmax_of_i16",
        Harm.REFUSED,
        "1.31.1",
        "ArgMax and ArgMin have no kernel for i16",
        "compiler.ops.statistics.Position.onnx",
    ),
    RuntimeFault(
        "trilu_of_i16",
        Harm.REFUSED,
        "1.31.1",
        "Trilu has no kernel for i16",
        "compiler.ops.triangles.Triangle.onnx",
    ),
    RuntimeFault(
        "trilu_of_i8",
        Harm.REFUSED,
        "1.31.1",
        "Trilu has no kernel for i8",
        "compiler.ops.triangles.Triangle.onnx",
    ),
    RuntimeFault(
        "trilu_of_u8",
        Harm.REFUSED,
        "1.31.1",
        "Trilu has no kernel for u8",
        "compiler.ops.triangles.Triangle.onnx",
    ),
    RuntimeFault(
        "scatter_of_f16",
        Harm.REFUSED,
        "1.31.1",
        "ScatterElements adds and multiplies no f16",
        "compiler.ops.scattering.Scattering.onnx",
    ),
    RuntimeFault(
        "scale_of_f64",
        Harm.WRONG,
        "1.31.1",
        "a number that a factor or the result of a MatMul of f64 is multiplied or divided by is"
        " fused with it, in f32",
        "backends.onnx_graph.runtime_faults.part_scales",
    ),
    RuntimeFault(
        "transpose_before_vector",
        Harm.WRONG,
        "1.31.1",
        "a Transpose is fused into the MatMul behind it, which leaves it out where the right factor"
        " is a vector",
        "compiler.ops.linear_algebra.MatMul.onnx",
    ),
    RuntimeFault(
        "nearly_gelu",
        Harm.WRONG,
        "1.31.1",
        "an Erf of a quotient by a number near the root of 2 is fused into a Gelu, which divides by"
        " the root itself",
        "backends.onnx_graph.runtime_faults.part_quotients",
    ),
    RuntimeFault(
        "mean_of_sums",
        Harm.WRONG,
        "1.31.1",
        "an Add is fused into the LayerNormalization behind it, which then adds its entries up one"
        " by one, and divides by their deviation what the mean of many large ones is off by",
        "backends.onnx_graph.runtime_faults.part_sums",
    ),
    RuntimeFault(
        "relu_before_clip",
        Harm.REFUSED,
        "1.31.1",
        "a Relu is fused into the Clip behind it, of f32 and f16 alone",
        "backends.onnx_graph.kernels._write_clip",
    ),
    RuntimeFault(
        "float_layer_rounded",
        Harm.WRONG,
        "1.31.1",
        "the weight of a float layer between integer ones is rounded, with one scale for all of it",
        "backends.onnx_graph.integer_form._keep_float",
    ),
    RuntimeFault(
        "activation_apart",
        Harm.FLOATS,
        "1.31.1",
        "an integer Gemm with a Relu behind it that no rounding follows",
        "backends.onnx_graph.integer_form._part_activation",
    ),
    RuntimeFault(
        "first_numbers_alike",
        Harm.WRONG,
        "1.31.1",
        "random operators are seeded by their places in the graph: the first numbers of a"
        " RandomUniform in f32 are nearly those of the next one",
        "compiler.ops.drawing.write_random",
    ),
    RuntimeFault(
        "draws_in_loops",
        Harm.WRONG,
        "1.31.1",
        "a random operator in a loop draws what one at the same place of another graph draws",
        "backends.onnx_graph.runtime_faults.part_draws",
    ),
)

RANDOM = ("Random", "Multinomial")
"""How the names of operators begin that draw random numbers."""


def avoid_fusions(build: GraphBuilder) -> None:
    """Writes what ONNX Runtime would fuse wrongly in forms that it does not fuse."""
    part_pads(build)
    part_scales(build)
    part_quotients(build)
    part_sums(build)


def part_pads(build: GraphBuilder) -> None:
    """Writes Pads with their axes named (`pad_before_max_pool`), which ONNX Runtime fuses with
    nothing, but for those in front of convolutions alone: these it fuses rightly."""
    for node in build.nodes:
        if node.domain != "" or node.op_type != "Pad" or len(node.inputs) > 3:
            continue
        widths = build.numbers(node.inputs[1]) if node.inputs[1] is not None else None
        readers = {reader.op_type for reader, _ in node.outputs[0].uses()}
        if widths is None or readers == {"Conv"}:
            continue
        axes = build.constant(np.arange(len(widths) // 2, dtype=np.int64))
        node.resize_inputs(4)
        node.replace_input_with(3, axes)


def part_scales(build: GraphBuilder) -> None:
    """Parts a MatMul of f64 from what multiplies or divides its factors or its result by a number
    (`scale_of_f64`): by a Sum of one tensor, which ONNX Runtime leaves where it is."""
    for node in list(build.nodes):
        if node.op_type != "MatMul" or build.dtype_of(node.outputs[0]) is not DType.F64:
            continue
        for place, factor in enumerate(node.inputs):
            if factor is not None and _is_scaled(build, _find_source(factor)):
                _part(build, node, place)
        for reader, place in list(_find_readers(node.outputs[0])):
            if _is_scaled(build, reader):
                _part(build, reader, place)


def _find_source(value: ir.Value) -> ir.Node | None:
    """The node whose numbers a value holds, perhaps moved."""
    maker = value.producer()
    while maker is not None and maker.op_type in MOVES and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    return maker


def _find_readers(value: ir.Value) -> Iterator[tuple[ir.Node, int]]:
    """The nodes that read the numbers of a value, perhaps moved, and the places of the operand."""
    for reader, place in value.uses():
        if reader.op_type in MOVES:
            yield from _find_readers(reader.outputs[0])
        else:
            yield reader, place


def _is_scaled(build: GraphBuilder, node: ir.Node | None) -> bool:
    """Whether a node multiplies or divides by a number that the file holds."""
    if node is None or node.op_type not in ("Mul", "Div"):
        return False
    held = [build.numbers(value) for value in node.inputs if value is not None]
    return any(numbers is not None and numbers.size == 1 for numbers in held)


def _part(build: GraphBuilder, node: ir.Node, place: int) -> None:
    made = build.add_plain("Sum", [node.inputs[place]], {}, f"{node.name}/apart")
    build.nodes.pop()
    maker = made.producer()
    assert maker is not None, "a Sum makes it"
    maker.metadata_props.update(node.metadata_props)
    build.nodes.insert(build.nodes.index(node), maker)
    node.replace_input_with(place, made)


def part_quotients(build: GraphBuilder) -> None:
    """Parts an Erf from a quotient by what is near the root of 2, and is not it (`nearly_gelu`)."""
    for node in list(build.nodes):
        maker = node.inputs[0].producer() if node.op_type == "Erf" and node.inputs[0] else None
        divisor = maker.inputs[1] if maker is not None and maker.op_type == "Div" else None
        number = build.numbers(divisor) if divisor is not None else None
        if number is not None and number.size == 1 and number != np.float32(np.sqrt(2)):
            _part(build, node, 0)


def part_sums(build: GraphBuilder) -> None:
    """Writes an Add in front of a LayerNormalization as a Sum (`mean_of_sums`), as fast."""
    for node in build.nodes:
        readers = {reader.op_type for reader, _ in node.outputs[0].uses()}
        if node.domain == "" and node.op_type == "Add" and "LayerNormalization" in readers:
            node.op_type = "Sum"


def part_draws(nodes: Sequence[ir.Node]) -> None:
    """Gives every random operator a place of its own among those of all graphs (`draws_in_loops`):
    nodes that nothing reads go before those in loops whose places are taken."""
    taken = {place for place, node in enumerate(nodes) if node.op_type.startswith(RANDOM)}
    for body in _list_bodies(nodes):
        place = 0
        for node in list(body):
            if node.op_type.startswith(RANDOM):
                while place in taken:
                    spare = ir.node("Identity", [body.inputs[0]], name=f"{node.name}/place_{place}")
                    spare.outputs[0].name = spare.name
                    body.insert_before(node, spare)
                    place += 1
                taken.add(place)
            place += 1


def _list_bodies(nodes: Iterable[ir.Node]) -> Iterator[ir.Graph]:
    """The graphs inside nodes, and those inside these."""
    for node in nodes:
        for attribute in node.attributes.values():
            if attribute.type is ir.AttributeType.GRAPH:
                yield attribute.as_graph()
                yield from _list_bodies(attribute.as_graph())
