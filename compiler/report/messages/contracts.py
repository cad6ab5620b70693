"""Messages about contracts: what was required and did not hold, or cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity
from compiler.report.messages.variants import variant_spec
from compiler.report.messages.wording import count
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class NoSizesForLatency(Message):
    """The net takes no input of the sizes that `target` gives, so that there is nothing to
    measure: a size that a pooling divides, or one beyond a table of positions."""

    code: ClassVar[str] = "W1170"
    good: ClassVar[str] = variant_spec("target cpu(threads=1), batch=64")

    sizes: Mapping[str, int]

    def title(self) -> str:
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"the net takes no input at {sizes}" if sizes else "no input of the net was found"

    def help(self) -> str:
        return "give its sizes: `target cpu(threads=2), batch=1, h=224, w=224`"


@final
@dataclass(frozen=True)
class SizeImpossible(Message):
    """A file cannot be as small as the contract asks, whatever the passes find: the parameters
    that they must leave, in the fewest bits that they store, are larger. This is found before any
    work is done."""

    code: ClassVar[str] = "W1171"
    bad: ClassVar[str] = variant_spec("apply quantize(int8)  require size <= 2KiB")
    good: ClassVar[str] = variant_spec("apply quantize(int8)  require size <= 4KiB")

    required: str  # "1.0 KiB"
    bound: str
    reason: str  # "4,816 parameters at 8 bits"
    place: Span | None = None

    def title(self) -> str:
        return f"the file cannot have {self.required} or less"

    def label(self) -> str:
        return f"at least {self.bound}: {self.reason}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.place, "with these passes"),) if self.place is not None else ()

    def help(self) -> str:
        return "store fewer bits, remove more, or require less"


@final
@dataclass(frozen=True)
class LargeOutputError(Message):
    """A variant holds its contract, and its outputs are far from those of the net before any pass:
    the root mean square of the difference is more than a fifth of their standard deviation over
    the rows. A metric that counts the largest score only does not see that; what reads the
    outputs themselves (probabilities, distances, another net) does. `require error <= …` bounds
    it, and then nothing is said here."""

    code: ClassVar[str] = "W1214"
    severity: ClassVar[Severity] = Severity.WARNING

    variant: str
    of_spread: float

    def title(self) -> str:
        return f"the outputs of `{self.variant}` differ by {self.of_spread:.0%} of their spread"

    def label(self) -> str:
        return "holds its contract, which does not bound `error`"

    def help(self) -> str:
        return "bound it: `require error <= 5%`; or compress less, or tune longer"


@final
@dataclass(frozen=True)
class ThreadsBeyondCores(Message):
    """`target` asks for more threads than the machine that builds has cores, so that they take
    turns: latency is then that of a crowded machine, and neither what a larger one would have nor
    what this one can do. Build on the machine that is meant, or ask for as many threads as it has
    cores."""

    code: ClassVar[str] = "W1392"
    severity: ClassVar[Severity] = Severity.WARNING
    good: ClassVar[str] = variant_spec("target cpu(threads=1)")

    threads: int
    cores: int

    def title(self) -> str:
        return f"latency is measured with {self.threads:,} threads on {count(self.cores, 'core')}"

    def label(self) -> str:
        return "asks for more threads than this machine has cores"

    def help(self) -> str:
        return f"write `cpu(threads={self.cores})`, or build on the machine that is meant"


@final
@dataclass(frozen=True)
class CountImpossible(Message):
    """A contract bounds a figure below what any result of the passes has: fewer numbers in the
    weights than the groups of channels and the ranks leave, or no time at all."""

    code: ClassVar[str] = "W1219"
    bad: ClassVar[str] = variant_spec("apply quantize(int8)  require params <= 2000")
    good: ClassVar[str] = variant_spec("apply quantize(int8)  require params <= 3000")

    figure: str
    required: str
    found: str  # "at least 640"

    def title(self) -> str:
        return f"no result of these passes has `{self.figure}` of {self.required} or less"

    def label(self) -> str:
        return f"it is {self.found}"

    def help(self) -> str:
        return "remove more, or require less"


@final
@dataclass(frozen=True)
class ContractFailed(Message):
    """The result of a variant does not hold what a `require` asks of it, so the build fails. The
    message says by how much, which layers cost most, and which settings hold as far as they were
    tried; report.md has every figure."""

    code: ClassVar[str] = "W1172"
    good: ClassVar[str] = variant_spec("apply quantize(int8)  require error <= 50%")

    variant: str
    measured: str  # "test.accuracy is 94.2%"
    missed: str  # "1.8 points below 96%"
    binding: str = ""
    layers: tuple[str, ...] = ()  # the most sensitive ones, "conv (SQNR 18.2 dB)"
    nearest: str = ""

    def title(self) -> str:
        return f"the variant `{self.variant}` does not hold its contract"

    def label(self) -> str:
        return f"{self.measured}: {self.missed}"

    def help(self) -> str:
        parts = [self.nearest or "no setting near this one holds, as far as it was tried"]
        if self.binding:
            parts.insert(0, self.binding)
        if self.layers:
            parts.append(f"the most sensitive layers are {', '.join(self.layers)}")
        return "; ".join(parts)


@final
@dataclass(frozen=True)
class VariantNotBuilt(Message):
    """A variant exists once a build has run its passes; its net lies in the folder of the build.
    What has changed in the spec since then makes it be built anew."""

    code: ClassVar[str] = "W1173"
    good: ClassVar[str] = variant_spec("apply quantize(int8)")

    name: str
    folder: str

    def title(self) -> str:
        return f"the variant `{self.name}` is not built"

    def label(self) -> str:
        return f"{self.folder} has no such net, or one of another spec"

    def help(self) -> str:
        return "run `weft build`"


@final
@dataclass(frozen=True)
class RowsRelated(Message):
    """A net compares the rows of a batch with each other, so that its outputs depend on which rows
    stand together: scores of `[batch, batch]`. Passes that judge, contracts and reports need
    figures of single rows.

    Let the net put out what belongs to a row (the vectors of both towers) and compare rows in the
    train, where the objective of a batch may.
    """

    code: ClassVar[str] = "W1174"

    net: str
    output: str
    type: str

    def title(self) -> str:
        return f"`{self.output}` of `{self.net}` has no figures of single rows"

    def label(self) -> str:
        return f"`{self.output}` is {self.type}: every row is compared with the others of its batch"

    def help(self) -> str:
        return "let the net put out what belongs to a row, and compare rows in the train"


@final
@dataclass(frozen=True)
class InputNeedsWeights(Message):
    """A file is measured on the rows of a train's data, and the train gives its net what other
    nets compute of them; their weights are not there.

    `weft build` keeps the weights of every net of a train in its folder, beside the files.
    """

    code: ClassVar[str] = "W1282"

    input: str
    weight: str

    def title(self) -> str:
        return f"the input `{self.input}` cannot be computed"

    def label(self) -> str:
        return f"another net of the train makes it, and there is no `{self.weight}`"

    def help(self) -> str:
        return "run `weft build` first, which keeps the weights of all nets"
