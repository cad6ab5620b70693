"""Losses between two tensors of one shape, entry by entry: differences and their like."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Assume, Results
from compiler.ir.symbols import Symbol
from compiler.ops.axes import need_prediction, places
from compiler.ops.broadcasting import cast
from compiler.ops.layers import refuse_option, widen
from compiler.ops.modules import input_type
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.attention_and_losses import (
    entry_weights_do_not_fit,
    target_does_not_fit,
)
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import MASK, WEIGHT, compare
from compiler.vocabulary.spelling import (
    Attribute,
    Call,
    In,
    Index,
    Infix,
    Leaf,
    Method,
    Spelling,
    Term,
)
from compiler.vocabulary.spelling import Sequence as Items

Reduction = Literal["mean", "sum", "none"]


def match_shapes(left: Sequence[Dim], right: Sequence[Dim], assume: Assume) -> bool:
    """Whether two shapes are equal; sizes of which it is not known are assumed to be."""
    if len(left) != len(right):
        return False
    found = [equal(a, b) for a, b in zip(left, right, strict=True)]
    if False in found:
        return False
    for a, b, same in zip(left, right, found, strict=True):
        if same is None:
            assume(a, "==", b)
    return True


def spell_numbers(values: Sequence[float], role: str) -> Term:
    """A tensor of these numbers on the device and in the dtype of the first operand."""
    return Method(In(0), "new_tensor", (Items(tuple(Leaf(v, role) for v in values), "[]"),))


def spell_weight(node: Node) -> Term | None:
    """The weights of the entries of a loss of two tensors, in the dtype of its prediction."""
    weight = node.inputs[WEIGHT]
    if weight is None or weight.type.dtype is input_type(node).dtype:
        return None if weight is None else In(WEIGHT)
    return Method(In(WEIGHT), "to", (Attribute(In(0), "dtype"),))


def spell_counts(node: Node) -> Term | None:
    """How much those entries of a loss of two tensors count that do: a mask, which counts them
    once, their weights, or the weights that it chooses; None where all count once."""
    weight = spell_weight(node)
    if node.inputs[MASK] is None:
        return weight
    return In(MASK) if weight is None else Index(weight, (In(MASK),))


def write_sum(build: OnnxBuilder, value: Any) -> Any:
    """The sum of all elements, without axes."""
    return build.op("ReduceSum", [value], {"keepdims": 0})


def write_number(build: OnnxBuilder, value: float, type: TensorType) -> Any:
    """A constant without axes in the dtype of a tensor."""
    return build.constant(np.array(value, type.dtype.numpy), type.dtype)


class PairLoss(Op):
    """Base of losses of a prediction and a target of the same shape. A target of whole numbers
    or booleans is converted to the prediction's dtype. Where a `mask` or a `weight` says how much
    entries count, their mean is divided by what they count together."""

    keeps_f32 = True
    operands = compare("prediction", "target")
    better = "lower"
    sizing = frozenset({"reduction"})
    reduction: str

    @property
    def adds_up(self) -> bool:
        return self.reduction == "sum"

    @abstractmethod
    def calculate(self, x: Array, target: Array) -> Array:
        """The loss of each entry."""

    @abstractmethod
    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        """The ONNX nodes for the loss of each entry; `type` is the prediction's."""

    def check(self, x: TensorType) -> None:
        """Refuses options that do not fit the prediction.

        Raises:
            Fault: what does not fit.
        """

    def infer(
        self,
        assume: Assume,
        x: TensorType,
        target: TensorType,
        mask: TensorType | None,
        weight: TensorType | None,
    ) -> tuple[TensorType, ...]:
        self.check(x)
        need_prediction(self.name, x, target)
        if not match_shapes(x.shape, target.shape, assume):
            hint = None
            if x.shape == (*target.shape, Dim.of(1)):
                hint = f"drop the prediction's axis of size 1: `squeeze({target.rank})`"
            elif target.shape == (*x.shape, Dim.of(1)):
                hint = f"drop the target's axis of size 1: `squeeze({x.rank})`"
            raise Fault(
                lambda where: target_does_not_fit(
                    where.call, self.name, f"of the shape of {x}", places(where, 2), hint
                )
            )
        for name, given in (("mask", mask), ("weight", weight)):
            if given is not None:
                self._need_weights(name, given, x, assume)
        return (TensorType(x.dtype, x.shape if self.reduction == "none" else ()),)

    def _need_weights(self, name: str, given: TensorType, x: TensorType, assume: Assume) -> None:
        masks = name == "mask"
        if (given.dtype is DType.BOOL) is masks and match_shapes(x.shape, given.shape, assume):
            return
        needed = f"{TensorType(DType.BOOL if masks else x.dtype, x.shape)}"
        hint = None
        if given.rank < x.rank:
            hint = "nothing is broadcast: `expand` it to the shape of the target"
        elif masks and given.dtype is not DType.BOOL:
            hint = "compare, as in `tokens != 0`; numbers are a `weight`"
        elif not masks and given.dtype is DType.BOOL:
            hint = "this is a `mask`"
        raise Fault(
            lambda where: entry_weights_do_not_fit(
                where.argument(name), self.name, name, str(given), needed, hint
            )
        )

    def evaluate(
        self, x: Array, target: Array, mask: Array | None, weight: Array | None
    ) -> tuple[Array, ...]:
        wide = widen(x)
        with np.errstate(all="ignore"):
            losses = self.calculate(wide, target.astype(wide.dtype))
            counts = np.ones_like(losses) if weight is None else weight.astype(losses.dtype)
            losses = losses if weight is None else losses * counts
            if mask is not None:  # what does not count may be no number
                losses, counts = (np.where(mask, each, 0) for each in (losses, counts))
            match self.reduction:
                case "mean" if mask is None and weight is None:
                    losses = np.asarray(losses.mean())
                case "mean":
                    losses = np.asarray(losses.sum() / counts.sum())
                case "sum":
                    losses = np.asarray(losses.sum())
                case "batchmean":
                    losses = np.asarray(losses.sum() / x.shape[0])
        return (losses.astype(x.dtype, copy=False),)

    def spell_out(
        self, x: Symbol, target: Symbol, mask: Symbol | None, weight: Symbol | None
    ) -> Sequence[Symbol]:
        aims = target.cast(x.dtype)
        counts = weight.cast(x.dtype) if weight is not None else None
        if mask is not None:  # what does not count may be no number, and neither may its slope
            x, aims = x.only(mask), aims.only(mask)
            counts = mask.cast(x.dtype) if counts is None else counts.only(mask)
        losses = self.spell(x, aims)
        if counts is not None:
            losses = losses * counts
        match self.reduction:
            case "mean":
                return [losses.apply("mean") if counts is None else losses.sum() / counts.sum()]
            case "sum":
                return [losses.sum()]
            case "batchmean":
                return [losses.sum() / losses.like(x.shape[0])]
        return [losses]

    @abstractmethod
    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        """The loss of each entry, said with other ops, for its derivative."""

    def torch(self, node: Node) -> Spelling:
        x, target = In(0), self._spell_target(node)
        mask, counts = (In(MASK) if node.inputs[MASK] is not None else None), spell_counts(node)
        if counts is None:
            return Spelling(self._call(self, x, target))
        single = replace(self, reduction="none")  # type: ignore[type-var]
        if self.reduction == "none":
            losses = self._call(single, x, target)
            if mask is not None:
                losses = Method(losses, "where", (mask, Leaf(0)))
            weight = spell_weight(node)
            return Spelling(losses if weight is None else Infix("*", losses, weight))
        weighted = node.inputs[WEIGHT] is not None
        if not weighted and self.reduction != "batchmean":
            return Spelling(self._call(self, x, target, mask))
        losses = self._call(single, x, target, mask)
        total = Method(Infix("*", losses, counts) if weighted else losses, "sum")
        return Spelling(self._divide(total, counts, input_type(node)))

    def _spell_target(self, node: Node) -> Term:
        if input_type(node, 1).dtype is input_type(node).dtype:
            return In(1)
        return Method(In(1), "to", (Attribute(In(0), "dtype"),))

    def _call(self, loss: PairLoss, x: Term, target: Term, mask: Term | None = None) -> Term:
        """PyTorch's loss, of those entries alone that a mask chooses: others may be no number."""
        if mask is None:
            return Call(self.torch_function, (x, target), loss.spell_options())
        chosen = (Index(x, (mask,)), Index(target, (mask,)))
        return Call(self.torch_function, chosen, loss.spell_chosen(mask))

    def spell_chosen(self, mask: Term) -> tuple[tuple[str, Term], ...]:
        """The options where the loss is of the entries that a mask chooses, which stand along one
        axis."""
        return self.spell_options()

    def _divide(self, total: Term, counts: Term, type: TensorType) -> Term:
        """The sum of all losses, by what `reduction` says."""
        match self.reduction:
            case "mean":
                return Infix("/", total, Method(counts, "sum"))
            case "batchmean":
                return Infix("/", total, Leaf(type.shape[0], "rows", dim=("in", 0, 0)))
        return total

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        target: OnnxInput,
        mask: OnnxInput | None,
        weight: OnnxInput | None,
    ) -> Values:
        aims = cast(build, target.value, target.dtype, x.dtype)
        losses, counts = self.write(build, x.value, aims, x.type), None
        if weight is not None:
            counts = cast(build, weight.value, weight.dtype, x.dtype)
            losses = build.op("Mul", [losses, counts])
        if mask is not None:
            zero = write_number(build, 0, x.type)
            losses = build.op("Where", [mask.value, losses, zero])
            if counts is None:
                counts = build.op("Cast", [mask.value], {"to": x.dtype})
            else:
                counts = build.op("Where", [mask.value, counts, zero])
        return [self._write_reduced(build, losses, counts, x.rank)]

    def _write_reduced(self, build: OnnxBuilder, losses: Any, counts: Any, rank: int) -> Any:
        """One number, or the losses themselves; `counts` is None where all entries count once."""
        match self.reduction:
            case "mean" if counts is None:
                return build.op("ReduceMean", [losses], {"keepdims": 0})
            case "mean":
                return build.op("Div", [write_sum(build, losses), write_sum(build, counts)])
            case "sum":
                return write_sum(build, losses)
            case "batchmean":
                axes = build.constant(np.arange(1, rank))
                if rank > 1:
                    losses = build.op("ReduceSum", [losses, axes], {"keepdims": 0})
                return build.op("ReduceMean", [losses], {"keepdims": 0})
        return losses


