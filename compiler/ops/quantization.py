"""Quantization as floating-point arithmetic: rounds to the levels that an integer type can hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, final

import numpy as np

from compiler.ir.graph import Node
from compiler.ir.inputs import OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types, Weight
from compiler.ir.symbols import NoDerivative, Slopes, Symbol
from compiler.ir.tracing import Trace
from compiler.ops.axes import need_float, operand_type, resolve_axis
from compiler.ops.layers import need_known, need_weights
from compiler.ops.modules import Modular, input_type, owns_weights
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.given import Ones, Zeros
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Spelling

IntegerName = Literal["i4", "u4", "i8", "u8"]
Form = Literal["qdq", "qoperator"]

LEVELS: dict[str, tuple[int, int]] = {
    "i4": (-8, 7),
    "u4": (0, 15),
    "i8": (-128, 127),
    "u8": (0, 255),
}
"""The least and the greatest number of each integer type."""

PART = 1 << 16
"""Numbers that are rounded together."""

_STORED = {"i4": DType.I8, "u4": DType.U8, "i8": DType.I8, "u8": DType.U8}


def quantize_array(x: Array, scale: Array, zero_point: Array, dtype: str) -> Array:
    """The levels of numbers, as i16: `clip(round(x / scale) + zero_point)`, halves to even;
    `scale` and `zero_point` broadcast to x."""
    low, high = LEVELS[dtype]
    made = np.empty(x.shape, np.int16)
    with np.errstate(all="ignore"):
        for source, step, zero, own in _split(x, scale.astype(x.dtype), zero_point, made):
            np.clip(np.round(source / step) + zero, low, high, out=own, casting="unsafe")
    return made


def dequantize_array(levels: Array, scale: Array, zero_point: Array) -> Array:
    """The numbers that levels stand for: `(levels - zero_point) * scale`, in scale's dtype."""
    result: Array = (levels - zero_point).astype(scale.dtype) * scale
    return result


def round_array(x: Array, scale: Array, zero_point: Array, dtype: str) -> Array:
    """What numbers are worth in an integer type: `quantize_array`, then `dequantize_array`, in
    the dtype of x. f32 and f64 hold every level, so that both are done in them, in place."""
    if x.dtype not in (np.float32, np.float64):
        levels = quantize_array(x, scale, zero_point, dtype)
        return dequantize_array(levels, scale, zero_point).astype(x.dtype, copy=False)
    step, zero = scale.astype(x.dtype), np.asarray(zero_point).astype(x.dtype)
    low, high = LEVELS[dtype]
    made = np.empty(x.shape, x.dtype)
    for part, size, shift, own in _split(x, step, zero, made):
        with np.errstate(all="ignore"):  # where weights are not known, a scale is 0
            np.divide(part, size, out=own)
        np.round(own, out=own)
        own += shift
        np.clip(own, low, high, out=own)
        own -= shift
        own *= size
    return made


