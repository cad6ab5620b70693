"""Messages about deploy items: what is deployed, and with which dims, labels and outputs."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words


def deploy_spec(clauses: str, subject: str = "fit") -> str:
    """A whole spec with this deployment."""
    return train_spec() + f"deploy {subject} as onnx {{ {clauses} }}\n"


WIDE = """model Wide {
    input image: f32[height, width]
    output bright = image > 0
}
net wide = Wide()
"""
"""A net with two open sizes."""


@final
@dataclass(frozen=True)
class UnknownDim(Message):
    """A clause of a deployment names a size that no input of the net has. Sizes are named where
    the model declares its inputs: `input image: f32[batch, 3, h, w]`."""

    code: ClassVar[str] = "W0640"
    bad: ClassVar[str] = deploy_spec("dynamic bach")
    good: ClassVar[str] = deploy_spec("dynamic batch")

    dim: str
    known: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return f"no input has a size `{self.dim}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str:
        return f"the open sizes are {list_words(self.known)}" if self.known else "no size is open"


@final
@dataclass(frozen=True)
class DimBothWays(Message):
    """A size is fixed and left open at once."""

    code: ClassVar[str] = "W0641"
    bad: ClassVar[str] = deploy_spec("dynamic batch  fix batch=1")
    good: ClassVar[str] = deploy_spec("fix batch=1")

    dim: str

    def title(self) -> str:
        return f"`{self.dim}` is fixed and dynamic at once"

    def help(self) -> str:
        return "leave it out of one of the clauses"


OPEN_HEIGHT = (
    train_spec().replace("f32[batch, 8, 8]", "f32[batch, h, 8]").replace("flatten", "mean(axis=1)")
)
"""A spec whose net leaves a size open that its data settles."""


@final
@dataclass(frozen=True)
class FixedAgainstData(Message):
    """A deployment fixes a size to another number than the data of its train has, so that no row of
    the data fits the file: it could neither be verified on real rows nor measured."""

    code: ClassVar[str] = "W1356"
    bad: ClassVar[str] = OPEN_HEIGHT + "deploy fit as onnx { fix h=4 }\n"
    good: ClassVar[str] = OPEN_HEIGHT + "deploy fit as onnx { fix h=8 }\n"

    dim: str
    size: int
    given: int
    train: str

    def title(self) -> str:
        return (
            f"`{self.dim}` is {self.given} in the data of `{self.train}`, and fixed to {self.size}"
        )

    def label(self) -> str:
        return f"no row of the data has {self.size} there"

    def help(self) -> str:
        return f"write `fix {self.dim}={self.given}`, or leave it out"


@final
@dataclass(frozen=True)
class FixedAgainstTarget(Message):
    """A deployment fixes a size to another number than the `target` of its variant measures it
    with. A file whose size is fixed runs with no other. What is measured is the file of the first
    deployment of a variant: further ones may fix other sizes."""

    code: ClassVar[str] = "W1357"
    bad: ClassVar[str] = (
        train_spec()
        + "variant tiny of fit { apply quantize(stored8)  target cpu, batch=2 }\n"
        + "deploy tiny as onnx { fix batch=3 }\n"
    )
    good: ClassVar[str] = (
        train_spec()
        + "variant tiny of fit { apply quantize(stored8)  target cpu, batch=3 }\n"
        + "deploy tiny as onnx { fix batch=3 }\n"
        + "deploy tiny as onnx { fix batch=4 }\n"
    )

    dim: str
    size: int
    measured: int
    variant: str

    def title(self) -> str:
        return f"`{self.dim}` is fixed to {self.size}, and measured at {self.measured}"

    def label(self) -> str:
        return f"the `target` of `{self.variant}` says `{self.dim}={self.measured}`"

    def help(self) -> str:
        return "give both the same number, or leave it out of `target`"


@final
@dataclass(frozen=True)
class DimensionWithoutSize(Message):
    """`dynamic` names the sizes that stay free, and these are not among them.

    What is not dynamic must have a size in the ONNX file. Name it too, or give it a size. Without
    `dynamic`, all sizes stay free.
    """

    code: ClassVar[str] = "W0805"
    bad: ClassVar[str] = deploy_spec("dynamic height", subject="wide") + WIDE
    good: ClassVar[str] = deploy_spec("dynamic height  fix width=16", subject="wide") + WIDE

    names: tuple[str, ...]

    def title(self) -> str:
        verb = "is" if len(self.names) == 1 else "are"
        return f"{list_words(self.names)} {verb} neither dynamic nor of a known size"

    def label(self) -> str:
        return f"leaves {list_words(self.names)} without a size"

    def help(self) -> str:
        them = "it" if len(self.names) == 1 else "them"
        sizes = ", ".join(f"{name}=16" for name in self.names)
        return f"name {them} in `dynamic` too, or give {them} a size: `fix {sizes}`"


@final
@dataclass(frozen=True)
class OpsetOutOfRange(Message):
    """The opset is older or newer than the ones Weft writes.

    Opset 18 is the oldest whose reductions and resizing mean what they mean today. The newest is
    the newest that ONNX Runtime runs, so that every file can be verified.
    """

    code: ClassVar[str] = "W0802"
    bad: ClassVar[str] = deploy_spec("opset 12")
    good: ClassVar[str] = deploy_spec("opset 18")

    opset: int
    oldest: int
    newest: int

    def title(self) -> str:
        return f"there is no opset {self.opset} to write"

    def label(self) -> str:
        return f"choose an opset from {self.oldest} to {self.newest}"


@final
@dataclass(frozen=True)
class LabelCount(Message):
    """There must be a label for each class: as many as the last axis of the first output."""

    code: ClassVar[str] = "W0642"
    bad: ClassVar[str] = deploy_spec('labels ["no", "yes"]')
    good: ClassVar[str] = deploy_spec('labels ["{i}" for i in 0..10]')

    found: int
    output: str
    type: str
    classes: int

    def title(self) -> str:
        return f"{self.found} labels for {self.classes} classes"

    def label(self) -> str:
        return f"the output `{self.output}` is {self.type}"


@final
@dataclass(frozen=True)
class LabelOrder(Message):
    """The labels are the words of the column that the net is trained on, in another order than
    their codes, so that every class would be called by the word of another one. The codes of a
    table's column are the places of its words in sorted order, those of folders of images too.
    Labels that are other words, translated ones for instance, are taken as they are."""

    code: ClassVar[str] = "W1415"
    bad: ClassVar[str] = deploy_spec('labels ["{9 - i}" for i in 0..10]')
    good: ClassVar[str] = deploy_spec('labels ["{i}" for i in 0..10]')

    column: str
    found: tuple[str, ...]
    words: tuple[str, ...]

    def title(self) -> str:
        return f"the labels are in another order than the classes of `{self.column}`"

    def label(self) -> str:
        pairs = zip(self.found, self.words, strict=True)
        place = next(i for i, (one, other) in enumerate(pairs) if one != other)
        there = f"class {place} is `{self.words[place]}`, not `{self.found[place]}`"
        return f"are {list_words(self.found)}; {there}"

    def help(self) -> str:
        return f"write them in the order of the classes: {list_words(self.words)}"


@final
@dataclass(frozen=True)
class UnknownOutput(Message):
    """The net has no output of this name."""

    code: ClassVar[str] = "W0643"
    bad: ClassVar[str] = deploy_spec("outputs logit")
    good: ClassVar[str] = deploy_spec("outputs logits")

    name: str
    known: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return f"the net has no output `{self.name}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str:
        return f"it has {list_words(self.known)}"


@final
@dataclass(frozen=True)
class FigureOfDroppedOutput(Message):
    """A contract names a metric that a deployed file cannot be judged by: it reads an output that
    `outputs` leaves out."""

    code: ClassVar[str] = "W1326"
    bad: ClassVar[str] = (
        train_spec("metric accuracy = accuracy(logits, label)").replace(
            "dense(10)", "dense(10)\n    output norm = mean(logits, 1)"
        )
        + "variant tiny of fit { apply quantize(stored8)  require val.accuracy >= 50% }\n"
        + "deploy tiny as onnx { outputs norm }\n"
    )
    good: ClassVar[str] = bad.replace("outputs norm", "outputs logits, norm")

    metric: str
    owner: str

    def title(self) -> str:
        return f"`{self.metric}` of `{self.owner}` reads an output that its deployment leaves out"

    def help(self) -> str:
        return "name that output in `outputs` of the `deploy` too, or require another figure"


@final
@dataclass(frozen=True)
class SeveralNets(Message):
    """A train with several nets is no net by itself: name the one that is meant."""

    code: ClassVar[str] = "W0644"

    train: str
    nets: tuple[str, ...]

    def title(self) -> str:
        return f"the train `{self.train}` has {len(self.nets)} nets"

    def label(self) -> str:
        return "which of them?"

    def help(self) -> str:
        return f"name one of them: `{self.train}.{self.nets[0]}`"


@final
@dataclass(frozen=True)
class PreprocessNameClash(Message):
    """A raw column that a deployed file takes has the name of one of its outputs or weights. With
    `preprocess`, raw columns are the inputs of the file, and each name in a file means one
    thing."""

    code: ClassVar[str] = "W1229"

    column: str
    other: str  # "an output", "a weight"

    def title(self) -> str:
        return f"the raw column `{self.column}` is called as {self.other} of the net"

    def label(self) -> str:
        return "both would stand in the file"

    def help(self) -> str:
        return "give the output or weight another name in the model"


@final
@dataclass(frozen=True)
class InputOfAnotherNet(Message):
    """A deployment puts the columns of a data item before a net, and the train gives the net what
    another net computes of them: the file would have to hold that net too.

    Put both nets into one model, or deploy without `preprocess`: the file then takes what the net
    takes.
    """

    code: ClassVar[str] = "W1281"
    bad: ClassVar[str] = (
        train_spec()
        + """model Head() {
    input logits: f32[batch, 10]
    output scores = logits -> dense(10)
}
train two on digits {
    net body = Net()
    net head = Head()
    scores = image -> body -> head
    minimize cross_entropy(scores, label) with sgd(lr=0.1)
    batch 64  epochs 2
}
deploy two.head as onnx { preprocess digits }
"""
    )
    good: ClassVar[str] = bad.replace("{ preprocess digits }", "{ dynamic batch }")

    input: str
    weight: str

    def title(self) -> str:
        return f"the input `{self.input}` comes from another net"

    def label(self) -> str:
        return f"what stands before it needs `{self.weight}`, which is not part of this net"

    def help(self) -> str:
        return "put both nets into one model, or leave `preprocess` out"


@final
@dataclass(frozen=True)
class PreprocessDoesNotFit(Message):
    """The columns of the data that `preprocess` names are not what the net takes."""

    code: ClassVar[str] = "W0645"

    input: str
    expected: str
    found: str  # the type of the column; empty where there is none

    def title(self) -> str:
        if not self.found:
            return f"the data has no column for the input `{self.input}`"
        return f"the column for the input `{self.input}` does not fit"

    def label(self) -> str:
        if not self.found:
            return f"the net takes {self.expected}"
        return f"it is {self.found} per row, the net takes {self.expected}"
