"""What goes wrong in layers with channels and windows: convolution, pooling, normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message


@final
@dataclass(frozen=True)
class ChannelsDoNotMatch(Message):
    """Channels are divided into groups of equal size, so `groups` must divide their number.

    A convolution with `groups` groups divides its input and its output channels; `group_norm`
    divides the channels of its input. `groups` equal to the input channels is a depthwise
    convolution.
    """

    code: ClassVar[str] = "W0312"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 28, 28]\n"
        "    x = image -> conv(16, kernel=3)\n"
        "    output y = x -> conv(32, kernel=3, groups=3)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 28, 28]\n"
        "    x = image -> conv(16, kernel=3)\n"
        "    output y = x -> conv(32, kernel=3, groups=4)\n}\n"
    )

    groups: int
    channels: int
    made: Label | None = None  # where the input was made; None: output channels are meant

    def title(self) -> str:
        return "channels do not match"

    def label(self) -> str:
        if self.made is None:
            return f"`groups={self.groups}` must divide the output channels, {self.channels}"
        return f"`groups={self.groups}` must divide the input channels"

    def labels(self) -> Sequence[Label]:
        if self.made is None:
            return ()
        return (Label(self.made.span, f"which are {self.channels} here: {self.made.text}"),)

    def help(self) -> str:
        divisors = [str(d) for d in range(1, self.channels + 1) if self.channels % d == 0]
        *first, last = divisors
        text = f"{', '.join(first)} and {last}" if first else last
        return f"{self.channels} is divisible by {text}"


@final
@dataclass(frozen=True)
class OptionOutOfRange(Message):
    """A number given to a layer lies outside what the layer has a meaning for.

    Sizes come from the input: `batch_norm`, `layer_norm` and `instance_norm` take no number of
    channels. Rates are between 0 and 1; `50%` is 0.5.
    """

    code: ClassVar[str] = "W0353"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dropout(50)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dropout(50%)\n}\n"
    )

    op: str
    option: str
    value: object
    needed: str  # "at least 1"
    hint: str | None = None

    def title(self) -> str:
        return f"`{self.option}` of `{self.op}` is out of range"

    def label(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"is {value} and must be {self.needed}"

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class WeightShapeUnknown(Message):
    """A layer's weights would have a size that is known only when the network runs.

    Weights are made before anything runs. Pool over the axes whose size may vary
    (`global_avg_pool`), or give them numbers in the type of the input.
    """

    code: ClassVar[str] = "W0354"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        "    output y = image -> conv(8, kernel=3) -> flatten -> dense(10)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        "    output y = image -> conv(8, kernel=3) -> global_avg_pool -> dense(10)\n}\n"
    )

    op: str
    what: str  # "the last axis", "the channels, axis 1"
    size: str
    made: Label

    def title(self) -> str:
        return f"the weights of `{self.op}` would have no fixed shape"

    def label(self) -> str:
        return f"needs a known size of {self.what}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"it is {self.size} here: {self.made.text}"),)

    def help(self) -> str:
        if self.what.startswith("the channels"):
            return "give the channels a number in the input's type, e.g. `f32[batch, 3, h, w]`"
        return "pool over axes that vary (`global_avg_pool`), or give the input's type numbers"


@final
@dataclass(frozen=True)
class WeightDoesNotFit(Message):
    """A weight is given to a layer by keyword, and it does not have the shape that the layer
    needs.

    `dense(n)` on `[..., d]` needs a weight `[n, d]`, `embedding(n, d)` has `[n, d]`: an output
    layer tied to an embedding is `dense(n, weight=embed.weight, bias=false)`.
    """

    code: ClassVar[str] = "W0355"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    param w: f32[8, 4] = normal(0.02)\n"
        "    output y = x -> dense(4, weight=w, bias=false)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    param w: f32[4, 8] = normal(0.02)\n"
        "    output y = x -> dense(4, weight=w, bias=false)\n}\n"
    )

    op: str
    weight: str
    found: str
    wanted: str
    made: Label

    def title(self) -> str:
        return f"the `{self.weight}` given to `{self.op}` does not fit"

    def label(self) -> str:
        return f"is {self.found}, and {self.wanted} is needed"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"for the input {self.made.text}"),)


@final
@dataclass(frozen=True)
class HalvesDiffer(Message):
    """`glu` cuts an axis into two halves, so its size must be even."""

    code: ClassVar[str] = "W0357"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 7]\n    output y = x -> glu(axis=-1)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> glu(axis=-1)\n}\n"
    )

    axis: int
    size: str
    made: Label

    def title(self) -> str:
        return "an odd axis has no halves"

    def label(self) -> str:
        return f"cuts axis {self.axis} into two halves"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"which is {self.size} here: {self.made.text}"),)


@final
@dataclass(frozen=True)
class NoVariance(Message):
    """`instance_norm` takes mean and variance over space, `group_norm` over a group of channels
    too; over a single entry every result would be 0, and PyTorch refuses it."""

    code: ClassVar[str] = "W0359"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 8, 1, 1]\n"
        "    output y = image -> instance_norm\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 8, 1, 1]\n"
        "    output y = image -> group_norm(2)\n}\n"
    )

    op: str
    made: Label
    what: str = "entry of space"

    def title(self) -> str:
        return "one entry has no variance"

    def label(self) -> str:
        return f"`{self.op}` needs more than one {self.what}"

    def labels(self) -> Sequence[Label]:
        return (self.made,)

    def help(self) -> str:
        if self.op == "group_norm":
            return "with fewer groups each has several channels"
        return "`group_norm` and `layer_norm` take in the channels as well"
