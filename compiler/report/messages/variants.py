"""Messages about variant items: passes, the target, and what a `require` may say."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


def variant_spec(clauses: str, rest: str = "") -> str:
    """A whole spec with this variant, of a net with a hidden layer."""
    spec = train_spec("metric accuracy = accuracy(logits, label)")
    spec = spec.replace("-> dense(10)", "-> dense(32) as hidden -> relu -> dense(10)")
    return spec + f"variant tiny of fit {{ {clauses} }}\n{rest}"


@final
@dataclass(frozen=True)
class NoSuchLayer(Message):
    """A pattern of `only=` or `except=` names no layer of the net, so that the pass would touch
    other layers than was meant. `weft show` lists the paths of layers; `*` stands for any text,
    and a path without `*` means everything below it."""

    code: ClassVar[str] = "W0650"
    bad: ClassVar[str] = variant_spec('apply quantize(int8, except=["head"])')
    good: ClassVar[str] = variant_spec('apply quantize(int8, except=["dense"])')

    pattern: str
    layers: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return f'no layer matches "{self.pattern}"'

    def label(self) -> str:
        return f'did you mean "{self.suggestion}"?' if self.suggestion else ""

    def help(self) -> str | None:
        return f"the layers are {list_words(self.layers)}" if self.layers else None


@final
@dataclass(frozen=True)
class NoSuchFigure(Message):
    """A `require` names a figure that does not exist. There are `size`, `params`, `flops`,
    `latency`, `memory` and `error`, metrics of a split (`test.accuracy`), and all of these of
    another train or variant (`fit.latency`, `fit.test.accuracy`)."""

    code: ClassVar[str] = "W0651"
    bad: ClassVar[str] = variant_spec("require sise <= 24KiB")
    good: ClassVar[str] = variant_spec("require size <= 24KiB")

    word: str
    known: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return f"there is no figure `{self.word}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str:
        return f"there is {list_words(self.known)}"


@final
@dataclass(frozen=True)
class KindsDiffer(Message):
    """Two numbers of different kinds are compared, added or subtracted: bytes with seconds, or a
    size with a number that has no unit."""

    code: ClassVar[str] = "W0652"
    bad: ClassVar[str] = variant_spec("require size <= 5ms")
    good: ClassVar[str] = variant_spec("require size <= 50KiB")

    left: str  # "`size` is a number of bytes"
    right: str
    advice: str = ""

    def title(self) -> str:
        return "these numbers cannot be compared"

    def label(self) -> str:
        return f"{self.left}, {self.right}"

    def help(self) -> str | None:
        return self.advice or None


@final
@dataclass(frozen=True)
class ContractAboutItself(Message):
    """A `require` is held against the variant itself, directly or through another variant: it
    would say nothing."""

    code: ClassVar[str] = "W0653"
    bad: ClassVar[str] = variant_spec("require size <= 0.5 * tiny.size")
    good: ClassVar[str] = variant_spec("require size <= 0.5 * fit.size")

    name: str
    around: tuple[str, ...] = ()  # the variants that the circle goes through

    def title(self) -> str:
        if self.around:
            return f"the contracts of {list_words((self.name, *self.around))} go in a circle"
        return f"the contract of `{self.name}` refers to itself"

    def help(self) -> str:
        return "hold it against a train, or against a number"


@final
@dataclass(frozen=True)
class BadRequire(Message):
    """`require` takes comparisons of figures with numbers or with figures of others, joined by
    `and`: `require latency <= 0.5 * fit.latency and size <= 24KiB`."""

    code: ClassVar[str] = "W0654"
    bad: ClassVar[str] = variant_spec("require size == 24KiB")
    good: ClassVar[str] = variant_spec("require size <= 24KiB")

    expected: str

    def title(self) -> str:
        return "this is nothing that can be required"

    def label(self) -> str:
        return self.expected

    def help(self) -> str:
        return "write `require size <= 24KiB`, with one of <= < >= >"


@final
@dataclass(frozen=True)
class NoMetricsHere(Message):
    """A metric is required of a net that no train of the file has trained: there is no data to
    compute it on. `size`, `params`, `flops`, `latency`, `memory` and `error` need none."""

    code: ClassVar[str] = "W0655"
    bad: ClassVar[str] = (
        train_spec()
        + "net loaded = Net()\nvariant tiny of loaded { require test.accuracy >= 1% }\n"
    )
    good: ClassVar[str] = (
        train_spec() + "net loaded = Net()\nvariant tiny of loaded { require error <= 5% }\n"
    )

    owner: str

    def title(self) -> str:
        return f"`{self.owner}` has no metrics"

    def label(self) -> str:
        return "it was not trained here, so there is no data for it"


@final
@dataclass(frozen=True)
class TargetSize(Message):
    """A size at which latency is measured is no whole number above 0. Sizes that `target` leaves
    out are the first that verification tries: 1 for the batch."""

    code: ClassVar[str] = "W0656"
    bad: ClassVar[str] = variant_spec("target cpu(threads=1), batch=0")
    good: ClassVar[str] = variant_spec("target cpu(threads=1), batch=1")

    dim: str
    found: str

    def title(self) -> str:
        return f"`{self.dim}` must be a whole number above 0"

    def label(self) -> str:
        return f"is {self.found}"


@final
@dataclass(frozen=True)
class PassTooLate(Message):
    """A pass that works on weights in floats stands behind one that leaves none.

    Pruning, factoring and searching measure and cut weights as they were trained. Once `quantize`
    has put them into few bits there is nothing for them to work on. Quantize last; `finetune` and
    `distill` may follow and train the net with the rounding that it will have. A second
    quantization finds work only where the first leaves layers out.
    """

    code: ClassVar[str] = "W0657"
    bad: ClassVar[str] = variant_spec("apply quantize(int8) -> prune(channels=50%)")
    good: ClassVar[str] = variant_spec("apply prune(channels=50%) -> quantize(int8)")

    name: str
    quantized: str
    behind: Span | None
    again: bool = False  # whether it is a second quantization

    def title(self) -> str:
        return f"`{self.name}` stands behind `{self.quantized}`"

    def label(self) -> str:
        return "finds no weight left to quantize" if self.again else "works on weights in floats"

    def labels(self) -> tuple[Label, ...]:
        return (Label(self.behind, "leaves none of them"),) if self.behind is not None else ()

    def help(self) -> str:
        if self.again:
            return (
                "leave one of them out, or divide the layers between them by `only=` and `except=`"
            )
        return f"quantize last: `{self.name}(…) -> {self.quantized}`"


@final
@dataclass(frozen=True)
class BeyondBest(Message):
    """A metric is required to be better than that of a perfect net.

    Shares of right answers are numbers from 0 to 1: write `97%` or `0.97`, not `97`. Errors such as
    `mse` and `mae` are never below 0.
    """

    code: ClassVar[str] = "W0658"
    bad: ClassVar[str] = variant_spec("require val.accuracy >= 97")
    good: ClassVar[str] = variant_spec("require val.accuracy >= 97%")

    figure: str
    limit: str  # "is 1 at best"
    advice: str = ""

    def title(self) -> str:
        return "no net can hold this"

    def label(self) -> str:
        return f"`{self.figure}` {self.limit}"

    def help(self) -> str | None:
        return self.advice or None


@final
@dataclass(frozen=True)
class HeldByAll(Message):
    """A requirement holds of every net, whatever its passes do: an accuracy of at least 0, a size
    of at least 0 bytes. It says nothing, so something else was meant."""

    code: ClassVar[str] = "W1388"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = variant_spec("require val.accuracy <= 97")
    good: ClassVar[str] = variant_spec("require val.accuracy >= 97%")

    figure: str
    limit: str  # "is never above 1"
    advice: str = ""

    def title(self) -> str:
        return "every net holds this"

    def label(self) -> str:
        return f"`{self.figure}` {self.limit}"

    def help(self) -> str:
        return self.advice or "leave it out, or require what a net can miss"


@final
@dataclass(frozen=True)
class WorseRequired(Message):
    """A figure is bounded on the side where it is better: a size from below, an accuracy from
    above. A net that is better than the bound would fail the contract, which is hardly meant."""

    code: ClassVar[str] = "W1389"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = variant_spec("require size >= 24KiB")
    good: ClassVar[str] = variant_spec("require size <= 24KiB")

    figure: str
    better: str  # "lower"
    turned: str  # "<="

    def title(self) -> str:
        return "a better net would not hold this"

    def label(self) -> str:
        return f"the {self.better} `{self.figure}` is the better one"

    def help(self) -> str:
        return f"did you mean `{self.figure} {self.turned} …`?"
