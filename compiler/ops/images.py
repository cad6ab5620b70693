"""Functions of images: pixel_shuffle, pixel_unshuffle and normalize."""

from __future__ import annotations

from typing import final

import numpy as np

from compiler.ir.coupling import Coupling, Factors, inner, result, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_float, need_rank, places, resolve_axis
from compiler.ops.choosing import torch_dtype
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option, sizes_disagree
from compiler.types.dims import Dim, DimError, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import (
    Call,
    Device,
    In,
    Index,
    Infix,
    Leaf,
    Name,
    SliceTerm,
    Spelling,
    Term,
)
from compiler.vocabulary.spelling import Sequence as Items


def _need_factor(op: str, factor: int) -> None:
    if factor < 1:
        reason = f"{factor} is not a factor"
        raise Fault(lambda where: bad_option(where.argument("factor"), op, "factor", reason))


def _divide(op: str, x: TensorType, axis: int, divisor: int) -> Dim:
    """The exact quotient of a size; raises `Fault` where it is not provably whole."""
    try:
        return x.shape[axis] / divisor
    except DimError:
        reason = f"axis {axis} of {x} is not provably a multiple of {divisor}"
        raise Fault(
            lambda where: sizes_disagree(where.call, op, reason, places(where, 1))
        ) from None


