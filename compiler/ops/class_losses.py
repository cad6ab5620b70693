"""Losses of a classification: scores of classes against class numbers or probabilities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import (
    NOT_NEGATIVE,
    NOT_POSITIVE,
    UNLIMITED,
    Array,
    Assume,
    Limits,
    Results,
    Types,
)
from compiler.ir.symbols import Symbol
from compiler.ir.target_range import PROBABILITY, TargetRange
from compiler.ops.axes import (
    axes_constant,
    need_prediction,
    need_rank,
    operand_type,
    places,
    resolve_axis,
    squeeze,
    unsqueeze,
)
from compiler.ops.broadcasting import cast
from compiler.ops.indexing import Index
from compiler.ops.items import TensorIndex
from compiler.ops.layers import find_place, need_rate, refuse_option, widen
from compiler.ops.losses import Reduction, match_shapes, spell_numbers, write_number, write_sum
from compiler.ops.modules import input_type
from compiler.ops.registry import OPS
from compiler.ops.softmax import log_softmax
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.attention_and_losses import (
    class_weights_do_not_fit,
    target_does_not_fit,
)
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Spelling, Term


class ClassLoss(Op):
    """Base of losses with a score for each class along an axis."""

    keeps_f32 = True
    better = "lower"
    sizing = frozenset({"reduction"})
    weight: tuple[float, ...] | None
    ignore_index: int
    reduction: Reduction
    axis: int

    @property
    def adds_up(self) -> bool:
        return self.reduction == "sum"

    @abstractmethod
    def takes_probabilities(self) -> bool:
        """Whether the target may be probabilities of the prediction's own shape."""

    def of_shares(self) -> ClassLoss | None:
        """The loss of the same scores with shares of the classes, which all count; None where
        there is none, or the scores are no logits."""
        return None

    def infer(self, assume: Assume, x: TensorType, target: TensorType) -> tuple[TensorType, ...]:
        need_prediction(self.name, x, target)
        need_rank(self.name, x, 2)
        axis = resolve_axis(self.name, self.axis, x)
        rest = (*x.shape[:axis], *x.shape[axis + 1 :])
        if self.weight is not None:
            self._need_weight(x, x.shape[axis], assume)
        wanted = x.shape if target.dtype.is_float and self.takes_probabilities() else rest
        numbers = target.dtype.is_integer or wanted is x.shape
        # Classes along the last axis could be promised to have the size of another axis; they
        # were meant to be the last.
        last = target.shape == x.shape[:-1] != wanted
        if not numbers or last or not match_shapes(wanted, target.shape, assume):
            self._refuse(x, target, rest)
        return (TensorType(x.dtype, rest if self.reduction == "none" else ()),)

    def _need_weight(self, x: TensorType, classes: Dim, assume: Assume) -> None:
        count = len(self.weight or ())
        same = equal(classes, count)
        if same is None:
            assume(classes, "==", Dim.of(count))
        elif not same:
            raise Fault(
                lambda where: class_weights_do_not_fit(
                    where.argument("weight"), "weight", count, str(classes), find_place(where, 0, x)
                )
            )

    def _refuse(self, x: TensorType, target: TensorType, rest: tuple[Dim, ...]) -> None:
        wanted = f"{TensorType(DType.I64, rest)} of class numbers"
        if self.takes_probabilities():
            wanted += f", or {x} of probabilities"
        hint = None
        if x.rank > 2 and target.shape == x.shape[:-1]:
            hint = "classes are along the last axis here: `axis=-1`"
        elif target.dtype.is_integer and target.shape == (*rest, Dim.of(1)):
            hint = f"drop the axis of size 1: `squeeze({len(rest)})`"
        elif target.dtype.is_float and target.shape == rest:
            hint = "class numbers are whole: `cast(target, i64)`"
        elif target.dtype.is_integer and target.shape == x.shape and self.takes_probabilities():
            hint = "probabilities are floating-point numbers: `cast(target, f32)`"
        raise Fault(
            lambda where: target_does_not_fit(where.call, self.name, wanted, places(where, 2), hint)
        )

    def target_range(self, inputs: Types) -> TargetRange | None:
        if not operand_type(inputs, 1).dtype.is_float:
            return None  # class numbers are places: see `domains`
        rank = operand_type(inputs, 0).rank
        return replace(PROBABILITY, sums_along=self.axis % rank - rank)

    def domains(self, x: NodeInput, target: NodeInput) -> Mapping[NodeInput, Domain]:
        if target.dtype.is_float:
            return {}
        return {target: Domain(x.shape[self.axis], self.ignore_index)}

    def pick(self, scores: Array, target: Array) -> tuple[Array, Array, Array]:
        """The score of each target's class, its weight (0 where it is ignored), and all weights
        of classes. `scores` has the classes last."""
        counted = target != self.ignore_index
        safe = np.where(counted, target, 0)
        classes = scores.shape[-1]
        weights = np.asarray(self.weight or [1.0] * classes, scores.dtype)
        picked = np.take_along_axis(scores, safe[..., None], -1)[..., 0]
        return picked, weights[safe] * counted, weights

    def reduce(self, losses: Array, weights: Array) -> Array:
        """One number, or the losses themselves."""
        if self.reduction == "none":
            return losses
        total = np.asarray(losses.sum())
        if self.reduction == "sum":
            return total
        with np.errstate(invalid="ignore"):  # not a number where no target counts
            return np.asarray(total / weights.sum())

    def spell_operands(self, node: Node) -> tuple[Term, Term]:
        """Prediction and target with the classes along axis 1, where PyTorch wants them."""
        x, kind = input_type(node), input_type(node, 1).dtype
        axis = self.axis % x.rank
        target: Term = In(1)
        if kind.is_integer and kind is not DType.I64:
            target = Method(target, "long")
        if axis == 1:
            return In(0), target
        if axis == x.rank - 1 and self.reduction != "none":
            flat = (Leaf(0), Leaf(-2))
            return Method(In(0), "flatten", flat), Method(
                target, "flatten", () if kind.is_integer else flat
            )
        moved = (Leaf(self.axis, "axis", field="axis"), Leaf(1))
        if not kind.is_integer:
            target = Method(target, "movedim", moved)
        return Method(In(0), "movedim", moved), target

    def torch(self, node: Node) -> Spelling:
        return Spelling(Call(self.torch_function, self.spell_operands(node), self.spell_options()))

    def spell_option(self, field: str) -> Term | None:
        if field == "axis":  # PyTorch has the classes along axis 1
            return None
        if field == "weight" and self.weight is not None:
            return spell_numbers(self.weight, "weight")
        return super().spell_option(field)

    def write_pick(
        self, build: OnnxBuilder, scores: Any, dtype: DType, target: OnnxInput
    ) -> tuple[Any, Any]:
        """The negative score of each target's class, and its weight (0 where it is ignored)."""
        axis = self.axis % (target.rank + 1)
        numbers = cast(build, target.value, target.dtype, DType.I64)
        counted = self.write_counted(build, target)
        safe = build.op("Where", [counted, numbers, build.constant(np.array(0, np.int64))])
        found = build.op("GatherElements", [scores, unsqueeze(build, safe, [axis])], {"axis": axis})
        loss = build.op("Neg", [squeeze(build, found, [axis])])
        weight = build.op("Cast", [counted], {"to": dtype})
        if self.weight is not None:
            table = build.constant(np.array(self.weight, dtype.numpy), dtype)
            weight = build.op("Mul", [build.op("Gather", [table, safe]), weight])
        return loss, weight

    def write_counted(self, build: OnnxBuilder, target: OnnxInput) -> Any:
        """Truth values: whether a target counts."""
        numbers = cast(build, target.value, target.dtype, DType.I64)
        ignored = build.constant(np.array(self.ignore_index, np.int64))
        return build.op("Not", [build.op("Equal", [numbers, ignored])])

    def write_reduced(self, build: OnnxBuilder, losses: Any, weights: Any) -> Any:
        """One number, or the losses themselves."""
        if self.reduction == "none":
            return losses
        total = write_sum(build, losses)
        if self.reduction == "sum":
            return total
        return build.op("Div", [total, write_sum(build, weights)])

    def spell_picked(self, scores: Symbol, target: Symbol) -> tuple[Symbol, Symbol]:
        """The score of the class of each target, and what the target counts."""
        axis = self.axis % scores.rank
        target = target.cast(DType.I64)
        counted = target.apply("not_equal", self.ignore_index)
        classes = counted.choose(target, 0)
        picked = scores.apply("gather", classes.unsqueeze([axis]), axis=axis)
        weights = counted.cast(scores.dtype)
        if self.weight is not None:
            kinds = scores.build.constant(np.array(self.weight, scores.dtype.numpy), scores.dtype)
            (own,) = scores.build.add(Index((TensorIndex(1),)), [kinds, classes])
            weights = weights * own
        return picked.reshape(target.shape), weights

    def spell_weighted(self, scores: Symbol) -> Symbol:
        """The scores times the weights of their classes."""
        if self.weight is None:
            return scores
        behind = scores.rank - 1 - self.axis % scores.rank
        kinds = np.array(self.weight, scores.dtype.numpy).reshape(-1, *[1] * behind)
        return scores * scores.build.constant(kinds, scores.dtype)

    def spell_reduced(self, losses: Symbol, weights: Symbol | None) -> Symbol:
        """What `reduction` says; without weights all count alike."""
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        return losses.apply("mean") if weights is None else losses.sum() / weights.sum()


