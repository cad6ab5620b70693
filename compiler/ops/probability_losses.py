"""Losses of probabilities: binary cross-entropy and the Kullback-Leibler divergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import numpy as np

from compiler.ir.domain import Domain
from compiler.ir.inputs import NodeInput
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import NOT_NEGATIVE, NOT_POSITIVE, UNLIMITED, Array, Limits, Types
from compiler.ir.symbols import Symbol
from compiler.ir.target_range import PROBABILITY, TargetRange
from compiler.ops.activation import softplus
from compiler.ops.axes import need_rank
from compiler.ops.layers import find_place
from compiler.ops.losses import PairLoss, Reduction, spell_numbers, write_number
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.attention_and_losses import class_weights_do_not_fit
from compiler.types.dims import equal
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import compare
from compiler.vocabulary.spelling import In, Index, Leaf, Method, Term


@OPS.register
@final
@dataclass(frozen=True)
class Bce(PairLoss):
    """Binary cross-entropy of a probability: `loss = -target * log(p) - (1 - target) * log(1 -
    p)`. As in PyTorch, the logarithms are cut off at -100.

    Shapes: probability and target `f32[...]` of one shape, both from 0 to 1 -> `f32[]`, or the
    shape with `reduction="none"`.

    - `mask`: a bool for each entry: whether it counts.
    - `weight`: a number for each entry: how much it counts.
    - `reduction`: `"mean"` (`(Σ weight · loss) / Σ weight`), `"sum"` or `"none"`.

    For scores before the sigmoid, `bce_with_logits` is exact where this one is cut off.

    Errors: W0363 where the shapes differ, W1762 where a mask or weights do not fit.
    Example: `minimize bce(sigmoid(decoded), x) with adam(lr=1e-3)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html
    """

    name = "bce"
    expects = (0.0, 1.0)
    limits = NOT_NEGATIVE
    operands = compare("probability", "target")
    torch_function = "F.binary_cross_entropy"
    reduction: Reduction = "mean"

    def target_range(self, inputs: Types) -> TargetRange | None:
        return PROBABILITY

    def domains(
        self, x: NodeInput, target: NodeInput, *counts: NodeInput | None
    ) -> Mapping[NodeInput, Domain]:
        return {x: Domain(most=PROBABILITY.high), target: Domain(most=PROBABILITY.high)}

    def calculate(self, x: Array, target: Array) -> Array:
        yes, no = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
        loss: Array = (target - 1) * no - target * yes
        return loss

    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        yes = x.apply("log").apply("clip", minimum=-100.0)
        no = (-x).apply("log1p").apply("clip", minimum=-100.0)
        return (target - 1) * no - target * yes

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        one, least = write_number(build, 1, type), write_number(build, -100, type)
        yes = build.op("Max", [build.op("Log", [x]), least])
        no = build.op("Max", [build.op("Log", [build.op("Sub", [one, x])]), least])
        left = build.op("Mul", [build.op("Sub", [target, one]), no])
        return build.op("Sub", [left, build.op("Mul", [target, yes])])


@OPS.register
@final
@dataclass(frozen=True)
class BceWithLogits(PairLoss):
    """Binary cross-entropy of a score before the sigmoid, without overflow:

        loss = (1 - target) * x + (1 + (pos_weight - 1) * target) * log(1 + exp(-x))

    Shapes: score and target `f32[...]` of one shape -> `f32[]`, or the shape with
    `reduction="none"`.

    - `pos_weight`: how much a target of 1 counts beside a target of 0: a number, or a list with
      one for each entry of the last axis.
    - `mask`: a bool for each entry: whether it counts.
    - `weight`: a number for each entry: how much it counts.
    - `reduction`: `"mean"` (`(Σ weight · loss) / Σ weight`), `"sum"` or `"none"`.

    Errors: W0363 where the shapes differ, W0364 where `pos_weight` does not fit the last axis,
    W1762 where a mask or weights do not fit.
    Example: `minimize bce_with_logits(score, cast(even, f32), pos_weight=3.0) with adamw(lr=1e-3)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    name = "bce_with_logits"
    applies = ("sigmoid",)
    operands = compare("logits", "target")
    torch_function = "F.binary_cross_entropy_with_logits"
    pos_weight: float | tuple[float, ...] | None = None
    reduction: Reduction = "mean"

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return NOT_NEGATIVE if np.min(self.pos_weight or 0) >= 0 else UNLIMITED

    def check(self, x: TensorType) -> None:
        if isinstance(self.pos_weight, tuple):
            count = len(self.pos_weight)
            need_rank(self.name, x, 1)
            if equal(x.shape[-1], count) is not True:
                raise Fault(
                    lambda where: class_weights_do_not_fit(
                        where.argument("pos_weight"),
                        "pos_weight",
                        count,
                        str(x.shape[-1]),
                        find_place(where, 0, x),
                    )
                )

    def target_range(self, inputs: Types) -> TargetRange | None:
        return PROBABILITY

    def calculate(self, x: Array, target: Array) -> Array:
        weight = np.asarray(1 if self.pos_weight is None else self.pos_weight, x.dtype)
        loss: Array = (1 - target) * x + (1 + (weight - 1) * target) * softplus(-x)
        return loss

    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        smooth = (-x).apply("softplus", threshold=1e9)
        if self.pos_weight is not None:
            more = np.asarray(self.pos_weight, x.dtype.numpy) - 1
            smooth = (1 + x.build.constant(more, x.dtype) * target) * smooth
        return (1 - target) * x + smooth

    def spell_option(self, field: str) -> Term | None:
        if field != "pos_weight" or self.pos_weight is None:
            return super().spell_option(field)
        if isinstance(self.pos_weight, tuple):
            return spell_numbers(self.pos_weight, "pos_weight")
        number = Leaf(self.pos_weight, "pos_weight", field="pos_weight")
        return Method(In(0), "new_tensor", (number,))

    def spell_chosen(self, mask: Term) -> tuple[tuple[str, Term], ...]:
        options = dict(self.spell_options())
        if isinstance(self.pos_weight, tuple):
            whole = Method(options["pos_weight"], "expand_as", (In(0),))
            options["pos_weight"] = Index(whole, (mask,))
        return tuple(options.items())

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        one = write_number(build, 1, type)
        smooth = build.op("Softplus", [build.op("Neg", [x])])
        if self.pos_weight is not None:
            more = build.constant(np.array(self.pos_weight, type.dtype.numpy) - 1, type.dtype)
            factor = build.op("Add", [one, build.op("Mul", [more, target])])
            smooth = build.op("Mul", [factor, smooth])
        rest = build.op("Mul", [build.op("Sub", [one, target]), x])
        return build.op("Add", [rest, smooth])


