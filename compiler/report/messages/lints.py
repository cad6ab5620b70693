"""Warnings: what is allowed and most likely not meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class UnusedParameter(Message):
    """A parameter of an item is never read."""

    code: ClassVar[str] = "W1001"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = (
        "model M(width: int = 8) {\n    input x: f32[batch, 8]\n    output y = x -> dense(16)\n}\n"
    )
    good: ClassVar[str] = (
        "model M(width: int = 8) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(width)\n}\n"
    )

    name: str
    owner: str

    def title(self) -> str:
        return f"`{self.name}` is never used"

    def label(self) -> str:
        return f"nothing in `{self.owner}` reads it"


@final
@dataclass(frozen=True)
class UnusedBinding(Message):
    """A value is bound to a name that nothing reads afterwards."""

    code: ClassVar[str] = "W1002"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    h = x -> dense(8)\n"
        "    output y = x -> relu\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    h = x -> dense(8)\n"
        "    output y = h -> relu\n}\n"
    )

    name: str

    def title(self) -> str:
        return f"`{self.name}` is never used"

    def label(self) -> str:
        return "nothing reads it after this"

    def help(self) -> str | None:
        return "remove it, or call it `_` if it only fills a place"


@final
@dataclass(frozen=True)
class SoftmaxBeforeLoss(Message):
    """`cross_entropy` applies a softmax itself; one before it is applied twice.

    The network then learns slowly, because its loss is flat. Give the loss the plain scores
    (logits), and use `softmax` only where probabilities are read.
    """

    code: ClassVar[str] = "W1003"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    input label: i64[batch]\n"
        "    output loss = cross_entropy(x -> dense(10) -> softmax(axis=-1), label)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    input label: i64[batch]\n"
        "    output loss = cross_entropy(x -> dense(10), label)\n}\n"
    )

    loss: str
    function: str
    place: Span | None

    def title(self) -> str:
        return f"`{self.loss}` gets the result of `{self.function}`"

    def label(self) -> str:
        return f"`{self.loss}` expects plain scores and applies the function itself"

    def labels(self) -> Sequence[Label]:
        return (Label(self.place, f"`{self.function}` is applied here"),) if self.place else ()

    def help(self) -> str | None:
        return f"leave out `{self.function}` before the loss"


@final
@dataclass(frozen=True)
class ChannelsGivenTwice(Message):
    """A convolution is called as in PyTorch, with the channels that come in as its first number.

    `conv(out, kernel, stride)` reads the channels that come in from its input. So `conv(3, 16, 3)`
    makes three channels with a kernel of 16 and a stride of 3. Weft warns where a kernel of 8 or
    more moves by an odd stride and leaves as many channels as came in: hardly anyone means that.
    """

    code: ClassVar[str] = "W1006"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 3, 32, 32]\n"
        "    output y = image -> conv(3, 16, 3)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input image: f32[batch, 3, 32, 32]\n"
        "    output y = image -> conv(16, kernel=3)\n}\n"
    )

    out: int
    kernel: int
    stride: int

    def title(self) -> str:
        return "this convolution reads like PyTorch's (in, out, kernel)"

    def label(self) -> str:
        return f"makes {self.out} channels, with kernel={self.kernel} and stride={self.stride}"

    def help(self) -> str:
        return f"channels that come in are not given: `conv({self.kernel}, kernel={self.stride})`"


@final
@dataclass(frozen=True)
class NeverReached(Message):
    """Statements stand behind a `return` and are never reached."""

    code: ClassVar[str] = "W1004"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = (
        "block f(x) {\n    return x -> relu\n    return x -> tanh\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x) {\n    return x -> relu\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )

    after: Span

    def title(self) -> str:
        return "this is never reached"

    def labels(self) -> Sequence[Label]:
        return (Label(self.after, "the body ends here"),)


@final
@dataclass(frozen=True)
class UnusedInput(Message):
    """An input of a model is never read."""

    code: ClassVar[str] = "W1005"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    input z: f32[batch, 8]\n"
        "    output y = x -> relu\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    input z: f32[batch, 8]\n"
        "    output y = x + z\n}\n"
    )

    name: str

    def title(self) -> str:
        return f"the input `{self.name}` is never used"


@final
@dataclass(frozen=True)
class LabelNamesArithmetic(Message):
    """`as` names all that stands before it: in `x + f(x) as attn` the sum, not the call of `f`.

    The weights of `f` then lie at `attn.f.…`. Brackets say which of the two is meant.
    """

    code: ClassVar[str] = "W1370"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = (
        "block f(x: f32[n, d]) {\n    return x -> dense(d) as q\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x + f(x) as attn\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x: f32[n, d]) {\n    return x -> dense(d) as q\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x + (f(x) as attn)\n}\n"
    )

    name: str
    whole: Span
    last: Span

    def title(self) -> str:
        return f"`{self.name}` names the whole expression before it"

    def label(self) -> str:
        return f"weights of the layers in it lie below `{self.name}`"

    def labels(self) -> Sequence[Label]:
        return (Label(self.whole, "this is named"),)

    def help(self) -> str:
        before = self.whole.text[: self.last.start - self.whole.start]
        part = f"{before}({self.last.text} as {self.name})"
        return f"write `{part}` to name the last part, `({self.whole.text}) as {self.name}` for all"