@OPS.register
@final
@dataclass(frozen=True)
class Nll(ClassLoss):
    """Negative log-likelihood: minus the given logarithm of the probability of the right class.

        loss_i = -weight[target_i] * x[i, target_i];  mean: (Σ loss_i) / (Σ weight[target_i])

    Shapes: x `f32[n, classes, d…]` (logarithms of probabilities), target `i64[n, d…]` ->
    `f32[]`, or `f32[n, d…]` with `reduction="none"`.

    - `weight`: a number for each class.
    - `ignore_index`: a target that does not count.
    - `reduction`: `"mean"`, `"sum"` or `"none"`.
    - `axis`: the axis of the classes.

    Errors: W0363 where the target does not fit, W0364 where `weight` does not.
    Example: `minimize nll(log_softmax(logits, axis=1), label) with adam(lr=1e-3)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    name = "nll"
    expects = NOT_POSITIVE
    torch_function = "F.nll_loss"
    operands = (Operand("log_probability"), Operand("target"))
    weight: tuple[float, ...] | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    axis: int = 1

    def takes_probabilities(self) -> bool:
        return False

    def evaluate(self, x: Array, target: Array) -> tuple[Array, ...]:
        picked, weights, _ = self.pick(np.moveaxis(widen(x), self.axis, -1), target)
        return (np.asarray(self.reduce(-picked * weights, weights)).astype(x.dtype),)

    def spell_out(self, x: Symbol, target: Symbol) -> Sequence[Symbol]:
        picked, weights = self.spell_picked(x, target)
        return [self.spell_reduced(-picked * weights, weights)]

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, target: OnnxInput) -> Values:
        loss, weight = self.write_pick(build, x.value, x.dtype, target)
        return [self.write_reduced(build, build.op("Mul", [loss, weight]), weight)]


@OPS.register
@final
@dataclass(frozen=True)
class CrossEntropy(ClassLoss):
    """Cross-entropy between scores of classes and class numbers, or probabilities of classes.

        loss_i = -weight[target_i] * log_softmax(logits_i)[target_i]
        mean: (Σ loss_i) / (Σ weight[target_i]), or (Σ loss_i) / n where the target is probabilities

    Shapes: logits `f32[n, classes, d…]`, target `i64[n, d…]` of class numbers or `f32[n,
    classes, d…]` of probabilities -> `f32[]`, or `f32[n, d…]` with `reduction="none"`.

    - `weight`: a number for each class.
    - `ignore_index`: a class number that does not count.
    - `reduction`: `"mean"`, `"sum"` or `"none"`.
    - `label_smoothing`: share of the target that is spread evenly over all classes.
    - `axis`: the axis of the classes; `axis=-1` for `[batch, t, classes]`.

    Example: `minimize cross_entropy(logits, label, label_smoothing=0.1) with adamw(lr=3e-3)`
    Errors: W0353 where `label_smoothing` is not between 0 and 1, W0363 where the target does not
    fit, W0364 where `weight` does not.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    name = "cross_entropy"
    torch_function = "F.cross_entropy"
    applies = ("softmax", "log_softmax")
    operands = (Operand("logits"), Operand("target"))
    weight: tuple[float, ...] | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0
    axis: int = 1

    def takes_probabilities(self) -> bool:
        return True

    def of_shares(self) -> ClassLoss:
        return CrossEntropy(weight=self.weight, reduction=self.reduction, axis=self.axis)

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return NOT_NEGATIVE if min(self.weight or (0,)) >= 0 else UNLIMITED

    def infer(
        self, assume: Assume, logits: TensorType, target: TensorType
    ) -> tuple[TensorType, ...]:
        need_rate(self.name, "label_smoothing", self.label_smoothing)
        if target.dtype.is_float and self.ignore_index != -100:
            needed = "left out where the target is probabilities"
            refuse_option(self.name, "ignore_index", self.ignore_index, needed)
        return super().infer(assume, logits, target)

    def evaluate(self, x: Array, target: Array) -> tuple[Array, ...]:
        scores = log_softmax(np.moveaxis(widen(x), self.axis, -1), -1)
        share = scores.dtype.type(self.label_smoothing)
        if target.dtype.kind == "f":
            aims = np.moveaxis(target, self.axis, -1) * (1 - share) + share / scores.shape[-1]
            kinds = np.asarray(self.weight or [1.0] * scores.shape[-1], scores.dtype)
            losses = -(aims * scores * kinds).sum(-1)
            return (np.asarray(self.reduce(losses, np.ones_like(losses))).astype(x.dtype),)
        picked, weights, kinds = self.pick(scores, target)
        losses = -picked * weights
        if self.label_smoothing:  # without it, a score of -inf is no 0 * inf
            even = -(scores * kinds).sum(-1) * (target != self.ignore_index) / scores.shape[-1]
            losses = losses * (1 - share) + even * share
        return (np.asarray(self.reduce(losses, weights)).astype(x.dtype),)

    def spell_out(self, x: Symbol, target: Symbol) -> Sequence[Symbol]:
        axis = self.axis % x.rank
        scores, share = x.apply("log_softmax", axis=axis), self.label_smoothing
        even = -self.spell_weighted(scores).apply("mean", axis=axis)
        if target.dtype.is_float:
            losses = -(target.cast(x.dtype) * self.spell_weighted(scores)).sum([axis])
            losses = losses * (1 - share) + even * share if share else losses
            return [self.spell_reduced(losses, None)]
        picked, weights = self.spell_picked(scores, target)
        losses = -picked * weights
        if share:
            counted = target.cast(DType.I64).apply("not_equal", self.ignore_index)
            losses = losses * (1 - share) + even.only(counted) * share
        return [self.spell_reduced(losses, weights)]

    def onnx(
        self, build: OnnxBuilder, outputs: Results, logits: OnnxInput, target: OnnxInput
    ) -> Values:
        x = logits.type
        scores = build.op("LogSoftmax", [logits.value], {"axis": self.axis})
        if target.dtype.is_float:
            aims = cast(build, target.value, target.dtype, x.dtype)
            return [self._write_probabilities(build, scores, aims, x)]
        loss, weight = self.write_pick(build, scores, x.dtype, target)
        loss = build.op("Mul", [loss, weight])
        if self.label_smoothing:
            even = self._write_even(build, self._write_weighted(build, scores, x), x)
            counted = self.write_counted(build, target)
            even = build.op("Mul", [even, build.op("Cast", [counted], {"to": x.dtype})])
            loss = build.op("Add", [self._write_rest(build, loss, x), even])
        return [self.write_reduced(build, loss, weight)]

    def _write_probabilities(
        self, build: OnnxBuilder, scores: Any, aims: Any, x: TensorType
    ) -> Any:
        weighted = self._write_weighted(build, scores, x)
        axis = axes_constant(build, [self.axis % x.rank])
        found = build.op("Mul", [aims, weighted])
        loss = build.op("Neg", [build.op("ReduceSum", [found, axis], {"keepdims": 0})])
        if self.label_smoothing:
            even = self._write_even(build, weighted, x)
            loss = build.op("Add", [self._write_rest(build, loss, x), even])
        if self.reduction == "mean":
            return build.op("ReduceMean", [loss], {"keepdims": 0})
        return loss if self.reduction == "none" else write_sum(build, loss)

    def _write_weighted(self, build: OnnxBuilder, scores: Any, x: TensorType) -> Any:
        """The scores times the weights of their classes."""
        if self.weight is None:
            return scores
        lined = np.array(self.weight, x.dtype.numpy)
        lined = lined.reshape(-1, *[1] * (x.rank - 1 - self.axis % x.rank))
        return build.op("Mul", [scores, build.constant(lined, x.dtype)])

    def _write_even(self, build: OnnxBuilder, weighted: Any, x: TensorType) -> Any:
        """The part of the loss that is spread evenly over all classes."""
        axis = axes_constant(build, [self.axis % x.rank])
        mean = build.op("ReduceMean", [weighted, axis], {"keepdims": 0})
        return build.op("Mul", [mean, write_number(build, -self.label_smoothing, x)])

    def _write_rest(self, build: OnnxBuilder, loss: Any, x: TensorType) -> Any:
        return build.op("Mul", [loss, write_number(build, 1 - self.label_smoothing, x)])
