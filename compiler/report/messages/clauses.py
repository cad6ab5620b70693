"""Messages about clauses and references of items: missing, repeated, naming what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class ClauseTwice(Message):
    """A clause that says one thing stands twice in an item."""

    code: ClassVar[str] = "W0605"
    bad: ClassVar[str] = train_spec("seed 0", "seed 1")
    good: ClassVar[str] = train_spec("seed 0")

    word: str
    first: Span

    def title(self) -> str:
        return f"`{self.word}` stands twice"

    def label(self) -> str:
        return "said again here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "first said here"),)


@final
@dataclass(frozen=True)
class ClauseMissing(Message):
    """An item lacks clauses that it cannot do without."""

    code: ClassVar[str] = "W0606"
    bad: ClassVar[str] = train_spec(sizes="epochs 10")
    good: ClassVar[str] = train_spec()

    item: str  # "the train `fit`"
    words: tuple[str, ...]
    forms: tuple[str, ...]
    bound: str | None = None
    """A name that is bound in place of a clause: `batch_size = 64`."""

    def title(self) -> str:
        return f"{self.item} has no {' and no '.join(f'`{word}`' for word in self.words)}"

    def help(self) -> str:
        if self.bound is not None:
            return f"`{self.bound} = …` binds a name: write {list_words(self.forms)} in its place"
        return f"add {list_words(self.forms)}"


@final
@dataclass(frozen=True)
class NoSuchItem(Message):
    """An item refers to another that does not exist, or is of another kind: `train f of MODEL on
    DATA`, `deploy TRAIN as onnx`."""

    code: ClassVar[str] = "W0607"
    absent: ClassVar[str | None] = "name"
    bad: ClassVar[str] = train_spec().replace("of Net on digits", "of Net on digit")
    good: ClassVar[str] = train_spec()

    kind: str  # "data set", "model"
    name: str
    found: str  # "the block `f`"; empty where nothing has this name
    known: tuple[str, ...]
    suggestion: str | None
    owner: str = "the file"

    def title(self) -> str:
        if self.found:
            return f"{self.found} is no {self.kind}"
        return f"there is no {self.kind} `{self.name}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str | None:
        if self.known:
            return f"{self.owner} has {list_words(self.known)}"
        return f"{self.owner} has no {self.kind}"


@final
@dataclass(frozen=True)
class ReferenceMissing(Message):
    """A train needs data: `train f of MODEL on DATA`, or `train f on DATA` with its nets in the
    body."""

    code: ClassVar[str] = "W0608"
    bad: ClassVar[str] = train_spec().replace(" on digits {", " {")
    good: ClassVar[str] = train_spec()

    item: str
    reason: str
    form: str

    def title(self) -> str:
        return f"{self.item} {self.reason}"

    def help(self) -> str:
        return f"write `{self.form}`"


@final
@dataclass(frozen=True)
class ParameterWithoutDefault(Message):
    """A train or data item that a command runs takes its parameters from their defaults or from
    `--set`; this one has neither."""

    code: ClassVar[str] = "W0609"
    bad: ClassVar[str] = train_spec().replace("train fit of", "train fit(lr: float) of")
    good: ClassVar[str] = (
        train_spec()
        .replace("train fit of", "train fit(lr: float = 1e-3) of")
        .replace("lr=1e-3", "lr=lr")
    )

    item: str
    name: str

    def title(self) -> str:
        return f"the parameter `{self.name}` of {self.item} has no value"

    def help(self) -> str:
        return f"give it a default, or a value for this run: `--set {self.name}=…`"
