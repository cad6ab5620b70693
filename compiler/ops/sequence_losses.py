"""The loss of a sequence whose labels have no places: connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, final

import numpy as np

from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_POSITIVE, Array, Arrays, Assume, Results, Types
from compiler.ops.axes import need_prediction, operand_type, places
from compiler.ops.layers import given, refuse_option, widen
from compiler.ops.losses import Reduction
from compiler.ops.modules import input_type
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.attention_and_losses import target_does_not_fit
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Spelling, Term
from compiler.vocabulary.spelling import Sequence as Items

X, TARGET = 0, 1
LENGTHS = {2: "input_lengths", 3: "target_lengths"}
"""Places of the operands that say how much of the first two counts."""


@OPS.register
@final
@dataclass(frozen=True)
class Ctc(Op):
    """Connectionist temporal classification (Graves et al. 2006): minus the logarithm of the
    probability that a sequence reads as its target, once equal neighbours are one and blanks are
    taken out; a sum over all ways to place the labels.

        loss = -ln Σ_π Π_t p[t, π_t],  π over the paths that read as the target
        mean: (1 / n) Σ loss / max(target_lengths, 1)

    Shapes: x `f32[n, t, classes]` (logarithms of probabilities), target `i64[n, s]` of class
    numbers -> `f32[]`, or `f32[n]` with `reduction="none"`. Rows come first; PyTorch's places do.

    - `input_lengths`: how many places of each row count, `i64[n]`; all where it is left out.
    - `target_lengths`: how many labels of each row count, `i64[n]`; all where it is left out. What
      is behind them is not read.
    - `blank`: the class that reads as nothing.
    - `reduction`: `"mean"`, `"sum"` or `"none"`.
    - `zero_infinity`: whether a row whose target is too long for it counts as 0, and not as
      infinity.

    No opset of ONNX has it: it is for training, and not for a net that is deployed.

    Cost: 3 multiply-adds for each place and each of 2 s + 1 labels and blanks.
    Example: `loss = ctc(log_softmax(sequence -> dense(50), axis=-1), tokens, input_lengths=length)`
    Errors: W0353 where `blank` is no class, W0363 where the target or lengths do not fit.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html
    """

    name = "ctc"
    keeps_f32 = True
    better = "lower"
    exported = False
    expects = NOT_POSITIVE
    sizing = frozenset({"reduction"})
    operands = (
        Operand("log_probability"),
        Operand("target"),
        Operand("input_lengths", optional=True, named=True),
        Operand("target_lengths", optional=True, named=True),
    )
    blank: int = 0
    reduction: Reduction = "mean"
    zero_infinity: bool = False

    @property
    def adds_up(self) -> bool:
        return self.reduction == "sum"

    def infer(
        self,
        assume: Assume,
        x: TensorType,
        target: TensorType,
        input_lengths: TensorType | None,
        target_lengths: TensorType | None,
    ) -> tuple[TensorType, ...]:
        need_prediction(self.name, x, target)
        if x.rank != 3 or not target.dtype.is_integer or target.rank != 2:
            rows = x.shape[0] if x.rank else Dim.of(1)
            self._refuse(f"i64[{rows}, labels] of class numbers, for scores [n, t, classes]")
        self._need_rows(target, x, "i64[{}, labels] of class numbers", assume)
        for lengths in (input_lengths, target_lengths):
            if lengths is not None:
                if not lengths.dtype.is_integer or lengths.rank != 1:
                    self._refuse(f"with lengths i64[{x.shape[0]}], not {lengths}")
                self._need_rows(lengths, x, "with lengths i64[{}]", assume)
        classes = x.shape[2]
        if not 0 <= self.blank < (self.blank + 1 if classes.known is None else classes.known):
            refuse_option(self.name, "blank", self.blank, f"one of the {classes} classes")
        if classes.known is None:
            assume(Dim.of(self.blank + 1), "<=", classes)
        return (TensorType(x.dtype, x.shape[:1] if self.reduction == "none" else ()),)

    def _need_rows(self, found: TensorType, x: TensorType, wanted: str, assume: Assume) -> None:
        same = equal(found.shape[0], x.shape[0])
        if same is None:
            assume(found.shape[0], "==", x.shape[0])
        elif not same:
            self._refuse(wanted.format(x.shape[0]))

    def _refuse(self, wanted: str) -> NoReturn:
        raise Fault(
            lambda where: target_does_not_fit(where.call, self.name, wanted, places(where, 2))
        )

    def domains(
        self,
        x: NodeInput,
        target: NodeInput,
        input_lengths: NodeInput | None,
        target_lengths: NodeInput | None,
    ) -> Mapping[NodeInput, Domain]:
        found = {target: Domain(x.shape[2])}
        if input_lengths is not None:
            found[input_lengths] = Domain(x.shape[1] + 1, least=1)
        if target_lengths is not None:
            found[target_lengths] = Domain(target.shape[1] + 1)
        return found

    def evaluate(
        self,
        x: Array,
        target: Array,
        input_lengths: Array | None,
        target_lengths: Array | None,
    ) -> tuple[Array, ...]:
        n, t, _ = x.shape
        if input_lengths is None:
            input_lengths = np.full(n, t)
        if target_lengths is None:
            target_lengths = np.full(n, target.shape[1])
        losses = self._sum_paths(widen(x), target, input_lengths, target_lengths)
        if self.zero_infinity:
            losses = np.where(np.isinf(losses), 0, losses)
        if self.reduction == "sum":
            losses = losses.sum()
        elif self.reduction == "mean":
            losses = (losses / np.maximum(target_lengths, 1)).mean()
        return (np.asarray(losses).astype(x.dtype),)

    def _sum_paths(self, x: Array, target: Array, lengths: Array, counts: Array) -> Array:
        """The loss of each row, by the forward algorithm: `read[:, i]` is the logarithm of the
        probability that the places so far read as the first i of the labels, a blank before,
        between and behind them."""
        labels = np.full((len(x), 2 * target.shape[1] + 1), self.blank)
        labels[:, 1::2] = target
        scores = np.take_along_axis(x, labels[:, None], axis=2)
        leaps = np.zeros(labels.shape, bool)  # over the blank between two labels that differ
        leaps[:, 2:] = labels[:, 2:] != labels[:, :-2]
        read = np.full(labels.shape, -np.inf, x.dtype)
        read[:, :1] = 0  # before the first place
        for place in range(x.shape[1]):
            ways = [read, _shift(read, 1), np.where(leaps, _shift(read, 2), -np.inf)]
            if place == 0:
                ways = ways[:2]
            new = np.logaddexp.reduce(ways, axis=0) + scores[:, place]
            read = np.where((place < lengths)[:, None], new, read)
        rows, ends = np.arange(len(x)), 2 * counts
        last = np.where(counts > 0, read[rows, ends - 1], -np.inf)
        return np.asarray(-np.logaddexp(read[rows, ends], last))

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x = given(operands[X])
        finite = np.where(np.isfinite(x), np.abs(x), 0)
        total = float(finite.max(initial=1.0)) * x.shape[1] ** 2
        return [total * (len(x) if self.reduction == "sum" else 1.0)]

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        n, t, _ = operand_type(inputs, X).shape
        return n * t * (operand_type(inputs, TARGET).shape[1] * 2 + 1) * 3

    def torch(self, node: Node) -> Spelling:
        target: Term = In(TARGET)
        if input_type(node, TARGET).dtype not in (DType.I64, DType.I32):
            target = Method(target, "long")
        lengths = [self._spell_lengths(node, place) for place in LENGTHS]
        moved = Method(In(X), "transpose", (Leaf(0), Leaf(1)))  # PyTorch's places come first
        return Spelling(Call("F.ctc_loss", (moved, target, *lengths), self.spell_options()))

    def _spell_lengths(self, node: Node, place: int) -> Term:
        if node.inputs[place] is not None:
            return In(place)
        of = place - 2
        rows = Leaf(input_type(node).shape[0], "rows", dim=("in", X, 0))
        whole = Leaf(input_type(node, of).shape[1], dim=("in", of, 1))
        return Call("torch.full", (Items((rows,)), whole))

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        target: OnnxInput,
        input_lengths: OnnxInput | None,
        target_lengths: OnnxInput | None,
    ) -> Values:
        raise AssertionError(f"lowering refuses `{self.name}`")


def _shift(read: Array, count: int) -> Array:
    """The entries that many labels before, -inf where there are none."""
    moved = np.full_like(read, -np.inf)
    moved[:, count:] = read[:, :-count] if count < read.shape[1] else moved[:, count:]
    return moved
