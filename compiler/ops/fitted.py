"""Ops of column expressions whose buffers are fitted on the training rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, final

import numpy as np

from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types, Weight
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.tracing import shift_axis
from compiler.ops.axes import need_index, need_number, operand_type, resolve_axes
from compiler.ops.broadcasting import cast
from compiler.ops.layers import need_known, need_least
from compiler.ops.modules import input_type
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.given import Ones, Zeros
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Index, Infix, Method, Spelling, Term

_WIDE = (DType.F64, DType.I64, DType.I32)
"""What f32 cannot hold."""


class Fitted(Op):
    """Base of ops that belong into `data`: `statistics` says what their buffers are of the
    operand, by the names of `compiler.data.statistics`."""

    row_axes = ()
    operands = (Operand("x"),)

    @property
    @abstractmethod
    def statistics(self) -> Mapping[str, str]:
        """The figure that each buffer holds, by the buffer's name: "mean", "median", "scale"."""

    @property
    def counted_classes(self) -> int:
        """How many classes its buffers have numbers for; 0 where these are of elements."""
        return 0

    def joins_axes(self, x: TensorType) -> tuple[int, ...]:
        """The axes of a row along which all entries have one figure."""
        return ()

    def precision(self, x: DType) -> DType:
        """The dtype of the buffers for an operand of dtype x."""
        return DType.F32

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_number(self.name, x)
        joined = self.joins_axes(x)
        shape = [
            1 if a in joined else need_known(self.name, x, a, f"axis {a}") for a in range(x.rank)
        ]
        kind = TensorType.of(self.precision(x.dtype), shape)
        return tuple(
            Weight(name, kind, Ones() if figure == "scale" else Zeros(), trainable=False)
            for name, figure in self.statistics.items()
        )

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_number(self.name, x)
        return (TensorType(DType.F32, x.shape),)


@OPS.register
@final
@dataclass(frozen=True)
class Standardize(Fitted):
    """A column with mean 0 and standard deviation 1 over the training rows, each element by
    itself, or along `axis`. Only in `data`: mean and deviation are fitted on the split `train` and
    stay as they are for every other row. What does not vary becomes 0; NaN stays NaN.

        y = (x - mean) / scale

    Columns of f64, dates and other whole numbers of i32 and i64 have f64 buffers: the mean is
    subtracted before anything is rounded to f32, which holds whole numbers up to 2^24 only.

    Shapes: x of any number dtype -> f32 of the same shape; buffers mean and scale of that shape,
    with 1 for the axes that share their figures.

    - `axis`: axes of a row whose entries have figures of their own, shared by all that lies along
      the other axes: `standardize(axis=0)` of images `[3, h, w]` has a mean for each of 3
      channels, `standardize(axis=[])` one for all entries. None: every element has its own.

    Errors: W0376 where there is no such axis, W0382 for a column of bools.
    Example: `source sklearn("diabetes")`, `inputs = stack([age, bmi, bp]) -> standardize`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.StandardScaler.html
    """

    name: ClassVar[str] = "standardize"
    keeps_f32 = True
    subtracts_first: ClassVar[bool] = True
    axis: int | tuple[int, ...] | None = None

    def joins_axes(self, x: TensorType) -> tuple[int, ...]:
        if self.axis is None:
            return ()
        own = resolve_axes(self.name, self.axis, x)
        return tuple(axis for axis in range(x.rank) if axis not in own)

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        if self.axis is None:
            return self
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return Standardize(tuple(map(shift_axis, axes)))

    @property
    def statistics(self) -> Mapping[str, str]:
        return {"mean": "mean", "scale": "scale"}

    def precision(self, x: DType) -> DType:
        return DType.F64 if x in _WIDE else DType.F32

    def evaluate(self, x: Array, mean: Array, scale: Array) -> tuple[Array, ...]:
        return (np.asarray((x.astype(mean.dtype) - mean) / scale, np.float32),)

    def pull_back(
        self, slope: Symbol, result: Symbol, x: Symbol, mean: Symbol, scale: Symbol
    ) -> Slopes:
        return [(slope.cast(scale.dtype) / scale).cast(x.dtype), None, None]

    def torch(self, node: Node) -> Spelling:
        if self.precision(input_type(node).dtype) is DType.F64:
            return Spelling(Method(Infix("/", Infix("-", In(0), In(1)), In(2)), "float"))
        return Spelling(Infix("/", Infix("-", _as_float(node), In(1)), In(2)))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, mean: OnnxInput, scale: OnnxInput
    ) -> Values:
        source = x.dtype
        precision = self.precision(source)
        value = cast(build, x.value, source, precision)
        scaled = build.op("Div", [build.op("Sub", [value, mean.value]), scale.value])
        return [cast(build, scaled, precision, DType.F32)]


