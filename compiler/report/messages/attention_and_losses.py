"""What goes wrong between the operands of attention and of losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message


@final
@dataclass(frozen=True)
class AttentionDoesNotMatch(Message):
    """Query, key and value of an attention do not fit together.

    Query is `[..., heads, t, d]`, key `[..., heads, s, d]`, value `[..., heads, s, v]`: query
    and key share the size d of a head, key and value the number s of positions, all three their
    leading axes. With `grouped=true` the heads of the query are a multiple of those of key and
    value.
    """

    code: ClassVar[str] = "W0360"
    bad: ClassVar[str] = (
        "model M() {\n    input q: f32[batch, 4, t, 16]\n    input k: f32[batch, 4, t, 8]\n"
        "    output y = scaled_dot_product_attention(q, k, k)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input q: f32[batch, 4, t, 16]\n    input k: f32[batch, 4, t, 16]\n"
        "    output y = scaled_dot_product_attention(q, k, k)\n}\n"
    )

    reason: str
    places: tuple[Label, ...]
    hint: str | None = None

    def title(self) -> str:
        return "query, key and value do not match"

    def label(self) -> str:
        return self.reason

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class MaskDoesNotFit(Message):
    """The mask of an attention does not broadcast to its scores, `[..., heads, t, s]`, or is
    neither of truth values nor of the query's dtype.

    In a mask of truth values, `true` marks the keys that a query may see; a mask of fractions
    is added to the scores.
    """

    code: ClassVar[str] = "W0361"
    bad: ClassVar[str] = (
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n    input mask: bool[batch, 10]\n"
        "    output y = scaled_dot_product_attention(q, q, q, mask=mask)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n    input mask: bool[batch, 10]\n"
        "    output y = scaled_dot_product_attention(q, q, q, mask=mask[:, none, none, :])\n}\n"
    )

    scores: str
    made: Label
    hint: str | None = None

    def title(self) -> str:
        return "the mask does not fit the scores"

    def label(self) -> str:
        return f"the scores are {self.scores}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"the mask is {self.made.text}"),)

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class TwoMasks(Message):
    """`causal=true` and a mask are given at once; PyTorch refuses both together.

    Put the order of time into the mask: `mask and i[:, none] >= i` with `i = arange(t)`.
    """

    code: ClassVar[str] = "W0362"
    bad: ClassVar[str] = (
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n    input mask: bool[10, 10]\n"
        "    output y = scaled_dot_product_attention(q, q, q, mask=mask, causal=true)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n"
        "    output y = scaled_dot_product_attention(q, q, q, causal=true)\n}\n"
    )

    made: Label

    def title(self) -> str:
        return "an attention has two masks"

    def label(self) -> str:
        return "`causal=true` is a mask already"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"and this is another: {self.made.text}"),)

    def help(self) -> str:
        return "join them: `mask and i[:, none] >= i` with `i = arange(t)`, and no `causal`"


@final
@dataclass(frozen=True)
class TargetDoesNotFit(Message):
    """The target of a loss does not have the shape that its prediction asks for.

    `cross_entropy` and `nll` compare `[n, classes, d…]` with whole numbers `[n, d…]`
    (`axis` says where the classes stand), `cross_entropy` also with probabilities of the
    prediction's own shape. All other losses compare two tensors of one shape: nothing is
    broadcast, because a loss over a broadcast pair is nearly always a mistake.
    """

    code: ClassVar[str] = "W0363"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    input y: f32[batch]\n"
        "    output loss = mse(x -> dense(1), y)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    input y: f32[batch]\n"
        "    output loss = mse(x -> dense(1) -> squeeze(1), y)\n}\n"
    )

    op: str
    wanted: str  # "i64[batch] with class numbers"
    places: tuple[Label, ...]
    hint: str | None = None

    def title(self) -> str:
        return f"the target does not fit the prediction of `{self.op}`"

    def label(self) -> str:
        return f"needs a target {self.wanted}"

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class ClassWeightsDoNotFit(Message):
    """A list of weights has one number for each class, and its length is not their number."""

    code: ClassVar[str] = "W0364"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3]\n    input y: i64[batch]\n"
        "    output loss = cross_entropy(x, y, weight=[1.0, 2.0])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3]\n    input y: i64[batch]\n"
        "    output loss = cross_entropy(x, y, weight=[1.0, 2.0, 1.0])\n}\n"
    )

    option: str
    found: int
    classes: str
    made: Label

    def title(self) -> str:
        return f"`{self.option}` has the wrong length"

    def label(self) -> str:
        return f"{self.found} numbers for {self.classes} classes"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"the prediction is {self.made.text}"),)
