"""Tensors that count: arange and linspace."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, UNLIMITED, Array, Assume, Limits, Results
from compiler.ops.broadcasting import cast
from compiler.ops.choosing import torch_dtype
from compiler.ops.creation import LARGEST
from compiler.ops.layers import need_held
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.spelling import Call, Device, Leaf, Spelling, Term


def _refuse(op: str, option: str, reason: str) -> Fault:
    return Fault(lambda where: bad_option(where.argument(option), op, option, reason))


@OPS.register
@final
@dataclass(frozen=True)
class Arange(Op):
    """Numbers in equal steps: `arange(t)` is 0, 1 … t - 1; `arange(start, stop, step)` goes
    from `start` up to and without `stop`.

        y[i] = start + step * i

    Integers make i64, floating-point numbers f32, unless `dtype` is given.

    Shapes: -> `i64[n]` with `n = ceil((stop - start) / step)`.
    Errors: W0392 where the step is 0 or there is no number.
    Example: `position = where(mask, arange(t), -1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.arange.html
    """

    name = "arange"
    sizing = frozenset({"start", "stop", "step"})
    variable = "positions"

    start: int | float | Dim
    stop: int | float | Dim | None = None
    step: int | float = 1
    dtype: DType | None = None

    @property
    def bounds(self) -> tuple[int | float | Dim, int | float | Dim]:
        """Start and stop; a single number is the stop."""
        return (0, self.start) if self.stop is None else (self.start, self.stop)

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        start, _ = self.bounds
        positive = start >= 0 if isinstance(start, int | float) else at_most(0, start)
        return NOT_NEGATIVE if positive and self.step > 0 else UNLIMITED

    @property
    def natural(self) -> DType:
        """The dtype without a wish."""
        fraction = any(isinstance(n, float) for n in (*self.bounds, self.step))
        return DType.F32 if fraction else DType.I64

    def follow_size(
        self, output: int, axis: int, size: Dim, options: Mapping[str, Dim]
    ) -> Dim | None:
        if self.step != 1 or "step" in options or self.stop is None:
            return None
        start, stop = (options.get(n, getattr(self, n)) for n in ("start", "stop"))
        whole = not isinstance(start, float) and not isinstance(stop, float)
        return Dim.of(stop) - start if whole and stop is not None else None

    def _length(self) -> Dim:
        start, stop = self.bounds
        if self.step == 0:
            raise _refuse(self.name, "step", "the step is 0")
        if isinstance(start, Dim) or isinstance(stop, Dim):
            if isinstance(start, float) or isinstance(stop, float) or isinstance(self.step, float):
                raise _refuse(self.name, "step", "with sizes, all numbers must be whole")
            way = Dim.of(stop) - start if self.step > 0 else Dim.of(start) - stop
            size = abs(self.step)
            return way if size == 1 else (way + size - 1) // size
        return Dim.of(max(math.ceil((stop - start) / self.step), 0))

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        length = self._length()
        some = at_most(1, length)
        if some is False:
            start, stop = self.bounds
            reason = f"no number lies between {start} and {stop} in steps of {self.step}"
            raise _refuse(self.name, "start" if self.stop is None else "stop", reason)
        if some is None:
            assume(Dim.of(1), "<=", length)
        for option in ("start", "stop", "step"):
            need_held(self.name, option, getattr(self, option), self.natural)
        dtype = self.dtype or self.natural
        first = self.bounds[0]
        if not isinstance(first, Dim) and length.known is not None:
            last = first + (length.known - 1) * self.step
            need_held(self.name, "start", first, dtype)
            need_held(self.name, "start" if self.stop is None else "stop", last, dtype)
        return (TensorType(dtype, (length,)),)

    def evaluate(self) -> tuple[Array, ...]:
        start, stop = (n.evaluate({}) if isinstance(n, Dim) else n for n in self.bounds)
        count = max(math.ceil((stop - start) / self.step), 0)
        return ((start + np.arange(count) * self.step).astype((self.dtype or self.natural).numpy),)

    def torch(self, node: Node) -> Spelling:
        first = self.leaf("start")
        if self.stop is None and self.step == 1 and isinstance(self.start, int):
            first = self.leaf("start", "", dim=("out", 0, 0))
        args: tuple[Term, ...] = (first,)
        if self.stop is not None:
            args = (first, Leaf(self.stop, "stop", field="stop"))
            if self.step != 1:
                args = (*args, Leaf(self.step, "step", field="step"))
        dtype = self.dtype or self.natural
        named = () if dtype is self.natural else (("dtype", torch_dtype(dtype)),)
        return Spelling(Call("torch.arange", args, (*named, ("device", Device()))))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        known = outputs[0].size.known
        dtype = outputs[0].dtype
        if known is not None and known <= LARGEST:
            return [build.constant(self.evaluate()[0], dtype)]
        natural = self.natural
        start, stop = (_scalar(build, n, natural) for n in self.bounds)
        step = build.constant(np.array(self.step, natural.numpy))
        return [cast(build, build.op("Range", [start, stop, step]), natural, dtype)]


def _scalar(build: OnnxBuilder, number: int | float | Dim, dtype: DType) -> Any:
    if isinstance(number, Dim) and number.known is None:
        return build.op("Squeeze", [build.shape([number])])
    value = number.known if isinstance(number, Dim) else number
    return build.constant(np.array(value, dtype.numpy))


@OPS.register
@final
@dataclass(frozen=True)
class Linspace(Op):
    """`steps` numbers at equal distances from `start` to `stop`, both included, as f32.

        y[i] = start + (stop - start) * i / (steps - 1)

    Shapes: -> `f32[steps]`.
    Errors: W0392 where `steps` is below 1.
    Example: `hit = score[:, none] > linspace(0, 1, 11)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.linspace.html
    """

    name = "linspace"

    start: float
    stop: float
    steps: int

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        if self.steps < 1:
            raise _refuse(self.name, "steps", f"{self.steps} is not a number of steps")
        return (TensorType.of(DType.F32, [self.steps]),)

    def evaluate(self) -> tuple[Array, ...]:
        return (np.linspace(self.start, self.stop, self.steps).astype(np.float32),)

    def torch(self, node: Node) -> Spelling:
        ends = tuple(Leaf(getattr(self, f), f, field=f) for f in ("start", "stop"))
        args = (*ends, self.leaf("steps", "steps", dim=("out", 0, 0)))
        return Spelling(Call("torch.linspace", args, (("device", Device()),)))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        return [build.constant(self.evaluate()[0])]