@OPS.register
@final
@dataclass(frozen=True)
class PixelShuffle(Op):
    """Channels laid out in space: `f32[n, c * r * r, h, w]` becomes `f32[n, c, h * r, w * r]`.

        y[n, c, h * r + i, w * r + j] = x[n, c * r² + i * r + j, h, w]

    Any axes may stand before the channels; `factor` is r.

    Shapes: x `f32[..., c * r * r, h, w]` -> `f32[..., c, h * r, w * r]`.
    Errors: W0380 for fewer than three axes, W0387 where the channels are no multiple of r * r.
    Example: `y = features -> conv(64, kernel=3, padding="same") -> pixel_shuffle(2)`
    Source: Shi et al. (2016), https://arxiv.org/abs/1609.05158
    """

    name = "pixel_shuffle"
    row_axes = ()
    torch_function = "F.pixel_shuffle"
    torch_module = "nn.PixelShuffle"
    keeps_channels = True
    operands = (Operand("x"),)

    factor: int

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_rank(self.name, x, 3)
        _need_factor(self.name, self.factor)
        channels = _divide(self.name, x, -3, self.factor**2)
        space = (x.shape[-2] * self.factor, x.shape[-1] * self.factor)
        return (TensorType(x.dtype, (*x.shape[:-3], channels, *space)),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        r = self.factor
        *front, c, h, w = x.shape
        split = x.reshape(-1, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3)
        return (split.reshape(*front, c // r**2, h * r, w * r),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.apply("pixel_unshuffle", factor=self.factor)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        channels = outputs[0].rank - 3
        block = inner(0, self.factor**2)
        factors = Factors(x.axis(channels), (result(channels), block), kept=0)
        return Coupling(tie_same(x, channels), factors=(factors,))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        source, target = x.shape, outputs[0].shape
        if len(source) == 4 and x.dtype is DType.F32:
            attributes = {"blocksize": self.factor, "mode": "CRD"}
            return [build.op("DepthToSpace", [x.value], attributes)]
        r, n = Dim.of(self.factor), len(source) - 3
        split = (*source[:-3], target[-3], r, r, *source[-2:])
        value = build.reshape(x.value, source, split)
        order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
        moved = build.op("Transpose", [value], {"perm": order})
        return [build.reshape(moved, tuple(split[i] for i in order), target)]


@OPS.register
@final
@dataclass(frozen=True)
class PixelUnshuffle(Op):
    """Space laid out in channels: `f32[n, c, h * r, w * r]` becomes `f32[n, c * r * r, h, w]`.

        y[n, c * r² + i * r + j, h, w] = x[n, c, h * r + i, w * r + j]

    Any axes may stand before the channels; `factor` is r. The inverse of `pixel_shuffle`.

    Shapes: x `f32[..., c, h * r, w * r]` -> `f32[..., c * r * r, h, w]`.
    Errors: W0380 for fewer than three axes, W0387 where the space is no multiple of r.
    Example: `y = features -> pixel_unshuffle(2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html
    """

    name = "pixel_unshuffle"
    row_axes = ()
    torch_function = "F.pixel_unshuffle"
    torch_module = "nn.PixelUnshuffle"
    keeps_channels = True
    operands = (Operand("x"),)

    factor: int

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_rank(self.name, x, 3)
        _need_factor(self.name, self.factor)
        space = tuple(_divide(self.name, x, axis, self.factor) for axis in (-2, -1))
        return (TensorType(x.dtype, (*x.shape[:-3], x.shape[-3] * self.factor**2, *space)),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        r = self.factor
        *front, c, h, w = x.shape
        split = x.reshape(-1, c, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4)
        return (split.reshape(*front, c * r**2, h // r, w // r),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.apply("pixel_shuffle", factor=self.factor)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        channels = outputs[0].rank - 3
        block = inner(0, self.factor**2)
        factors = Factors(result(channels), (x.axis(channels), block), kept=0)
        return Coupling(tie_same(x, channels), factors=(factors,))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        # SpaceToDepth puts the block before the channels, PyTorch behind them.
        source, target = x.shape, outputs[0].shape
        r, n = Dim.of(self.factor), len(source) - 3
        split = (*source[:-2], target[-2], r, target[-1], r)
        value = build.reshape(x.value, source, split)
        order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
        moved = build.op("Transpose", [value], {"perm": order})
        return [build.reshape(moved, tuple(split[i] for i in order), target)]


@OPS.register
@final
@dataclass(frozen=True)
class Normalize(Op):
    """Channels shifted and scaled by known numbers: `(x - mean) / std`.

    `mean` and `std` are a number for all channels or a list with one for each; `axis` is that
    of the channels (-3 fits images with and without a batch). Statistics fitted on the data
    are `standardize`.

    Shapes: x `f32[...]` -> the same.
    Example: `image = image -> normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])`
    Errors: W0376 where there is no such axis, W0382 where x is not floating-point, W0387 where the
    lists have another length than the axis, W0392 where a `std` is 0.
    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Normalize.html
    """

    name = "normalize"
    row_axes = ("axis",)
    keeps_f32 = True
    operands = (Operand("x"),)

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    axis: int = -3

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        lists = {"mean": self.mean, "std": self.std}
        if not any(isinstance(v, tuple) for v in lists.values()):
            self._check_std()
            return (x,)
        axis = resolve_axis(self.name, self.axis, x)
        for option, values in lists.items():
            if isinstance(values, tuple):
                self._check_length(option, len(values), x, axis, assume)
        self._check_std()
        return (x,)

    def _check_std(self) -> None:
        values = self.std if isinstance(self.std, tuple) else (self.std,)
        if 0 in values:
            reason = "a deviation of 0 divides by zero"
            raise Fault(lambda where: bad_option(where.argument("std"), "normalize", "std", reason))

    def _check_length(
        self, option: str, count: int, x: TensorType, axis: int, assume: Assume
    ) -> None:
        same = equal(x.shape[axis], count)
        if same is None:
            assume(x.shape[axis], "==", Dim.of(count))
        elif not same:
            reason = f"`{option}` has {count} numbers, axis {axis} of {x} is {x.shape[axis]}"
            raise Fault(
                lambda where: sizes_disagree(
                    where.argument(option), "normalize", reason, places(where, 1)
                )
            )

    def _array(self, values: float | tuple[float, ...], x: TensorType) -> Array:
        """The numbers, shaped so that they meet the channels."""
        numbers = np.array(values, x.dtype.numpy)
        behind = x.rank - 1 - self.axis % x.rank if isinstance(values, tuple) else 0
        return numbers.reshape(numbers.shape + (1,) * behind)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        found = TensorType.of("f32", x.shape)
        mean, std = (self._array(v, found).astype(x.dtype) for v in (self.mean, self.std))
        return ((x - mean) / std,)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        std = slope.build.constant(self._array(self.std, x.type), x.dtype)
        return [slope / std]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        listed = isinstance(self.mean, tuple) or isinstance(self.std, tuple)
        rank = outputs[0].rank
        return Coupling(tie_same(x, rank, without=(self.axis % rank,) if listed else ()))

    def torch(self, node: Node) -> Spelling:
        x = node.output.type
        behind = x.rank - 1 - self.axis % x.rank if x.rank else 0
        centred = Infix("-", In(0), _spell(self.mean, "mean", behind, x.dtype))
        return Spelling(Infix("/", centred, _spell(self.std, "std", behind, x.dtype)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        made = outputs[0]
        mean, std = (
            build.constant(self._array(v, made), made.dtype) for v in (self.mean, self.std)
        )
        return [build.op("Div", [build.op("Sub", [x.value, mean]), std])]


def _spell(values: float | tuple[float, ...], field: str, behind: int, dtype: DType) -> Term:
    """A number, or a tensor with axes of size 1 behind the channels."""
    if not isinstance(values, tuple):
        return Leaf(values, field, field=field)
    numbers = Items(tuple(Leaf(v) for v in values), "[]")
    named = () if dtype is DType.F32 else (("dtype", torch_dtype(dtype)),)
    made = Call("torch.tensor", (numbers,), (*named, ("device", Device())))
    items: list[Term | SliceTerm] = [SliceTerm(), *[Name("None")] * behind]
    return Index(made, tuple(items)) if behind else made
