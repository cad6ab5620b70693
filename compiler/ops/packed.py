"""Dense layers that compute with whole numbers: dynamic quantization, and weights in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, final

import numpy as np

from compiler.ir.graph import Node
from compiler.ir.inputs import OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types, Weight
from compiler.ops.axes import need_float, need_rank, operand_type
from compiler.ops.layers import given, known, need_known, need_least, need_weights, refuse_option
from compiler.ops.magnitudes import grow
from compiler.ops.modules import Modular, input_type
from compiler.ops.registry import OPS
from compiler.ops.stored import need_bits
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.modules import ModuleConstant
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import (
    Call,
    In,
    Index,
    Infix,
    Leaf,
    Method,
    Name,
    SliceTerm,
    Term,
)


def quantize_dynamically(x: Array) -> tuple[Array, Array, Array]:
    """Levels from 0 to 255 of an array, the step between two, and the level of 0: the meaning of
    ONNX's `DynamicQuantizeLinear`. The range always holds 0."""
    low = np.minimum(x.min(initial=0), np.float32(0)).astype(np.float32)
    high = np.maximum(x.max(initial=0), np.float32(0)).astype(np.float32)
    scale = np.asarray((high - low) / np.float32(255), np.float32)
    if scale == 0:
        scale = np.ones_like(scale)
    zero_point = np.clip(np.round(-low / scale), 0, 255)
    levels = np.clip(np.round(x / scale) + zero_point, 0, 255)
    return levels.astype(np.float32), scale, zero_point.astype(np.float32)


@OPS.register
@final
@dataclass(frozen=True)
class DynamicDense(Modular):
    """Dense layer whose weight is i8, and whose input is rounded to 256 levels at each call,
    from the least to the greatest number that it has then (dynamic quantization).

        levels, step, zero = DynamicQuantizeLinear(x)
        y = (levels - zero) @ codesᵀ * (step * scale) + bias

    The product is one of whole numbers; ONNX Runtime fuses it to `DynamicQuantizeMatMul`. The
    levels are those of the whole tensor, so a row may change with the rows beside it.

    Shapes: x `f32[..., d]` -> `f32[..., out]`; codes `i8[out, d]`, scale `f32[out]`, bias `[out]`.

    - `out`: size of the last axis of the result.
    - `bias`: whether a number per output is added.

    Cost: d multiply-adds for each entry of the result.
    Example: `logits = x -> dynamic_dense(10)`
    Errors: W0354 where the last axis is not known, W0355 where a given weight does not fit.
    Source: https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
    """

    name = "dynamic_dense"
    chooses_channels = True
    multiplies_rows = True
    quantized = True
    torch_module = "DynamicLinear"
    torch_sizes: ClassVar[Mapping[str, int]] = {"in_features": -1}
    torch_widths: ClassVar[Mapping[str, int]] = {"out": -1}
    torch_roles: ClassVar[Mapping[str, str]] = {"out": "features"}
    operands = (Operand("x"),)
    out: int
    bias: bool = True

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        size = _need_input(self, operands)
        codes = TensorType.of(DType.I8, (self.out, size))
        scale = TensorType.of(DType.F32, (self.out,))
        made = (
            Weight("codes", codes, ModuleConstant(0.0), trainable=False),
            Weight("scale", scale, ModuleConstant(1.0), trainable=False),
        )
        return (*made, Weight("bias", scale, ModuleConstant(0.0))) if self.bias else made

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (_widen_last(x, self.out),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x, codes, scale = (given(a) for a in operands[:3])
        size = grow(x.shape[-1], x.dtype) * np.matmul(np.abs(x), np.abs(codes).T.astype(x.dtype))
        return [np.maximum(np.abs(results[0]), size * np.abs(scale))]

    def evaluate(self, x: Array, codes: Array, scale: Array, *bias: Array) -> tuple[Array, ...]:
        levels, step, zero_point = quantize_dynamically(x)
        y = np.matmul(levels - zero_point, codes.astype(np.float32).T) * (step * scale)
        return ((y + bias[0] if bias else y).astype(np.float32, copy=False),)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return operand_type(inputs, 0).size * self.out

    def spell_function(self, node: Node) -> Call:
        x = Call("round_to_bytes", (In(0),))
        weight = Infix("*", In(1), Index(In(2), (_ALL, Name("None"))))
        return Call("F.linear", (x, weight, *_bias_terms(self.bias, 3)))

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        codes: OnnxInput,
        scale: OnnxInput,
        bias: OnnxInput | None = None,
    ) -> Values:
        levels, step, zero_point = build.op("DynamicQuantizeLinear", [x.value], outputs=3)
        numbers = build.numbers(codes.value)
        if numbers is None:
            matrix = build.op("Transpose", [codes.value], {"perm": [1, 0]})
        else:
            matrix = build.constant(np.ascontiguousarray(numbers.T), DType.I8, like=codes.value)
        whole = build.op("MatMulInteger", [levels, matrix, zero_point])
        steps = build.op("Mul", [step, scale.value])
        made = build.op("Mul", [build.op("Cast", [whole], {"to": DType.F32}), steps])
        return [made] if bias is None else [build.op("Add", [made, bias.value])]


