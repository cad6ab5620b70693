"""Data items: where rows come from, what is computed of them, and how they are divided."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.data.balancing import Balance
from compiler.data.base import Column, DataSource
from compiler.data.holding import MEMORY, WAYS
from compiler.data.splitting import Split
from compiler.data.statistics import Statistic
from compiler.data.windows import Window
from compiler.ir.graph import Graph, Output
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.clauses import DATA, WordChoice, clause


@DATA.fills
@dataclass(frozen=True)
class DataSet:
    """A data item: a source, its raw columns, and the column expressions as one graph.

    `columns` runs on whole batches: its inputs are raw columns with a leading symbolic dim
    `rows`, its outputs the columns a train may use. Its buffers are statistics fitted on the
    training split (`standardize`, `fill`); `statistics` says how, in the order in which they can
    be fitted. `augment` goes from columns of a batch (leading dim `batch`) to those that it
    changes. `where` goes from raw columns to a boolean, which is true of a row that is kept.
    With a `window`, a row of a training is a window of rows; `source_rows` is the data item whose
    columns these are over windows, as a deployed file takes them.

    Those of a train on several data sets are `members` of one whose columns are called
    `digits.image`: names in all its graphs and figures are theirs behind that of their data set.
    Its split is that of the first, and its rows are pairs: a row of the first beside one of each
    other.
    """

    name: str
    schema: tuple[Column, ...]
    columns: Graph
    statistics: tuple[Statistic, ...] = ()
    doc: str = ""
    span: Span | None = None
    members: tuple[DataSet, ...] = ()
    source: DataSource = clause('source csv("table.csv")', "where the rows come from")
    where: Graph | None = clause(
        "where area > 0",
        "keeps the rows for which it holds, before they are divided",
        default=None,
        repeats=True,
    )
    split: Split = clause(
        "split random(seed=0), train=80%, val=10%, test=10%",
        "how the rows are divided: random, in_order, or as given by the source",
    )
    window: Window | None = clause(
        "window 24, ahead=1, by=day",
        "makes windows of consecutive rows, and takes targets some rows later",
        default=None,
    )
    balance: Balance | None = clause(
        "balance label",
        "repeats training rows of rare classes, so that all have as many",
        default=None,
    )
    augment: Graph | None = clause(
        "augment { image = image -> random_flip }",
        "changes columns of the training rows at random, batch by batch",
        default=None,
    )
    hold: str | None = clause(
        "hold streamed",
        "how rows are held: in memory, in a file that is mapped, or read whenever they are needed",
        WordChoice(WAYS),
        default=None,
    )
    source_rows: DataSet | None = None

    @property
    def is_lazy(self) -> bool:
        """Whether rows are read when they are needed, and not held in memory."""
        return self.hold not in (None, MEMORY)

    def describe_hold(self) -> str:
        """How rows are held, in words; empty where there is one way only."""
        if len(self.source.ways()) == 1:
            return ""
        return "in memory" if not self.is_lazy else str(self.hold)

    def type_columns(self, batch: str = "batch") -> Iterator[tuple[Output, TensorType]]:
        """The columns, and their types in a training, with the leading dim `batch`."""
        if self.members:
            types = {
                (member.name, output.name): kind
                for member in self.members
                for output, kind in member.type_columns(batch)
            }
            yield from zip(self.columns.outputs, types.values(), strict=True)
            return
        kinds: dict[tuple[int, bool], TensorType] = {}  # thousands of columns share a type
        targets = self.window.targets if self.window is not None else ()
        for output in self.columns.outputs:
            single, ahead = output.value.type, output.name in targets
            kind = kinds.get((id(single), ahead))
            if kind is None:
                shape = (Dim.of(batch), *single.shape[1:])
                window = self.window
                rows = 0 if window is None else len(window.steps) if ahead else window.length
                if rows:
                    shape = (shape[0], Dim.of(rows), *shape[1:])
                kind = kinds[id(single), ahead] = TensorType(single.dtype, shape)
            yield output, kind

    @property
    def parts(self) -> tuple[DataSet, ...]:
        """The data sets whose rows it has: the members, or itself."""
        return self.members or (self,)