@OPS.register
@final
@dataclass(frozen=True)
class Fill(Fitted):
    """A column with its empty cells (NaN) replaced. Only in `data`: "median" and "mean" are those
    of the training rows, each element by itself, "most_frequent" is the number that stands there
    most often.

    Of several such numbers it is the smallest; it is of columns of one number per row.

    Shapes: x of any number dtype -> f32 of the same shape, or f64 where x is that; a buffer median
    or mean of that shape, unless a number is given.

    - `value`: "median", "mean", "most_frequent" or a number.

    Errors: W0382 for a column of bools; W0392 for "most_frequent" of several numbers per row.
    Example: `source sklearn("diabetes")`, `pressure = fill(bp, "median")`
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.impute.SimpleImputer.html
    """

    name: ClassVar[str] = "fill"
    finds_nan: ClassVar[bool] = True
    value: float | Literal["median", "mean", "most_frequent"]

    def precision(self, x: DType) -> DType:
        return DType.F64 if x is DType.F64 else DType.F32

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        (filled,) = super().infer(assume, x, *weights)
        return (TensorType(self.precision(x.dtype), filled.shape),)

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        if self.value == "most_frequent" and x.rank:
            reason = f"it is of one number per row, and this is {x}"
            hint = 'fill each column before they are stacked: `a = fill(a, "most_frequent")`'
            raise Fault(
                lambda where: bad_option(where.argument("value"), self.name, "value", reason, hint)
            )
        return super().weights(operands)

    @property
    def statistics(self) -> Mapping[str, str]:
        return {self.value: self.value} if isinstance(self.value, str) else {}

    def evaluate(self, x: Array, *fitted: Array) -> tuple[Array, ...]:
        x = x if x.dtype == np.float64 else x.astype(np.float32)
        value = fitted[0] if isinstance(self.value, str) else self.value
        return (np.where(np.isnan(x), value, x).astype(x.dtype),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol, *fitted: Symbol) -> Slopes:
        kept = x.cast(result.dtype).apply("isnan").choose(0, slope).cast(x.dtype)
        return [kept, *[None] * len(fitted)]

    def torch(self, node: Node) -> Spelling:
        value = In(1) if isinstance(self.value, str) else self.leaf("value")
        x = _as_float(node)
        return Spelling(Call("torch.where", (Method(In(0), "isnan"), value, x)))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, filler: OnnxInput | None = None
    ) -> Values:
        kept = outputs[0].dtype
        known = cast(build, x.value, x.dtype, kept)
        if filler is None:
            number = build.constant(np.asarray(self.value, kept.numpy))
        else:
            number = filler.value
        return [build.op("Where", [build.op("IsNaN", [known]), number, known])]


@OPS.register
@final
@dataclass(frozen=True)
class ClassWeight(Fitted):
    """The weight of the class of each row, so that all classes count as much as each other: the
    rarer a class is among the training rows, the more one of them weighs. Only in `data`: the
    weights are fitted on the split `train`.

        y = weight[x],  weight[c] = n / (classes * n_c)

    where n_c of the n training rows are of class c, and 1 for a class that has none. It is
    scikit-learn's `class_weight="balanced"`. It stands before the loss of each row:
    `mean(w * cross_entropy(logits, label, reduction="none")) / mean(w)` is PyTorch's
    `CrossEntropyLoss(weight=…)`.

    Shapes: x `i64[…]` or `i32[…]` with entries from 0 to classes - 1, one for each row or one for
    each place of a row -> f32 of the same shape; the buffer weight `[classes]`.

    - `classes`: how many classes there are.

    Errors: W0382 where x does not hold whole numbers, W0353 for fewer than one class.
    Example: `source sklearn("iris")`, `w = class_weight(label, 3)`
    Source: King and Zeng 2001, Logistic Regression in Rare Events Data,
    https://doi.org/10.1093/oxfordjournals.pan.a004868
    """

    name: ClassVar[str] = "class_weight"
    classes: int

    @property
    def statistics(self) -> Mapping[str, str]:
        return {"weight": "balanced"}

    @property
    def counted_classes(self) -> int:
        return self.classes

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        need_index(self.name, operand_type(operands, 0), operand=0)
        need_least(self.name, "classes", self.classes, 1)
        shape = TensorType.of(DType.F32, (self.classes,))
        return (Weight("weight", shape, Ones(), trainable=False),)

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_index(self.name, x, operand=0)
        return (TensorType(DType.F32, x.shape),)

    def domains(self, x: NodeInput) -> Mapping[NodeInput, Domain]:
        return {x: Domain(Dim.of(self.classes))}

    def evaluate(self, x: Array, weight: Array) -> tuple[Array, ...]:
        return (weight[x],)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol, weight: Symbol) -> Slopes:
        return [None, None]

    def torch(self, node: Node) -> Spelling:
        return Spelling(Index(In(1), (In(0),)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, weight: OnnxInput) -> Values:
        return [build.op("Gather", [weight.value, x.value])]


def _as_float(node: Node) -> Term:
    """The operand as f32, or as f64 where it is that."""
    kept = input_type(node).dtype in (DType.F32, DType.F64)
    return In(0) if kept else Method(In(0), "float")