@OPS.register
@final
@dataclass(frozen=True)
class PackedDense(Modular):
    """Dense layer whose weight has 4 or 8 bits, with a scale for each block of a row.

        weight[o, i] = (codes[o, i] - zero_point[o, i // block]) * scale[o, i // block]
        y = x @ weightᵀ + bias

    In ONNX it is `MatMulNBits` of ONNX Runtime, which reads the packed weight in the product:
    with few rows, as when a language model writes, its speed is that of reading the weight.

    Shapes: x `f32[..., d]` -> `f32[..., out]`; codes `u8[out, d]`, scale `f32[out, b]`,
    zero_point `u8[out, b]` for b = ⌈d / block⌉ blocks, bias `[out]`.

    - `out`: size of the last axis of the result.
    - `bias`: whether a number per output is added.
    - `bits`: 4 (codes to 15) or 8 (to 255).
    - `block`: how many entries of a row share a scale: a power of 2, at least 16.
    - `symmetric`: the zero point is the middle, 8 or 128, and is not kept.
    - `accuracy_level`: what the runtime may round the input to: 1 is f32, 4 is i8 in blocks.

    Cost: d multiply-adds for each entry of the result.
    Example: `logits = x -> packed_dense(65, bits=4, block=32)`
    Errors: W0354 where the last axis is not known, W0355 where a given weight does not fit.
    Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
    """

    name = "packed_dense"
    chooses_channels = True
    multiplies_rows = True
    quantized = True
    torch_module = "PackedLinear"
    torch_sizes: ClassVar[Mapping[str, int]] = {"in_features": -1}
    torch_widths: ClassVar[Mapping[str, int]] = {"out": -1}
    torch_roles: ClassVar[Mapping[str, str]] = {"out": "features"}
    operands = (Operand("x"),)
    out: int
    bias: bool = True
    bits: int = 4
    block: int = 32
    symmetric: bool = True
    accuracy_level: Literal[0, 1, 2, 3, 4] = 4

    @property
    def middle(self) -> int:
        """The zero point of a symmetric weight."""
        return 1 << (self.bits - 1)

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        size = _need_input(self, operands)
        need_bits(self.name, self.bits)
        need_block(self.name, self.block)
        blocks = (self.out, -(-size // self.block))
        empty = ModuleConstant(0.0)
        codes = TensorType.of(DType.U8, (self.out, size))
        scale = TensorType.of(DType.F32, blocks)
        zero = TensorType.of(DType.U8, blocks)
        made = [
            Weight("codes", codes, empty, trainable=False),
            Weight("scale", scale, ModuleConstant(1.0), trainable=False),
        ]
        if not self.symmetric:
            made.append(Weight("zero_point", zero, empty, trainable=False))
        if self.bias:
            made.append(Weight("bias", TensorType.of(DType.F32, (self.out,)), empty))
        return tuple(made)

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (_widen_last(x, self.out),)

    def unpack(self, codes: Array, scale: Array, zero_point: Array | None) -> Array:
        """The weight that codes stand for, `[out, d]`."""
        size = codes.shape[1]
        spread = np.repeat(scale, self.block, axis=1)[:, :size]
        if zero_point is None:
            return np.asarray((codes.astype(np.float32) - self.middle) * spread)
        zero = np.repeat(zero_point, self.block, axis=1)[:, :size]
        return np.asarray((codes.astype(np.float32) - zero) * spread)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x, codes, scale, *rest = (given(a) for a in operands)
        weight = self.unpack(codes, scale, None if self.symmetric else rest[0])
        size = np.matmul(np.abs(x), np.abs(weight).T) * grow(x.shape[-1], x.dtype)
        return [np.maximum(np.abs(results[0]), size)]

    def evaluate(self, x: Array, codes: Array, scale: Array, *rest: Array) -> tuple[Array, ...]:
        zero, *bias = (None, *rest) if self.symmetric else rest
        y = np.matmul(x, self.unpack(codes, scale, zero).T)
        return ((y + bias[0] if bias else y).astype(np.float32, copy=False),)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return operand_type(inputs, 0).size * self.out

    def spell_module(self, node: Node) -> Call:
        middle = Leaf(self.middle if self.symmetric else None, "middle", None)
        (out,), _ = self.spell_settings(node, without=())
        block = replace(self.leaf("block"), default=NO_DEFAULT)
        sizes = (*self.spell_sizes(node), out, block)
        return Call(self.torch_module, sizes, (("middle", middle), self.named("bias")))

    def spell_function(self, node: Node) -> Call:
        size = known(input_type(node).shape[-1])
        codes: Term = Method(In(1), "float")
        zero = Leaf(float(self.middle)) if self.symmetric else self._spread(In(3), size)
        weight = Infix("*", Infix("-", codes, zero), self._spread(In(2), size))
        bias = _bias_terms(self.bias, 3 if self.symmetric else 4)
        return Call("F.linear", (In(0), weight, *bias))

    def _spread(self, blocks: Term, size: int) -> Term:
        """One number for each entry of a row instead of one for each block."""
        made = Method(blocks, "repeat_interleave", (Leaf(self.block, "block"),), (("dim", _ONE),))
        if size % self.block == 0:
            return made
        return Index(made, (_ALL, SliceTerm(stop=Leaf(size, dim=("in", 1, 1)))))

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        codes: OnnxInput,
        scale: OnnxInput,
        *rest: OnnxInput,
    ) -> Values:
        zero, bias = (None, rest) if self.symmetric else (rest[0].value, rest[1:])
        numbers = build.numbers(codes.value)
        zeros = None if zero is None else build.numbers(zero)
        if numbers is None or (zero is not None and zeros is None):
            return self._write_arithmetic(build, (x, codes, scale), zero, list_values(*bias))
        packed = pack_blocks(numbers, self.bits, self.block, self.middle)
        levels = None
        if zeros is not None:
            levels = build.constant(pack_row(zeros, self.bits).reshape(-1), DType.U8, like=zero)
        attributes = {
            "K": numbers.shape[1],
            "N": self.out,
            "bits": self.bits,
            "block_size": self.block,
            "accuracy_level": self.accuracy_level,
        }
        matrix = build.constant(packed, DType.U8, like=codes.value)
        operands = [x.value, matrix, scale.value, levels, None, *list_values(*bias)]
        return [build.op("MatMulNBits", operands, attributes, domain="com.microsoft")]

    def _write_arithmetic(
        self, build: OnnxBuilder, inputs: Sequence[OnnxInput], zero: Any, bias: Sequence[Any]
    ) -> Sequence[Any]:
        """The formula itself: `MatMulNBits` reads its codes as constants."""
        x, codes, scale = inputs
        size = known(codes.shape[1])
        places = build.constant(np.arange(size) // self.block)
        if zero is None:
            zero = build.constant(np.array(self.middle, np.float32))
        else:
            zero = build.op("Cast", [zero], {"to": DType.F32})
            zero = build.op("Gather", [zero, places], {"axis": 1})
        spread = build.op("Gather", [scale.value, places], {"axis": 1})
        levels = build.op("Cast", [codes.value], {"to": DType.F32})
        weight = build.op("Mul", [build.op("Sub", [levels, zero]), spread])
        made = build.op("MatMul", [x.value, build.op("Transpose", [weight], {"perm": [1, 0]})])
        return [build.op("Add", [made, *bias])] if bias else [made]


def need_block(op: str, block: int) -> None:
    """Raises `Fault` for a size of blocks that `MatMulNBits` does not have."""
    if block < 16 or block & (block - 1):
        refuse_option(op, "block", block, "a power of 2, at least 16")


def pack_blocks(codes: Array, bits: int, block: int, filler: int) -> Array:
    """Codes `u8[out, d]` as `MatMulNBits` wants them: `u8[out, blocks, block * bits / 8]`, the
    lower half of a byte first, the last block filled up."""
    rows, size = codes.shape
    blocks = -(-size // block)
    whole = np.full((rows, blocks * block), filler, np.uint8)
    whole[:, :size] = codes
    return pack_row(whole, bits).reshape(rows, blocks, block * bits // 8)


def pack_row(codes: Array, bits: int) -> Array:
    """Rows of codes, two in a byte where they have 4 bits; the lower half is the first."""
    if bits == 8:
        return codes.astype(np.uint8)
    even = codes.shape[1] + codes.shape[1] % 2
    whole = np.zeros((len(codes), even), np.uint8)
    whole[:, : codes.shape[1]] = codes
    packed: Array = whole[:, 0::2] | (whole[:, 1::2] << 4)
    return packed


_ALL = SliceTerm()
_ONE = Leaf(1)


def _bias_terms(bias: bool, index: int) -> tuple[Term, ...]:
    return (In(index),) if bias else ()


def _need_input(op: DynamicDense | PackedDense, operands: Types) -> int:
    """The size of the last axis of the input of a layer."""
    x = operand_type(operands, 0)
    need_float(op.name, x)
    need_rank(op.name, x, 1)
    need_least(op.name, "out", op.out, 1)
    return need_known(op.name, x, -1, "the last axis")


def _widen_last(x: TensorType, out: int) -> TensorType:
    return TensorType(DType.F32, (*x.shape[:-1], Dim.of(out)))