@OPS.register
@final
@dataclass(frozen=True)
class Mse(PairLoss):
    """Squared error: `loss = (prediction - target)²`, and its mean.

    Shapes: prediction and target `f32[...]` of one shape -> `f32[]`, or the shape with
    `reduction="none"`.

    - `mask`: a bool for each entry: whether it counts.
    - `weight`: a number for each entry: how much it counts.
    - `reduction`: `"mean"` (`(Σ weight · loss) / Σ weight`), `"sum"` or `"none"`.

    Errors: W0363 where the shapes differ, W1762 where a mask or weights do not fit.
    Example: `minimize mse(prediction, target) with adamw(lr=1e-3)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
    """

    name = "mse"
    limits = NOT_NEGATIVE
    torch_function = "F.mse_loss"
    reduction: Reduction = "mean"

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        return 2 * max(degrees)

    def calculate(self, x: Array, target: Array) -> Array:
        loss: Array = np.square(x - target)
        return loss

    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        return (x - target).apply("square")

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        difference = build.op("Sub", [x, target])
        return build.op("Mul", [difference, difference])


@OPS.register
@final
@dataclass(frozen=True)
class L1(PairLoss):
    """Absolute error: `loss = |prediction - target|`, and its mean.

    Shapes: prediction and target `f32[...]` of one shape -> `f32[]`, or the shape with
    `reduction="none"`.

    - `mask`: a bool for each entry: whether it counts.
    - `weight`: a number for each entry: how much it counts.
    - `reduction`: `"mean"` (`(Σ weight · loss) / Σ weight`), `"sum"` or `"none"`.

    Errors: W0363 where the shapes differ, W1762 where a mask or weights do not fit.
    Example: `minimize l1(prediction, target) with adamw(lr=1e-3)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html
    """

    name = "l1"
    limits = NOT_NEGATIVE
    torch_function = "F.l1_loss"
    reduction: Reduction = "mean"

    def calculate(self, x: Array, target: Array) -> Array:
        loss: Array = np.abs(x - target)
        return loss

    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        return (x - target).apply("abs")

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        return build.op("Abs", [build.op("Sub", [x, target])])