@OPS.register
@final
@dataclass(frozen=True)
class Kl(PairLoss):
    """Kullback-Leibler divergence from the logarithms of predicted probabilities to a target
    distribution: `loss = target * (log(target) - x)`, 0 where the target is 0.

    Shapes: x (logarithms) and target `f32[n, ...]` of one shape -> `f32[]`, or the shape with
    `reduction="none"`.

    - `mask`: a bool for each entry: whether it counts.
    - `weight`: a number for each entry: how much it counts.
    - `log_target`: whether the target is given as logarithms too.
    - `reduction`: `"mean"` over all entries, `"batchmean"` (the sum divided by the first axis,
      which is the divergence proper), `"sum"` or `"none"`.

    Errors: W0363 where the shapes differ, W1762 where a mask or weights do not fit.
    Example:

        loss = kl(log_softmax(a / 4, axis=-1), softmax(b / 4, axis=-1), reduction="batchmean")

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
    """

    name = "kl"
    expects = NOT_POSITIVE
    operands = compare("log_probability", "target")
    torch_function = "F.kl_div"
    log_target: bool = False
    reduction: Literal["mean", "batchmean", "sum", "none"] = "mean"

    def check(self, x: TensorType) -> None:
        if self.reduction == "batchmean":
            need_rank(self.name, x, 1)

    def target_range(self, inputs: Types) -> TargetRange | None:
        return TargetRange(high=0) if self.log_target else PROBABILITY

    def domains(
        self, log_probability: NodeInput, target: NodeInput, *counts: NodeInput | None
    ) -> Mapping[NodeInput, Domain]:
        return {} if self.log_target else {target: Domain(most=PROBABILITY.high)}

    def calculate(self, x: Array, target: Array) -> Array:
        if self.log_target:
            loss: Array = np.exp(target) * (target - x)
            return loss
        entropy = np.where(target > 0, target * np.log(np.where(target > 0, target, 1)), 0)
        return (entropy - target * x).astype(x.dtype)  # type: ignore[no-any-return]

    def spell(self, x: Symbol, target: Symbol) -> Symbol:
        if self.log_target:
            return target.apply("exp") * (target - x)
        known = target > 0
        return target * (known.choose(target, 1).apply("log") - x)

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        if self.log_target:
            difference = build.op("Sub", [target, x])
            return build.op("Mul", [build.op("Exp", [target]), difference])
        one, zero = write_number(build, 1, type), write_number(build, 0, type)
        positive = build.op("Greater", [target, zero])
        logarithm = build.op("Log", [build.op("Where", [positive, target, one])])
        return build.op("Mul", [target, build.op("Sub", [logarithm, x])])
