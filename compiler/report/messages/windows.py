"""Convolution and pooling: layouts, windows that do not fit, padding, sizes that are not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message


@final
@dataclass(frozen=True)
class WrongLayout(Message):
    """A layer reads the axes of its input as batch, channels and then space; this input has
    another number of axes.

    `conv`, the poolings and `instance_norm` take `[batch, channels, length]`,
    `[batch, channels, height, width]` or `[batch, channels, depth, height, width]`.
    """

    code: ClassVar[str] = "W0350"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 64]\n    output y = x -> conv(8, kernel=3)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 1, 64]\n    output y = x -> conv(8, kernel=3)\n}\n"
    )

    op: str
    needed: str  # "[batch, channels, length], …"
    made: Label
    hint: str | None = None

    def title(self) -> str:
        return f"`{self.op}` cannot read the axes of its input"

    def label(self) -> str:
        return f"takes {self.needed}"

    def labels(self) -> Sequence[Label]:
        return (self.made,)

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class WindowTooLarge(Message):
    """A window of a convolution or pooling is larger than what it slides over.

    A kernel of size k with dilation d spans d * (k - 1) + 1 entries; along each axis the input
    with its padding must have as many.
    """

    code: ClassVar[str] = "W0351"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> max_pool(4) -> conv(8, kernel=5)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> max_pool(4) -> conv(8, kernel=5, padding=2)\n}\n"
    )

    span_size: int
    kernel: int
    dilation: int
    axis: int
    size: str
    padding: str  # both sides together
    made: Label

    def title(self) -> str:
        return "the window is larger than its input"

    def label(self) -> str:
        text = f"`kernel={self.kernel}`"
        if self.dilation != 1:
            text += f" with `dilation={self.dilation}` spans {self.span_size} entries and"
        text += f" needs {self.span_size} along axis {self.axis}"
        return (
            text if self.dilation == 1 else text.replace(f" needs {self.span_size}", " needs them")
        )

    def labels(self) -> Sequence[Label]:
        padded = "" if self.padding == "0" else f", with {self.padding} of padding"
        return (Label(self.made.span, f"which is {self.size}{padded}: {self.made.text}"),)

    def help(self) -> str:
        return "pad the input (`padding=`), or take a smaller kernel or fewer strides before it"


@final
@dataclass(frozen=True)
class WrongCount(Message):
    """A list gives one number for each axis of space, and its length is not their number."""

    code: ClassVar[str] = "W0352"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> conv(8, kernel=[3, 3, 3])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> conv(8, kernel=[3, 5])\n}\n"
    )

    option: str
    values: tuple[int, ...]
    axes: int
    made: Label

    def title(self) -> str:
        return f"`{self.option}` has the wrong length"

    def label(self) -> str:
        wanted = "one number" if self.axes == 1 else f"{self.axes} numbers"
        found = f"{len(self.values)} number" + ("" if len(self.values) == 1 else "s")
        return f"{found} where {wanted} would do, one for each axis after the channels"

    def labels(self) -> Sequence[Label]:
        return (self.made,)

    def help(self) -> str:
        return f"`{self.option}={self.values[0] if self.values else 1}` counts for every axis"


@final
@dataclass(frozen=True)
class PaddingUndecided(Message):
    """`padding="same"` with a stride pads by an amount that depends on the size of the input,
    and here the rule has no closed form for a size that is not known.

    That is so when the kernel spans fewer entries than the stride.
    """

    code: ClassVar[str] = "W0356"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        '    output y = image -> conv(8, kernel=2, stride=4, padding="same")\n}\n'
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        '    output y = image -> conv(8, kernel=4, stride=4, padding="same")\n}\n'
    )

    what: str  # 'padding="same"', "ceil_mode=true"
    rule: str  # "kernel < stride"
    axis: int
    size: str
    made: Label

    def title(self) -> str:
        return f"`{self.what}` cannot be decided for this size"

    def label(self) -> str:
        return f"{self.rule} needs a known size of axis {self.axis}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"it is {self.size} here"),)

    def help(self) -> str:
        return "give the padding as numbers, or the input's type numbers"


@final
@dataclass(frozen=True)
class NothingLeft(Message):
    """The padding of a transposed convolution or of a pooling cuts off the whole output."""

    code: ClassVar[str] = "W0358"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 1, 1]\n"
        "    output y = image -> conv_transpose(8, kernel=2, padding=1)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 1, 1, 1]\n"
        "    output y = image -> conv_transpose(8, kernel=4, padding=1)\n}\n"
    )

    option: str
    axis: int
    size: str
    made: Label

    def title(self) -> str:
        return "nothing is left of the output"

    def label(self) -> str:
        return f"with this `{self.option}`, axis {self.axis} would have size {self.size}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"the input is {self.made.text}"),)


@final
@dataclass(frozen=True)
class PoolSizeUnknown(Message):
    """`adaptive_avg_pool` cuts an axis into parts, and the size of the axis is known only when
    the network runs. One part needs no known size."""

    code: ClassVar[str] = "W0366"
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 8, h, w]\n"
        "    output y = image -> adaptive_avg_pool(2)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 8, h, w]\n"
        "    output y = image -> adaptive_avg_pool(1)\n}\n"
    )

    op: str
    axis: int
    size: str
    made: Label

    def title(self) -> str:
        return f"`{self.op}` needs a known size"

    def label(self) -> str:
        return f"cuts axis {self.axis} into parts"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made.span, f"which is {self.size} here: {self.made.text}"),)

    def help(self) -> str:
        return "`global_avg_pool` and `avg_pool` work for any size"
