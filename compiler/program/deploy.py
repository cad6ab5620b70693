"""Deployments: which net goes into which file, and what stands around it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from functools import cached_property

from compiler.data.class_names import ClassNames
from compiler.data.raw_columns import RawColumn, RawRows
from compiler.ir.graph import Graph
from compiler.program.data import DataSet
from compiler.program.net import Net
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.vocabulary.clauses import DEPLOY, clause

OLDEST_OPSET = 18
"""The oldest ONNX opset that is written."""
NEWEST_OPSET = 26
"""The newest ONNX opset that is written: the newest that ONNX Runtime 1.31 runs."""


@DEPLOY.fills
@dataclass(frozen=True)
class Deploy:
    """`deploy subject as onnx { … }`: exactly one of `net`, `train` and `variant` is set.

    `graph` is what is lowered: outputs pruned, preprocessing put before it. Of a variant it is
    the net before any pass: `outputs` and `preprocess` are put to the net that comes out, whose
    inputs were given the `columns`. `trained` is the name of the net in its train. `classes` are
    the outputs that the file has beside those of the graph, where its classes have `labels`.
    """

    name: str
    target: str
    graph: Graph
    net: Net | None
    train: str | None
    span: Span | None = None
    variant: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    trained: str = ""
    classes: ClassNames | None = None
    dynamic: tuple[str, ...] | None = clause(
        "dynamic batch",
        "sizes that stay open; all of them without this clause",
        default=None,
    )
    fixed: tuple[tuple[str, int], ...] = clause(
        "fix h=224, w=224", "sizes that get a number", default=(), repeats=True
    )
    opset: int = clause("opset 21", "version of the ONNX operator set", default=21)
    labels: tuple[str, ...] = clause(
        'labels ["no", "yes"]', "names of the classes, stored in the file", default=()
    )
    outputs: tuple[str, ...] = clause(
        "outputs logits", "the outputs that are kept, in this order", default=()
    )
    preprocess: DataSet | None = clause(
        "preprocess digits", "puts the columns of a data item before the net", default=None
    )
    verify: bool = clause(
        "verify off",
        "keeps the file although nobody holds it against its meaning",
        default=True,
    )

    @cached_property
    def raw_rows(self) -> RawRows | None:
        """The rows that the file takes, without what those of the training tell; None where its
        inputs are no raw columns."""
        data = self.preprocess
        if data is None:
            return None
        reading = data.source.describe_reading()
        marks = reading.get("missing", ())
        assert isinstance(marks, tuple), "marks are words"
        known = {column.name: RawColumn(column, marks=marks) for column in data.schema}
        columns = tuple(known[i.name] for i in self.graph.inputs if i.name in known)
        if data.window is None:
            return RawRows(columns, reading)
        window = replace(data.window, ahead=0, steps=(), targets=(), stride=1, span=None)
        return RawRows(columns, reading, window, tuple(known[name] for name in window.keys))

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        """The words of inputs that take words, by name."""
        return self.raw_rows.words if self.raw_rows is not None else {}
