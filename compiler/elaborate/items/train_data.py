"""The data of a train: one set, or several of which every step takes a batch each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from compiler.data.joined import qualify
from compiler.elaborate.api import GraphContext
from compiler.elaborate.items.references import find_item
from compiler.elaborate.scopes.context import Body, FileScope
from compiler.elaborate.values.values import Known, Record, Refused, Val
from compiler.ir.graph import Graph
from compiler.ir.hint import HintName
from compiler.program.data import DataSet
from compiler.program.joining import find_owner, join_data
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.item_clauses import reference_missing
from compiler.report.messages.several_data import (
    ambiguous_column,
    data_not_read,
    data_twice,
    split_not_shared,
)
from compiler.report.source import Span
from compiler.text.tree.syntax import Argument, Reference
from compiler.text.tree.syntax import Data as DataItem
from compiler.text.tree.syntax import Train as TrainItem
from compiler.types.dims import Dim

OpenData = Callable[[FileScope, DataItem, Sequence[Argument], Body, Reference], DataSet | None]
"""Elaborates a data item with the arguments of a reference to it."""


@dataclass
class TrainData:
    """Finds what stands behind the `on` of a train, and makes its columns names."""

    scope: FileScope
    item: TrainItem
    open_data: OpenData

    def find(self, context: GraphContext) -> DataSet | None:
        """The data set, or the joined ones; None where something was refused, which is
        reported."""
        body, references = context.body, self.item.on
        name = f"the train `{self.item.name.text}`"
        if not references:
            form = f"train {self.item.name.text} of Model on data {{ … }}"
            body.report(reference_missing(self.item.name.span, name, "has no data", form))
            return None
        found = [self._open(reference, body) for reference in references]
        parts = [data for data in found if data is not None]
        if len(parts) < len(found):
            return None
        if len(parts) == 1:
            return parts[0]
        faults = list(self._find_faults(parts))
        for message in faults:
            body.report(message)
        return None if faults else join_data(parts)

    def _open(self, reference: Reference, body: Body) -> DataSet | None:
        found = find_item(self.scope, reference, DataItem, "data set")
        if found is None:
            return None
        owner, item = found
        return self.open_data(owner, item, reference.arguments or (), body, reference)

    def _find_faults(self, parts: Sequence[DataSet]) -> Iterator[Message]:
        """What keeps data sets from being trained on together: two of one name, or a split of the
        first that another lacks."""
        first, places = parts[0], [reference.span for reference in self.item.on]
        seen = {first.name: places[0]}
        for part, place in zip(parts[1:], places[1:], strict=True):
            if part.name in seen:
                yield data_twice(place, part.name, seen[part.name])
            seen.setdefault(part.name, place)
            lacking = tuple(n for n in first.split.names if n not in part.split.names)
            if lacking:
                yield split_not_shared(
                    place, part.name, lacking, first.name, part.split.span, first.split.span
                )

    # --- names ------------------------------------------------------------------------------

    def declare(self, context: GraphContext, data: DataSet) -> dict[str, Span]:
        """Makes the columns inputs with a leading dim `batch`. Parameters of the item hide
        columns of the same name. Returns where each column is from, by the name that it has
        alone."""
        body = context.body
        tensors: dict[str, Val] = {}
        for output, kind in data.type_columns():
            span = output.origin or self.item.on[0].span
            hidden = bool(data.members) or output.name in body.names[0]
            tensors[output.name] = context.add_input(output.name, kind, span, bound=not hidden)
        for column in data.schema:
            if column.trouble is not None:
                tensors.setdefault(column.name, Refused(column.trouble))
                if not data.members:
                    body.names[0].setdefault(column.name, Refused(column.trouble))
        if data.members:
            self._bind_members(body, data, tensors)
        body.names[0].setdefault("batch", Known(Dim.of("batch"), HintName("batch")))
        return {
            output.name: output.origin or self.item.on[0].span
            for part in data.parts
            for output in part.columns.outputs
        }

    def _bind_members(self, body: Body, data: DataSet, columns: dict[str, Val]) -> None:
        """Makes `digits.image` a name of every column, and `image` where one data set has it."""
        owners: dict[str, list[str]] = {}
        for reference, part in zip(self.item.on, data.members, strict=True):
            names = list(dict.fromkeys(o.name for o in part.columns.outputs))
            names += [c.name for c in part.schema if c.trouble is not None and c.name not in names]
            items = [(name, columns[qualify(part.name, name)]) for name in names]
            items += self._read_attributes(body, reference, names)
            body.names[0].setdefault(part.name, Record(tuple(items), f"the data set `{part.name}`"))
            for name in names:
                owners.setdefault(name, []).append(part.name)
        for name, parts in owners.items():
            value = columns[qualify(parts[0], name)]
            if len(parts) > 1:
                value = Refused(ambiguous_column(None, name, tuple(parts)))
            body.names[0].setdefault(name, value)

    def _read_attributes(
        self, body: Body, reference: Reference, taken: Sequence[str]
    ) -> Iterator[tuple[str, Val]]:
        """The numbers that a data set tells when compiling: `text.vocab`."""
        found = find_item(self.scope, reference, DataItem, "data set")
        attributes = body.session.data_attributes(*found, reference.span) if found else None
        for name, number in (attributes or {}).items():
            if name not in taken:
                yield name, Known(number)


def find_unread_data(item: TrainItem, graph: Graph, data: DataSet) -> list[Message]:
    """What is wrong where a train reads no column of one of several data sets."""
    read = {find_owner(data, column.name).name for column in graph.inputs}
    return [
        data_not_read(
            reference.span,
            item.name.text,
            part.name,
            tuple(output.name for output in part.columns.outputs),
        )
        for reference, part in zip(item.on, data.members, strict=False)
        if part.name not in read
    ]
