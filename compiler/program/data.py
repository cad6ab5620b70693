"""Data items: where rows come from, what is computed of them, and how they are divided."""

from __future__ import annotations

from compiler.data.base import Column, DataSource
from compiler.data.splitting import Split
from compiler.data.statistics import Statistic
from compiler.ir.graph import Graph
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.vocabulary.clauses import DATA, clause


@DATA.fills
@dataclass(frozen=True)
class DataSet:
    """A data item: a source, its raw columns, and the column expressions as one graph.

    `columns` runs on whole batches: its inputs are raw columns with a leading symbolic dim
    `rows`, its outputs the columns a train may use. Its buffers are statistics fitted on the
    training split (`standardize`, `fill`); `statistics` says how, in the order in which they can
    be fitted. `augment` goes from columns of a batch (leading dim `batch`) to those that it
    changes.
    """

    name: str
    schema: tuple[Column, ...]
    columns: Graph
    statistics: tuple[Statistic, ...] = ()
    doc: str = ""
    span: Span | None = None
    source: DataSource = clause('source csv("table.csv")', "where the rows come from")
    split: Split = clause(
        "split random(seed=0), train=80%, val=10%, test=10%",
        "how the rows are divided: random, in_order, or as given by the source",
    )
    augment: Graph | None = clause(
        "augment { image = image -> random_flip }",
        "changes columns of the training rows at random, batch by batch",
        default=None,
    )
