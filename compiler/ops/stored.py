"""Weights kept in few bits: whole numbers and a scale, or places in a short list of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ops.axes import need_float, need_rank
from compiler.ops.broadcasting import broadcast_shapes
from compiler.ops.choosing import spell_cast
from compiler.ops.layers import need_least, refuse_option
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import wrong_dtype
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Index, Infix, Method, Spelling

BYTES = 800
"""About what the nodes that unpack a sparse weight take in a file, with their names and lines of
the spec (measured: 780 to 860)."""
GAPS = (4, 8)
"""Bits in which the distance from one number to the next may be written."""


def need_bits(op: str, bits: int) -> None:
    """Raises `Fault` for a number of bits that no integer of a file has."""
    if bits not in (4, 8):
        refuse_option(op, "bits", bits, "4 or 8")


def need_codes(op: str, type: TensorType) -> None:
    """Raises `Fault` if the first operand holds no small whole numbers."""
    if type.dtype not in (DType.I8, DType.U8):
        raise Fault(
            lambda where: wrong_dtype(
                where.call,
                op,
                "a tensor of small whole numbers, i8 or u8",
                type,
                (where.operand(0),),
                "convert it: `cast(…, i8)`",
            )
        )


def write_codes(build: OnnxBuilder, codes: Any, kind: DType, bits: int, dtype: DType) -> Any:
    """Codes as a tensor of `dtype`, kept in the file in whichever way is smallest: each in its
    bits, or, where most are 0, only the others, each with its distance from the one before
    (Han et al. 2016, https://arxiv.org/abs/1510.00149, section 2).

    ONNX Runtime computes all of it once, when it loads the file.
    """
    numbers = build.numbers(codes)
    if numbers is None:
        return build.op("Cast", [codes], {"to": dtype})
    flat = numbers.reshape(-1)
    least = -(-flat.size * bits // 8)
    found = None
    for width in GAPS:
        gaps, values = find_gaps(flat, width)
        size = -(-values.size * bits // 8) - (-gaps.size * width // 8) + BYTES
        if size < least:
            least, found = size, (gaps, values, width)
    if found is None:
        packed = build.packed(numbers.astype(kind.numpy), bits, codes)
        return build.op("Cast", [packed], {"to": dtype})
    return _write_sparse(build, codes, numbers.shape, kind, bits, dtype, found)


def find_gaps(flat: Array, width: int) -> tuple[Array, Array]:
    """Steps from each kept entry to the next, as many bits as `width` hold, and the entries. A
    gap that is too wide has an entry of 0 on the way."""
    widest = 2**width - 1
    places = np.flatnonzero(flat)
    steps = np.diff(places, prepend=0)
    fillers = np.maximum(0, -(-steps // widest) - 1)
    ends = np.cumsum(fillers + 1) - 1
    gaps = np.full(int((fillers + 1).sum()), widest, np.uint8)
    gaps[ends] = steps - fillers * widest
    values = np.zeros(len(gaps), flat.dtype)
    values[ends] = flat[places]
    return gaps, values


def _write_sparse(
    build: OnnxBuilder,
    codes: Any,
    shape: tuple[int, ...],
    kind: DType,
    bits: int,
    dtype: DType,
    found: tuple[Array, Array, int],
) -> Any:
    """Entries put at the sums of their gaps."""
    gaps, values, width = found
    steps = build.op("Cast", [build.packed(gaps, width, codes)], {"to": DType.I64})
    ends = build.op("CumSum", [steps, build.constant(np.array(0, np.int64))])
    kept = build.op("Cast", [build.packed(values.astype(kind.numpy), bits, codes)], {"to": dtype})
    empty = build.op(
        "ConstantOfShape",
        [build.constant(np.array([np.prod(shape)], np.int64))],
        {"value": np.zeros(1, dtype.numpy)},
    )
    whole = build.op("ScatterElements", [empty, ends, kept], {"axis": 0})
    return build.op("Reshape", [whole, build.constant(np.array(shape, np.int64))])


@OPS.register
@final
@dataclass(frozen=True)
class Stored(Op):
    """A weight that is kept in few bits: `y = codes * scale`, or the codes in another dtype.

    In ONNX it is a `Cast` and a `Mul` on initializers, which ONNX Runtime computes when it loads
    the file: the file is as small as the codes, the network as fast as in floating point.

    Shapes: codes `i8[...]` and scale `f32[...]`, of one number or of as many axes with 1 for all
    but some -> `f32[...]` of the codes' shape. Without a scale, codes are fractions of half
    precision, `f16[...]` or `bf16[...]`.

    - `bits`: how many bits of a code the file keeps, 4 (codes from -8 to 7, or 0 to 15) or 8.

    Errors: W0382 where the codes are no small whole numbers, W0353 for other `bits`.
    Example: `input codes: i8[10, 64]`, `input scale: f32[10, 1]`, `weight = stored(codes, scale)`
    Source: Han et al., Deep Compression, https://arxiv.org/abs/1510.00149
    """

    name = "stored"
    quantized = True
    foldable = False
    operands = (Operand("codes"), Operand("scale", optional=True))
    bits: int = 8

    def infer(
        self, assume: Assume, codes: TensorType, scale: TensorType | None
    ) -> tuple[TensorType, ...]:
        need_bits(self.name, self.bits)
        if scale is None:
            need_float(self.name, codes)
            return (TensorType(DType.F32, codes.shape),)
        need_codes(self.name, codes)
        need_float(self.name, scale, operand=1)
        broadcast_shapes([codes, scale], assume)
        return (TensorType(scale.dtype, codes.shape),)

    def evaluate(self, codes: Array, scale: Array | None) -> tuple[Array, ...]:
        if scale is None:
            return (codes.astype(np.float32),)
        return (codes.astype(scale.dtype) * scale,)

    def torch(self, node: Node) -> Spelling:
        if node.inputs[1] is None:
            return Spelling(spell_cast(In(0), DType.F32))
        return Spelling(Infix("*", In(0), In(1)))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, codes: OnnxInput, scale: OnnxInput | None
    ) -> Values:
        if scale is None:
            return [build.op("Cast", [codes.value], {"to": DType.F32})]
        whole = write_codes(build, codes.value, codes.dtype, self.bits, outputs[0].dtype)
        return [build.op("Mul", [whole, scale.value])]


@OPS.register
@final
@dataclass(frozen=True)
class Codebook(Op):
    """A weight whose entries are places in a short list of numbers: `y = book[codes]`.

    In ONNX it is a `Gather` on initializers, which ONNX Runtime computes when it loads the file.

    Shapes: codes `u8[...]` with entries below n, book `f32[n]` -> `f32[...]`.

    - `bits`: how many bits of a code the file keeps, 4 (for a book of 16) or 8.

    Errors: W0382 where the codes are no small whole numbers, W0353 for other `bits`.
    Example: `input codes: u8[10, 64]`, `input book: f32[16]`, `weight = codebook(codes, book)`
    Source: Han et al., Deep Compression, https://arxiv.org/abs/1510.00149
    """

    name = "codebook"
    quantized = True
    foldable = False
    operands = (Operand("codes"), Operand("book"))
    bits: int = 4

    def infer(self, assume: Assume, codes: TensorType, book: TensorType) -> tuple[TensorType, ...]:
        need_bits(self.name, self.bits)
        need_codes(self.name, codes)
        need_rank(self.name, book, 1)
        need_least(self.name, "book", book.shape[0].known or 1, 1)
        return (TensorType(book.dtype, codes.shape),)

    def domains(self, codes: NodeInput, book: NodeInput) -> Mapping[NodeInput, Domain]:
        return {codes: Domain(book.shape[0])}

    def evaluate(self, codes: Array, book: Array) -> tuple[Array, ...]:
        return (book[codes],)

    def torch(self, node: Node) -> Spelling:
        return Spelling(Index(In(1), (Method(In(0), "int"),)))  # u8 would be a mask

    def onnx(
        self, build: OnnxBuilder, outputs: Results, codes: OnnxInput, book: OnnxInput
    ) -> Values:
        places = write_codes(build, codes.value, codes.dtype, self.bits, DType.I32)
        return [build.op("Gather", [book.value, places])]