@OPS.register
@final
@dataclass(frozen=True)
class SmoothL1(PairLoss):
    """Squared error near 0, absolute error beyond: with d = |prediction - target|, `loss = d² /
    (2 * beta)` where d < beta, else `d - beta / 2`.

    Shapes: prediction and target `f32[...]` of one shape -> `f32[]`, or the shape with
    `reduction="none"`.

    - `beta`: where one becomes the other; 0 is `l1`.
    - `mask`: a bool for each entry: whether it counts.
    - `weight`: a number for each entry: how much it counts.
    - `reduction`: `"mean"` (`(Σ weight · loss) / Σ weight`), `"sum"` or `"none"`.

    Errors: W0353 where `beta` is below 0, W0363 where the shapes differ, W1762 where a
    mask or weights do not fit.
    Example: `minimize smooth_l1(prediction, target) with adamw(lr=1e-3)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html
    """

    name = "smooth_l1"
    limits = NOT_NEGATIVE
    torch_function = "F.smooth_l1_loss"
    beta: float = 1.0
    reduction: Reduction = "mean"

    def check(self, x: TensorType) -> None:
        if self.beta < 0:
            refuse_option(self.name, "beta", self.beta, "at least 0")

    def calculate(self, x: Array, target: Array) -> Array:
        size: Array = np.abs(x - target)
        beta = x.dtype.type(self.beta)
        if self.beta == 0:
            return size
        loss: Array = np.where(size < beta, size * size / (2 * beta), size - beta / 2)
        return loss

    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        size = (x - target).apply("abs")
        if self.beta == 0:
            return size
        return (size < self.beta).choose(size * size / (2 * self.beta), size - self.beta / 2)

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        size = build.op("Abs", [build.op("Sub", [x, target])])
        if self.beta == 0:
            return size
        square = build.op("Mul", [size, size])
        near = build.op("Mul", [square, write_number(build, 0.5 / self.beta, type)])
        far = build.op("Sub", [size, write_number(build, self.beta / 2, type)])
        inside = build.op("Less", [size, write_number(build, self.beta, type)])
        return build.op("Where", [inside, near, far])


