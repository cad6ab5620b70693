"""Messages about the columns of a data item: expressions, splits, and the numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity
from compiler.report.messages.wording import count, list_words
from compiler.report.source import Span

SPLIT = "    split random(seed=0), train=80%, val=20%\n}\n"


def digits_spec(*lines: str) -> str:
    """A spec of the digits with these lines in its data item."""
    body = "".join(f"    {line}\n" for line in lines)
    return f'data digits {{\n    source sklearn("digits")\n{body}{SPLIT}'


@final
@dataclass(frozen=True)
class NotPerRow(Message):
    """Column expressions say what happens to one row, and are computed for all rows at once. A
    few layers cannot be: those that mix values in a way that has no batched form."""

    code: ClassVar[str] = "W0720"
    bad: ClassVar[str] = digits_spec("total = sum(cast(label, f32))")
    good: ClassVar[str] = digits_spec("total = sum(cast(image, f32))")

    op: str

    def title(self) -> str:
        return f"`{self.op}` cannot be computed for all rows at once"

    def label(self) -> str:
        return "column expressions act on one row"

    def help(self) -> str:
        return "move it into the model, where it acts on a batch"


@final
@dataclass(frozen=True)
class EmptySplit(Message):
    """A split holds no row: its share is too small for so few rows, or the shares before it take
    them all."""

    code: ClassVar[str] = "W0721"

    split: str
    rows: int

    def title(self) -> str:
        return f"the split `{self.split}` holds no row"

    def label(self) -> str:
        return f"the data has {count(self.rows, 'row')}"


@final
@dataclass(frozen=True)
class TooFewRows(Message):
    """The numbers of rows of the splits add up to more than the data has."""

    code: ClassVar[str] = "W0722"

    wanted: int
    rows: int

    def title(self) -> str:
        return f"the splits take {count(self.wanted, 'row')}, and the data has {self.rows:,}"

    def help(self) -> str:
        return "shares in percent fit any number of rows: `train=80%, val=20%`"


@final
@dataclass(frozen=True)
class NotANumber(Message):
    """A column that the training reads holds NaN or infinity: the loss would be NaN from then on.

    Empty cells of a table are NaN until `fill` replaces them; a logarithm of 0 and a division by
    0 give infinity.
    """

    code: ClassVar[str] = "W0723"

    column: str
    cells: int
    row: int
    infinite: bool
    source: bool = False
    """Whether the column is one of the source; else it is computed from columns that have numbers
    in that row."""

    def title(self) -> str:
        what = "infinity" if self.infinite else "NaN"
        place = " in the source" if self.source else ""
        return f"the column `{self.column}` holds {what}{place}"

    def label(self) -> str:
        return f"in {count(self.cells, 'row')}, the first is row {self.row:,}"

    def help(self) -> str:
        if self.source and self.infinite:
            return f"give the rows a number in the data, or `clip({self.column}, -1e6, 1e6)`"
        if self.source:
            return f'`{self.column} = fill({self.column}, "median")` replaces empty cells'
        if self.infinite:
            return "logarithms of 0 and divisions by 0 give infinity: `log(x + 1)`, `x / (y + 1)`"
        return "no cell is empty there: `log` and `sqrt` of what is below 0 give NaN, and 0 / 0"


@final
@dataclass(frozen=True)
class NothingToFit(Message):
    """`fill` and `standardize` take their figures from the rows of the split `train`, where all
    cells of the column are missing: of nothing there is no mean and no median."""

    code: ClassVar[str] = "W1342"

    op: str
    rows: int

    def title(self) -> str:
        return f"`{self.op}` finds no number in the training rows"

    def label(self) -> str:
        return f"{count(self.rows, 'row')}, and the cell of each is missing"

    def help(self) -> str:
        return "leave the column out, or give a number for what is missing: `fill(x, 0)`"


_MOST_SHIFTED = 1_000_000
"""The farthest from 0 that a number may be to be taken for that of a class."""


@final
@dataclass(frozen=True)
class LabelOutOfRange(Message):
    """A target in the data lies outside of what a loss or a metric takes: a class number that is
    below 0, or not below the number of scores of the net; a probability above 1; a distribution
    that does not add up to 1. Rows of all splits are looked at, before any training."""

    code: ClassVar[str] = "W0724"

    column: str
    row: int
    found: float
    taken: str  # "0 to 9"
    reader: str  # "cross_entropy", "embedding"
    numbers: tuple[float, float]  # the least and the largest
    places: bool = False  # whether they are class numbers, or entries of a table
    sums: bool = False  # whether what was found is the sum of a distribution

    def title(self) -> str:
        return f"the column `{self.column}` holds numbers that `{self.reader}` does not take"

    def label(self) -> str:
        if self.sums:
            return f"probabilities add up to 1; those of row {self.row:,} to {self.found:g}"
        return f"takes {self.taken}; row {self.row:,} has {self.found:g}"

    def help(self) -> str | None:
        least, largest = self.numbers
        if self.places and -_MOST_SHIFTED <= self.found < 0:
            ignored = f", or leave them out: `ignore_index={self.found:g}`"
            shifted = f"`{self.column} = {self.column} + {-self.found:g}`"
            return f"number the classes from 0: {shifted}{ignored}"
        if self.places:
            if largest >= _MOST_SHIFTED or self.found < 0:
                return f"they lie between {least:g} and {largest:g}: these are no class numbers"
            return f"`{self.reader}` would have to take {largest + 1:g} numbers"
        return f"they lie between {least:g} and {largest:g}"


@final
@dataclass(frozen=True)
class NothingCounts(Message):
    """Every label of a split is one that a metric or a loss ignores, or has the weight 0, so that
    its figure would be that of nothing."""

    code: ClassVar[str] = "W1210"

    metric: str
    split: str
    ignored: int | None
    """The label that all of them are; None where masks or weights are the reason."""

    def title(self) -> str:
        return f"no label of the split `{self.split}` counts for `{self.metric}`"

    def label(self) -> str:
        if self.ignored is None:
            return "its mask or its weight leaves out all of them"
        return f"all of them are {self.ignored}, which it ignores"

    def help(self) -> str:
        other = "mask or weight" if self.ignored is None else "`ignore_index`"
        return f"divide the rows at random, or choose another {other}"


@final
@dataclass(frozen=True)
class WeightsInData(Message):
    """A layer with weights stands in a column expression. Columns are computed before training
    and are not trained: only `standardize` and `fill` hold figures there, fitted on the training
    rows."""

    code: ClassVar[str] = "W0725"
    bad: ClassVar[str] = digits_spec("image = (image / 16) -> flatten -> dense(3)")
    good: ClassVar[str] = digits_spec("image = (image / 16) -> flatten")

    op: str

    def title(self) -> str:
        return f"`{self.op}` has weights, and columns are not trained"

    def help(self) -> str:
        return "move it into the model"


@final
@dataclass(frozen=True)
class NoiseInData(Message):
    """A layer that acts in training only stands in a column expression. Columns are computed once,
    before training, the same for every epoch and for the deployed file: `dropout` would do nothing
    there."""

    code: ClassVar[str] = "W1359"
    bad: ClassVar[str] = digits_spec("image = (image / 16) -> dropout(20%)")
    good: ClassVar[str] = digits_spec("image = image / 16")

    op: str

    def title(self) -> str:
        return f"`{self.op}` does nothing in data"

    def label(self) -> str:
        return "acts in training only, and columns are computed before"

    def help(self) -> str:
        return "move it into the model, or into the train"


@final
@dataclass(frozen=True)
class BadShares(Message):
    """The shares of a split are parts of the rows (`80%`, `0.8`) or whole numbers of rows (`500`,
    `1`), for `train`, `val` and `test`, and parts add up to 100% at most."""

    code: ClassVar[str] = "W0726"
    bad: ClassVar[str] = digits_spec().replace("val=20%", "val=30%")
    good: ClassVar[str] = digits_spec()

    reason: str
    advice: str = "write `train=80%, val=10%, test=10%`"

    def title(self) -> str:
        return "the rows cannot be divided like this"

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return self.advice or None


@final
@dataclass(frozen=True)
class SplitDoesNotFit(Message):
    """The way of splitting does not fit the source: only some sources bring splits of their own,
    and windows over one text must be divided in order, or the same characters would be trained on
    and tested."""

    code: ClassVar[str] = "W0727"
    bad: ClassVar[str] = digits_spec().replace(
        "split random(seed=0), train=80%, val=20%", "split given"
    )
    good: ClassVar[str] = digits_spec()

    method: str
    reason: str
    advice: str

    def title(self) -> str:
        return f"`{self.method}` does not fit this source"

    def label(self) -> str:
        return self.reason

    def help(self) -> str:
        return self.advice


@final
@dataclass(frozen=True)
class CannotStratify(Message):
    """A split is stratified by a raw column of classes: whole numbers or words, one per row."""

    code: ClassVar[str] = "W0728"
    bad: ClassVar[str] = digits_spec().replace("seed=0", "seed=0, stratify=image")
    good: ClassVar[str] = digits_spec().replace("seed=0", "seed=0, stratify=label")

    column: str
    found: str  # its type; empty where there is none
    known: tuple[str, ...]
    suggestion: str | None = None

    def title(self) -> str:
        if not self.found:
            return f"the source has no column `{self.column}`"
        return f"`{self.column}` holds no classes"

    def label(self) -> str:
        if self.found:
            return f"it is {self.found}"
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str | None:
        return f"columns with classes are {list_words(self.known)}" if self.known else None


@final
@dataclass(frozen=True)
class FewOfAClass(Message):
    """A split is stratified, and a class has fewer rows than there are splits: some split holds
    none of it. Where that is `train`, the net never sees the class."""

    code: ClassVar[str] = "W1228"
    severity: ClassVar[Severity] = Severity.WARNING

    column: str
    value: str
    rows: int
    splits: int
    others: int
    """How many more classes have as few rows."""

    def title(self) -> str:
        return f"classes of `{self.column}` have fewer rows than there are splits"

    def label(self) -> str:
        more = f"; of others too, {self.others:,} in all" if self.others else ""
        return f"`{self.value}` has {count(self.rows, 'row')} for {self.splits} splits{more}"

    def help(self) -> str:
        return "leave these rows out, or join rare classes into one"


@final
@dataclass(frozen=True)
class RoundedAway(Message):
    """Numbers are rounded, and their differences are lost: f32 holds every whole number up to 2^24
    = 16,777,216, and every 128th where the seconds of today's dates are, f64 every one up to 2^53.
    Dates of one hour are then some thirty different numbers, and so are measurements such as
    1000000000.01 and 1000000000.02.

    Differences are exact where something near is subtracted first: `hour - 1709294400`.
    `standardize(hour)` subtracts the mean before it rounds to f32. Columns whose numbers f32 does
    not tell apart are f64. Reported where the rounding is more than a thousandth of the standard
    deviation of the column, or leaves less than half of its different numbers.
    """

    code: ClassVar[str] = "W1377"
    severity: ClassVar[Severity] = Severity.WARNING

    column: str
    range: tuple[float, float]
    distinct: tuple[int, int]
    """Different numbers before and after the rounding."""
    dtype: str
    plain: bool
    """Whether it is a column as it comes, and no expression of some."""
    fitted: bool
    """Whether `standardize` can be used there."""

    def title(self) -> str:
        before, after = self.distinct
        what = f"`{self.column}`" if self.plain else f"numbers of `{self.column}`"
        return f"rounding {what} to {self.dtype} leaves {after:,} of {before:,} different numbers"

    def label(self) -> str:
        low, high = map(_write_exactly, self.range)
        return f"numbers from {low} to {high} become {self.dtype} here"

    def help(self) -> str:
        column = self.column if self.plain else "x"
        kind = "a whole number" if isinstance(self.range[0], int) else "a number"
        first = f"subtract {kind} first: `{column} - {_write_exactly(self.range[0])}`"
        exact = f", or write `standardize({column})`, which subtracts the mean before it rounds"
        return first + exact if self.fitted and self.plain else first


def _write_exactly(number: float) -> str:
    return f"{number}" if isinstance(number, int) else f"{number:.16g}"


@final
@dataclass(frozen=True)
class UnknownFact(Message):
    """`NAME.x` reads a number that the data tell when compiling: `vocab` of a text, `classes` of
    data with labelled classes."""

    code: ClassVar[str] = "W0729"
    bad: ClassVar[str] = digits_spec() + (
        "model M() {\n    input x: f32[batch, 64]\n    output y = x -> dense(digits.clases)\n}\n"
    )
    good: ClassVar[str] = digits_spec() + (
        "model M() {\n    input x: f32[batch, 64]\n    output y = x -> dense(digits.classes)\n}\n"
    )

    data: str
    name: str
    known: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return f"the data item `{self.data}` tells no `{self.name}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str:
        if not self.known:
            return "this source tells nothing when compiling"
        return f"it tells {list_words(self.known)}"


@final
@dataclass(frozen=True)
class ParameterHidesColumn(Message):
    """A parameter of a data item has the name of one of its raw columns, so that the name means
    two things."""

    code: ClassVar[str] = "W0730"
    bad: ClassVar[str] = digits_spec().replace("data digits {", "data digits(label: int = 3) {")
    good: ClassVar[str] = digits_spec("image = image + shift").replace(
        "data digits {", "data digits(shift: float = 0.5) {"
    )

    name: str
    source: Span

    def title(self) -> str:
        return f"`{self.name}` is a parameter and a column"

    def label(self) -> str:
        return "the parameter needs another name"

    def labels(self) -> Sequence[Label]:
        return (Label(self.source, f"this source has a column `{self.name}`"),)


@final
@dataclass(frozen=True)
class OnlyInData(Message):
    """`standardize` and `fill` take figures of the training rows, which only a data item has. In
    a model, `batch_norm` and `layer_norm` are their like."""

    code: ClassVar[str] = "W0731"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 4]\n    output y = x -> standardize -> dense(3)\n}\n"
    )
    good: ClassVar[str] = digits_spec("image = image -> standardize")

    op: str

    def title(self) -> str:
        return f"`{self.op}` belongs into a data item"

    def label(self) -> str:
        return "there are no training rows here"


@final
@dataclass(frozen=True)
class ColumnNamedAsWeight(Message):
    """A column has the name of a weight beside it. In `train f of M on d` the columns of `d` and
    the weights of `M` are names of the same graph, and each means one thing there."""

    code: ClassVar[str] = "W1230"
    bad: ClassVar[str] = (
        digits_spec()
        + "model M() {\n    input image: u8[batch, 8, 8]\n    param label: f32[10] = zeros\n"
        "    output y = (cast(image, f32) -> flatten(1) -> dense(10)) + label\n}\n"
        "train fit of M on digits {\n"
        "    minimize cross_entropy(y, label) with sgd(lr=0.1)\n    batch 8  epochs 1\n}\n"
    )
    good: ClassVar[str] = digits_spec()

    name: str
    column: Span | None

    def title(self) -> str:
        return f"`{self.name}` is a weight and a column"

    def label(self) -> str:
        return "the weight needs another name"

    def labels(self) -> Sequence[Label]:
        return (Label(self.column, "the column is made here"),) if self.column is not None else ()

    def help(self) -> str:
        return "or write the net in the body: `net m = M()`; its weights are then called `m.…`"
