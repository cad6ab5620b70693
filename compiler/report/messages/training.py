"""Messages about train items: objective, parameter groups, settings, early stopping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import count, list_words
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class InputWithoutColumn(Message):
    """`train f of M on d` gives every input of the model the column of the same name, and the
    data has none of this name. Name another column in the reference: `of M(image=pixels)`."""

    code: ClassVar[str] = "W0610"
    bad: ClassVar[str] = (
        train_spec()
        .replace("input image", "input picture")
        .replace("logits = image", "logits = picture")
    )
    good: ClassVar[str] = train_spec()

    model: str
    input: str
    data: str
    columns: tuple[str, ...]
    suggestion: str | None
    declared: Span

    def title(self) -> str:
        return f"no column for the input `{self.input}` of `{self.model}`"

    def label(self) -> str:
        return f"`{self.data}` has {list_words(self.columns)}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.declared, "the input is declared here"),)

    def help(self) -> str:
        column = self.suggestion or (self.columns[0] if self.columns else "column")
        return f"name the column: `of {self.model}({self.input}={column})`"


@final
@dataclass(frozen=True)
class NameClash(Message):
    """In `train f of M on d` columns and outputs of the model are names of the same body, and two
    of them are called alike. Give the column or the output another name, or write the net in the
    body: `net m = M()`, `y = m(x)`."""

    code: ClassVar[str] = "W0611"
    bad: ClassVar[str] = train_spec(
        minimize="cross_entropy(label, label) with adamw(lr=1e-3)"
    ).replace("output logits", "output label")
    good: ClassVar[str] = train_spec()

    name: str
    model: str
    data: str
    declared: Span

    def title(self) -> str:
        return f"`{self.name}` is an output of `{self.model}` and a column of `{self.data}`"

    def labels(self) -> Sequence[Label]:
        return (Label(self.declared, "the output is declared here"),)

    def help(self) -> str:
        return (
            f"rename one, or write the net in the body: `net m = {self.model}()`, `scores = m(…)`"
        )


@final
@dataclass(frozen=True)
class LossIsNoNumber(Message):
    """What is minimised must be one number for the batch: an f32 tensor without axes. Losses take
    the mean over the batch by themselves; of anything else take `mean(…)` or `sum(…)`."""

    code: ClassVar[str] = "W0612"
    bad: ClassVar[str] = train_spec(minimize="(logits - 1) ** 2 with adamw(lr=1e-3)")
    good: ClassVar[str] = train_spec(minimize="mean((logits - 1) ** 2) with adamw(lr=1e-3)")

    found: str
    advice: str = ""

    def title(self) -> str:
        return "the objective is not one number"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return self.advice or None


@final
@dataclass(frozen=True)
class NoOptimizer(Message):
    """`minimize` says what, `with` says how: an optimizer and its learning rate."""

    code: ClassVar[str] = "W0613"
    bad: ClassVar[str] = train_spec(minimize="cross_entropy(logits, label)")
    good: ClassVar[str] = train_spec()

    def title(self) -> str:
        return "`minimize` has no optimizer"

    def help(self) -> str:
        return "write `with adamw(lr=1e-3)` behind the objective"


@final
@dataclass(frozen=True)
class UnknownWord(Message):
    """No optimizer, schedule, data source, way of splitting or setting has this name; `weft ops`
    lists them."""

    code: ClassVar[str] = "W0614"
    bad: ClassVar[str] = train_spec(minimize="cross_entropy(logits, label) with adam_w(lr=1e-3)")
    good: ClassVar[str] = train_spec()

    kind: str  # "optimizer", "data source"
    word: str
    known: tuple[str, ...]
    suggestion: str | None
    hint: str | None = None

    def title(self) -> str:
        return f"unknown {self.kind} `{self.word}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str | None:
        if self.hint is not None:
            return self.hint
        return f"there is {list_words(self.known)}" if self.known else None


@final
@dataclass(frozen=True)
class NothingTrained(Message):
    """The objective depends on no weight that is trained: no net is applied, its outputs do not
    reach the loss, or everything is frozen."""

    code: ClassVar[str] = "W0615"
    bad: ClassVar[str] = train_spec(
        minimize="mean(image) with adamw(lr=1e-3)",
    )
    good: ClassVar[str] = train_spec()

    reason: str

    def title(self) -> str:
        return "the objective trains nothing"

    def label(self) -> str:
        return self.reason


@final
@dataclass(frozen=True)
class PatternMatchesNothing(Message):
    """A pattern of parameter paths names no parameter. `weft show` lists the paths; `*` stands
    for any text, and a path without `*` means everything below it."""

    code: ClassVar[str] = "W0616"
    bad: ClassVar[str] = train_spec('freeze "stem.*"')
    good: ClassVar[str] = train_spec('freeze "dense.bias"')

    pattern: str
    paths: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return f'no parameter matches "{self.pattern}"'

    def label(self) -> str:
        return f'did you mean "{self.suggestion}"?' if self.suggestion else ""

    def help(self) -> str | None:
        return f"the parameters are {list_words(self.paths)}" if self.paths else None


@final
@dataclass(frozen=True)
class ClaimedTwice(Message):
    """Two groups of `minimize` claim the same parameter; it can follow one optimizer only."""

    code: ClassVar[str] = "W0617"
    bad: ClassVar[str] = train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "dense.*" '
        'with adamw(lr=1e-3) over "*.bias"'
    )
    good: ClassVar[str] = train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "dense.weight" '
        'with adamw(lr=1e-3) over "*.bias"'
    )

    path: str
    first: Span

    def title(self) -> str:
        return f"two groups claim `{self.path}`"

    def label(self) -> str:
        return "claimed again here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "first claimed here"),)


@final
@dataclass(frozen=True)
class GroupIsEmpty(Message):
    """Nothing is left for this optimizer: other groups claim every parameter that is trained, or
    those that its patterns name are frozen."""

    code: ClassVar[str] = "W0618"
    bad: ClassVar[str] = train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "dense.*" with adamw(lr=1e-3)'
    )
    good: ClassVar[str] = train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "*.bias" with adamw(lr=1e-3)'
    )

    def title(self) -> str:
        return "this optimizer has no parameters"

    def label(self) -> str:
        return "the other groups claim all of them, or they are frozen"


@final
@dataclass(frozen=True)
class NoGroupHolds(Message):
    """Every optimizer is limited by `over`, and parameters are left that none of them holds: they
    would never change, without having been frozen."""

    code: ClassVar[str] = "W1201"
    bad: ClassVar[str] = train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "*.bias"'
    )
    good: ClassVar[str] = train_spec(
        'freeze "*.weight"', minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "*.bias"'
    )

    paths: tuple[str, ...]

    def title(self) -> str:
        others = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"no optimizer holds `{self.paths[0]}`{others}"

    def label(self) -> str:
        return "this is the last group, and it is limited too"

    def help(self) -> str:
        return "add a `with` without `over`, which takes the rest, or `freeze` what is to stay"


@final
@dataclass(frozen=True)
class BadUntil(Message):
    """`until` stops a training early, by a figure of a split: `until stalled(val.accuracy,
    epochs=8)` stops when it has not improved for that many epochs."""

    code: ClassVar[str] = "W0619"
    bad: ClassVar[str] = train_spec("metric top = accuracy(logits, label)", "until val.top >= 99%")
    good: ClassVar[str] = train_spec(
        "metric top = accuracy(logits, label)", "until stalled(val.top, epochs=8)"
    )

    expected: str

    def title(self) -> str:
        return "this cannot end a training"

    def label(self) -> str:
        return self.expected

    def help(self) -> str:
        return "write `until stalled(val.loss, epochs=8)`, with a metric of this train or `loss`"


@final
@dataclass(frozen=True)
class UnknownFigure(Message):
    """A figure is named that this train does not have: a split that the data is not divided into,
    or a metric that is not declared.

    Figures of splits are `test.accuracy`, and `fit.test.accuracy` of the train's net before any
    pass. What is no figure of rows, `size` or `latency`, stands behind the train alone: `fit.size`
    is that of the net that the variant is made of, also where the train has several nets.
    """

    code: ClassVar[str] = "W0620"
    bad: ClassVar[str] = train_spec("until stalled(val.accuracy, epochs=8)")
    good: ClassVar[str] = train_spec("until stalled(val.loss, epochs=8)")

    kind: str  # "split" or "metric"
    word: str
    known: tuple[str, ...]
    suggestion: str | None
    figure: str = ""
    """What was asked for of it, as it is written where it is a figure of a whole net."""

    def title(self) -> str:
        return f"this train has no {self.kind} `{self.word}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str:
        if self.figure:
            return f"`{self.figure}` is that of the net before any pass, of no split"
        return f"it has {list_words(self.known)}"


@final
@dataclass(frozen=True)
class NetIsNoModel(Message):
    """A net that is trained is a model: it has named inputs, so that it can be stored, deployed
    and shown by itself."""

    code: ClassVar[str] = "W0621"
    bad: ClassVar[str] = train_spec(minimize="cross_entropy(scores, label) with adamw(lr=1e-3)")
    bad = bad.replace(
        "train fit of Net on digits {",
        "train fit on digits {\n    net head = dense(10)\n    scores = flatten(image) -> head",
    )
    good: ClassVar[str] = train_spec()

    name: str
    found: str

    def title(self) -> str:
        return f"the net `{self.name}` is no model"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str:
        return "put it into a model: `model Head() { input x: f32[batch, 64]  output y = … }`"


@final
@dataclass(frozen=True)
class ReservedFigure(Message):
    """A metric takes a name that means something else already: `loss` is the objective."""

    code: ClassVar[str] = "W0622"
    bad: ClassVar[str] = train_spec("metric loss = accuracy(logits, label)")
    good: ClassVar[str] = train_spec("metric accuracy = accuracy(logits, label)")

    name: str
    first: Span | None = None

    def title(self) -> str:
        if self.first is not None:
            return f"two metrics are called `{self.name}`"
        return f"no metric can be called `{self.name}`"

    def label(self) -> str:
        return "" if self.first is not None else "this is the objective"

    def labels(self) -> Sequence[Label]:
        return () if self.first is None else (Label(self.first, "the first one"),)


@final
@dataclass(frozen=True)
class TooFewClasses(Message):
    """A column has more categories than what reads it takes: a loss with fewer scores, or an
    embedding with fewer entries. `NAME.classes` and `NAME.vocab` are the right numbers."""

    code: ClassVar[str] = "W0623"
    bad: ClassVar[str] = train_spec().replace("dense(10)", "dense(9)")
    good: ClassVar[str] = train_spec()

    column: str
    categories: int
    taken: int
    reader: str  # "cross_entropy", "embedding"
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.column}` has {self.categories} categories, and `{self.reader}` takes fewer"

    def label(self) -> str:
        return f"takes {self.taken}"

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str:
        return f"there must be {self.categories}, one for each category"


@final
@dataclass(frozen=True)
class OneValuePerChannel(Message):
    """A batch norm subtracts the mean of each channel over the batch and divides by the deviation.
    Of a single value both say nothing: every row would become 0. That is so where a batch has one
    row, because of `batch 1` or of a training split with one row, and the channel has no other
    axes."""

    code: ClassVar[str] = "W1361"
    bad: ClassVar[str] = train_spec(sizes="batch 1  epochs 10").replace(
        "dense(10)", "batch_norm -> dense(10)"
    )
    good: ClassVar[str] = train_spec().replace("dense(10)", "batch_norm -> dense(10)")

    op: str
    found: str
    rows: int

    def title(self) -> str:
        return f"`{self.op}` has one value for each channel in a batch of {count(self.rows, 'row')}"

    def label(self) -> str:
        return f"takes the deviation of {self.found} over the batch"

    def help(self) -> str:
        return "train with more rows in a batch, or use `layer_norm` or `group_norm`"


@final
@dataclass(frozen=True)
class NothingRead(Message):
    """A train reads no column of its data's source: what it computes is the same for every row, so
    that no row says anything about it."""

    code: ClassVar[str] = "W1343"
    bad: ClassVar[str] = train_spec().replace(
        "image = image / 16", "image = ones([8, 8])\n    label = tensor(0)"
    )
    good: ClassVar[str] = train_spec()

    name: str
    columns: tuple[str, ...]

    def title(self) -> str:
        return f"the train `{self.name}` reads no column of its data"

    def label(self) -> str:
        return "every row is the same to it"

    def help(self) -> str:
        return f"its source has {list_words(self.columns)}"


@final
@dataclass(frozen=True)
class DetachedGroup(Message):
    """`over` limits the optimizer of the `with` before it. At the beginning of a line it looks as
    if it began a group of its own with the `with` behind it, which would be the reverse: so a
    group stands on one line, `with OPTIMIZER over PATTERNS`."""

    code: ClassVar[str] = "W1200"
    bad: ClassVar[str] = train_spec(
        minimize="cross_entropy(logits, label)\n        with adamw(lr=1e-2, weight_decay=5%)\n"
        '        over "*.bias" with adamw(lr=1e-2)'
    )
    good: ClassVar[str] = train_spec(
        minimize="cross_entropy(logits, label)\n        with adamw(lr=1e-2, weight_decay=5%)\n"
        '        with adamw(lr=1e-2) over "*.bias"'
    )

    optimizer: str  # "with adamw(lr=1e-2)"
    patterns: str  # 'over "*.bias"'

    def title(self) -> str:
        return "`over` begins a line behind a `with`"

    def label(self) -> str:
        return f"this would limit `{self.optimizer}`, the line above"

    def help(self) -> str:
        return (
            f"write `{self.optimizer} {self.patterns}` on one line if that is meant, or put "
            f"`{self.patterns}` behind the optimizer that it is for"
        )


@final
@dataclass(frozen=True)
class BatchImpossible(Message):
    """Something in a train fits together for another number of rows only than its batches have.

    The first axis of all columns in a train is that of the rows, `batch`. Where a tensor has lost
    it, or has it elsewhere, its shape agrees with those of others by chance or not at all:
    `stack([price])` of a column `[batch]` is `[1, batch]`.
    """

    code: ClassVar[str] = "W1422"

    needed: str
    batch: int

    def title(self) -> str:
        return f"this does not fit batches of {count(self.batch, 'row')}"

    def label(self) -> str:
        return f"holds where {self.needed} only"

    def help(self) -> str:
        return "keep the axis of the rows first: `stack([a, b], axis=1)`, `x[:, 0]`"