@OPS.register
@final
@dataclass(frozen=True)
class Huber(PairLoss):
    """Squared error near 0, with a straight continuation: with d = |prediction - target|, `loss =
    d² / 2` where d <= delta, else `delta * (d - delta / 2)`.

    Shapes: prediction and target `f32[...]` of one shape -> `f32[]`, or the shape with
    `reduction="none"`.

    - `delta`: where one becomes the other.
    - `mask`: a bool for each entry: whether it counts.
    - `weight`: a number for each entry: how much it counts.
    - `reduction`: `"mean"` (`(Σ weight · loss) / Σ weight`), `"sum"` or `"none"`.

    Errors: W0353 where `delta` is not above 0, W0363 where the shapes differ, W1762 where
    a mask or weights do not fit.
    Example: `minimize huber(prediction, target, delta=0.5) with adamw(lr=1e-3)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html
    """

    name = "huber"
    limits = NOT_NEGATIVE
    torch_function = "F.huber_loss"
    delta: float = 1.0
    reduction: Reduction = "mean"

    def check(self, x: TensorType) -> None:
        if self.delta <= 0:
            refuse_option(self.name, "delta", self.delta, "above 0")

    def calculate(self, x: Array, target: Array) -> Array:
        size: Array = np.abs(x - target)
        delta = x.dtype.type(self.delta)
        return np.where(size <= delta, size * size / 2, delta * (size - delta / 2))

    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        size = (x - target).apply("abs")
        return (size <= self.delta).choose(size * size / 2, self.delta * (size - self.delta / 2))

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        size = build.op("Abs", [build.op("Sub", [x, target])])
        delta = write_number(build, self.delta, type)
        square = build.op("Mul", [size, size])
        near = build.op("Mul", [square, write_number(build, 0.5, type)])
        rest = build.op("Sub", [size, write_number(build, self.delta / 2, type)])
        inside = build.op("LessOrEqual", [size, delta])
        return build.op("Where", [inside, near, build.op("Mul", [rest, delta])])