def _split(x: Array, scale: Array, zero_point: Array, made: Array) -> Iterator[tuple[Array, ...]]:
    """Parts along the first axis that stay in the processor's cache, with what belongs to each
    of the scale, the zero point and the array that is made."""
    alike = scale.size == zero_point.size == 1
    source, target = (x.reshape(-1), made.reshape(-1)) if alike else (x, made)
    step, zero = (_spread_rank(numbers, source.ndim) for numbers in (scale, zero_point))
    count = max(1, PART * len(source) // max(1, source.size))
    for start in range(0, len(source), count):
        part = slice(start, start + count)
        yield source[part], _cut(step, part), _cut(zero, part), target[part]


def _spread_rank(numbers: Array, rank: int) -> Array:
    """Numbers that broadcast, with as many axes as what they broadcast to."""
    kept = numbers.shape[max(0, numbers.ndim - rank) :]
    return numbers.reshape((1,) * (rank - len(kept)) + kept)


def _cut(numbers: Array, part: slice) -> Array:
    """What belongs to a part along the first axis, of numbers that broadcast."""
    return numbers if len(numbers) == 1 else numbers[part]


def _spread_axis(axis: int, rank: int) -> tuple[int, ...]:
    """The shape in which one number for each entry along an axis broadcasts."""
    return tuple(-1 if a == axis % rank else 1 for a in range(rank))


@OPS.register
@final
@dataclass(frozen=True)
class FakeQuantize(Modular):
    """Rounds to the levels of an integer type, and comes back: what a number is worth once it is
    stored in few bits.

        q = clip(round(x / scale) + zero_point, low, high)
        y = (q - zero_point) * scale

    Halves round to the even level. `low` and `high` are the least and greatest number of
    `dtype`. Quantization passes write it; in ONNX it becomes `QuantizeLinear` and
    `DequantizeLinear`, which runtimes fuse with their neighbours to integer kernels, and an
    integer initializer where x is a weight. In PyTorch its gradient is that of the identity
    inside the range (straight-through; Jacob et al. 2018).

    Shapes: x `f32[...]` -> the same; buffers scale `f32[]` and zero_point `i32[]`, or both
    `[c]` with one entry for each along `axis`.

    - `dtype`: the integer type, "i4", "u4", "i8" or "u8"; "u8" for activations, "i8" for weights.
    - `axis`: the axis whose entries have scales of their own; none: one scale for all.
    - `form`: how ONNX says it: "qdq" writes the two operators, "qoperator" makes one integer
      operator of them and of what stands between.
    - `learned`: whether the scales have gradients too while training (LSQ; Esser et al. 2020,
      https://arxiv.org/abs/1902.08153): set by `finetune(learn_scales=true)`.

    Example: `y = x -> fake_quantize("u8")`
    Errors: W0382 where x is not floating-point, W0354 where the size along `axis` is not known.
    Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html,
    https://docs.pytorch.org/docs/stable/generated/torch.fake_quantize_per_tensor_affine.html
    """

    name = "fake_quantize"
    rounds = True
    quantized = True
    foldable = False
    operands = (Operand("x"),)
    dtype: IntegerName = "u8"
    axis: int | None = None
    form: Form = "qdq"
    learned: bool = False

    @property
    def levels(self) -> tuple[int, int]:
        """The least and the greatest level."""
        return LEVELS[self.dtype]

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        shape = []
        if self.axis is not None:
            axis = resolve_axis(self.name, self.axis, x)
            shape.append(need_known(self.name, x, axis, f"axis {axis}"))
        return (
            Weight("scale", TensorType.of(x.dtype, shape), Ones(), trainable=self.learned),
            Weight("zero_point", TensorType.of(DType.I32, shape), Zeros(), trainable=False),
        )

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        return (x,)

    def evaluate(self, x: Array, scale: Array, zero_point: Array) -> tuple[Array, ...]:
        scale, zero_point = self.spread(scale, x.ndim), self.spread(zero_point, x.ndim)
        return (round_array(x, scale, zero_point, self.dtype),)

    def pull_back(
        self, slope: Symbol, result: Symbol, x: Symbol, scale: Symbol, zero_point: Symbol
    ) -> Slopes:
        low, high = self.levels
        scale, zero = (n.reshape(self._line_up(n, x)) for n in (scale, zero_point))
        level = (x / scale).apply("round") + zero.cast(x.dtype)
        inside = (level >= low) & (level <= high)
        if self.learned:
            raise NoDerivative("scales that learn have no rule")
        return [slope.only(inside), None, None]

    def _line_up(self, numbers: Symbol, x: Symbol) -> Sequence[Dim]:
        """The shape in which scales or zero points broadcast to that of x."""
        if self.axis is None:
            return ()
        return (*numbers.shape, *[Dim.of(1)] * (x.rank - 1 - self.axis % x.rank))

    def spread(self, numbers: Array, rank: int) -> Array:
        """Scales or zero points in a shape that broadcasts to that of x, which has this rank."""
        return numbers.reshape(() if self.axis is None else _spread_axis(self.axis, rank))

    def torch(self, node: Node) -> Spelling:
        if self.axis is None and owns_weights(node):
            return super().torch(node)
        return Spelling(self.spell_function(node))

    def spell_module(self, node: Node) -> Call:
        return Call("LearnedQuantize" if self.learned else "FakeQuantize", self._spell_levels())

    def spell_function(self, node: Node) -> Call:
        numbers, levels = (In(0), In(1), In(2)), self._spell_levels()
        axis = () if self.axis is None else (Leaf(self.axis % input_type(node).rank),)
        if self.learned:
            return Call("round_to_steps", (*numbers, *levels, *axis))
        each = "channel" if axis else "tensor"
        function = f"torch.fake_quantize_per_{each}_affine"
        return Call(function, (*numbers, *axis, *levels))

    def _spell_levels(self) -> tuple[Leaf, ...]:
        return tuple(map(Leaf, self.levels))

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        scale: OnnxInput,
        zero_point: OnnxInput,
    ) -> Values:
        kind = x.type
        shape = () if self.axis is None else _spread_axis(self.axis, kind.rank)
        attributes = {} if self.axis is None else {"axis": self.axis}
        weight, scales, zeros = map(build.numbers, list_values(x, scale, zero_point))
        stored = _STORED[self.dtype]
        if zeros is not None:
            zero = build.constant(zeros.astype(stored.numpy), stored)
        else:
            zero = build.op("Cast", [zero_point.value], {"to": stored})
        if weight is not None and scales is not None and zeros is not None:
            levels = quantize_array(weight, scales.reshape(shape), zeros.reshape(shape), self.dtype)
            whole = build.constant(levels.astype(stored.numpy), stored, like=x.value)
        else:
            whole = build.op("QuantizeLinear", [x.value, scale.value, zero], attributes)
            if self.dtype in ("i4", "u4"):
                low, high = (build.constant(np.array(n, stored.numpy)) for n in self.levels)
                whole = build.op("Clip", [whole, low, high])
        return [build.op("DequantizeLinear", [whole, scale.value, zero], attributes)]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        if self.axis is not None and self.axis % outputs[0].rank == axis:
            return axis, 0, 0
        return axis, *[None] * (len(inputs) - 1)
