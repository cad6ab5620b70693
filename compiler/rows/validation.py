"""What only the numbers tell: empty splits, NaN, labels out of range, found before training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.data.holding import Rows, is_held
from compiler.ir.graph import Graph, Node
from compiler.ir.operands import Array
from compiler.program.joining import find_owner
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message, Sink
from compiler.report.messages.columns import few_of_a_class, not_a_number, nothing_to_fit
from compiler.rows.batches import find_thin_norms
from compiler.rows.copies import find_copies
from compiler.rows.fitting import evaluate_fitted
from compiler.rows.loading import LoadedData, load_data, load_parts, pair_rows
from compiler.rows.rates import find_rate_faults
from compiler.rows.rounding import check_rounding
from compiler.rows.targets import check_columns, check_targets
from compiler.rows.unseen import find_unseen


def validate_data(train: Train, sink: Sink) -> LoadedData | None:
    """Loads the data of a train and reports what would make its training fail or mean nothing.
    The loaded data, or None where it cannot be read."""
    try:
        return _validate(train, sink)
    except CompileError as error:
        for message in error.messages:
            sink.report(message)
        return None


def _validate(train: Train, sink: Sink) -> LoadedData:
    data = train.data
    parts = load_parts(data) if data.members else {}
    loaded = pair_rows(data, parts, data.members[0].name) if parts else load_data(data)
    for name in parts or ("",):
        rows = loaded if loaded.lead == name else pair_rows(data, parts, name)
        for message in find_faults(train, rows):
            sink.report(message)
    for part in parts.values():
        for message in _find_column_faults(part):
            sink.report(message)
    return loaded


def find_faults(train: Train, loaded: LoadedData) -> Iterator[Message]:
    """Everything wrong with the numbers that a train reads; of several data sets, with what leads
    to the rows at hand."""
    data = loaded.data
    used = loaded.divided_rows
    unfitted = _find_unfitted(loaded)
    told: set[str] = set()
    for item in train.graph.inputs:
        if data.members and find_owner(data, item.name).name != loaded.lead:
            continue
        broken = _find_broken(loaded, loaded.single[item.name], used)
        if broken is None:
            continue
        reasons = unfitted.get(item.name, {})
        yield from (message for path, message in reasons.items() if path not in told)
        told |= reasons.keys()
        if not reasons:
            yield _report_broken(loaded, item.name, broken, used)
    if not any(find_rate_faults(train)):  # which the check has reported
        yield from find_rate_faults(train, len(loaded.rows["train"]))
    yield from find_thin_norms(train, min(train.rows, len(loaded.rows["train"])))
    if not loaded.lead:
        yield from _find_column_faults(loaded)
        yield from find_copies(train, loaded)
        yield from find_unseen(loaded)
    yield from check_targets(train, loaded)
    yield from check_rounding(train, loaded)


def _find_column_faults(loaded: LoadedData) -> Iterator[Message]:
    """What is wrong with a data set, whatever is trained on it."""
    yield from _check_strata(loaded)
    yield from check_columns(loaded.data.columns, loaded)


def _check_strata(loaded: LoadedData) -> Iterator[Message]:
    """Classes with fewer rows than there are splits, where a split keeps their proportions."""
    split = loaded.data.split
    if split.stratify is None or loaded.labels is None:
        return
    values, counts = np.unique(loaded.labels, return_counts=True)
    few = np.flatnonzero(counts < len(split.names))
    if not len(few):
        return
    names = next(c.categories for c in loaded.data.schema if c.name == split.stratify)
    value = int(values[few[0]])
    shown = names[value] if value < len(names) else str(value)
    rows, splits = int(counts[few[0]]), len(split.names)
    yield few_of_a_class(split.span, split.stratify, shown, rows, splits, len(few) - 1)


def _find_unfitted(loaded: LoadedData) -> dict[str, dict[str, Message]]:
    """The columns that depend on statistics which no training row has a number for, with these by
    path."""
    data, graph = loaded.data, loaded.data.columns
    found: dict[str, dict[str, Message]] = {}
    for statistic in data.statistics:
        if not np.isnan(loaded.statistics[statistic.path]).any():
            continue
        rows = loaded.divided["train"]
        values = evaluate_fitted(graph, statistic, loaded.statistics, loaded.raw, rows)
        if np.isnan(values).all(0).any():
            node = next(n for n in graph.nodes if statistic.path in _name_inputs(n))
            message = nothing_to_fit(node.origin.span, node.op.name, len(rows))
            found.setdefault(node.outputs[0].name, {})[statistic.path] = message
    for node in graph.nodes:
        for name in _name_inputs(node) & found.keys():
            for value in node.outputs:
                found[value.name] = found.get(value.name, {}) | found[name]
    return {o.name: found[o.value.name] for o in graph.outputs if o.value.name in found}


def _name_inputs(node: Node) -> set[str]:
    return {value.name for value in node.inputs if value is not None}


@dataclass(frozen=True)
class _Broken:
    """Which rows of a column hold NaN, and which infinity."""

    missing: Array
    infinite: Array

    def choose(self, *, infinite: bool = False) -> tuple[Array, bool]:
        """The rows that hold NaN, or else infinity; and which of them it is."""
        if infinite or not self.missing.any():
            return self.infinite, True
        return self.missing, False


def _find_broken(loaded: LoadedData, column: Rows, rows: Array) -> _Broken | None:
    """The rows of a column that are not finite; None where all are. Where rows are not in memory,
    each is read."""
    if column.dtype.kind != "f":
        if not is_held(column):
            for piece in loaded.pieces(rows):
                column[piece]  # a file may be broken
        return None
    found = []
    for piece in loaded.pieces(rows):
        flat = np.asarray(column[piece]).reshape(len(piece), -1)
        found.append(_Broken(np.isnan(flat).any(1), np.isinf(flat).any(1)))
    missing, infinite = (
        np.concatenate([getattr(b, n) for b in found]) for n in ("missing", "infinite")
    )
    return _Broken(missing, infinite) if missing.any() or infinite.any() else None


def _report_broken(loaded: LoadedData, name: str, found: _Broken, rows: Array) -> Message:
    """The message of a column that is not finite everywhere; of the column of the source where
    the fault is in that one."""
    broken, infinite = found.choose()
    data = loaded.data
    output = next(o for o in data.columns.outputs if o.name == name)
    span, row = output.origin or data.span, int(rows[broken].min())
    for raw in _find_sources(data.columns, output.value.name):
        own = loaded.raw[raw][[row]]
        if own.dtype.kind != "f" or np.isfinite(own).all():
            continue
        known = _find_broken(loaded, loaded.raw[raw], rows)
        assert known is not None, "that row is not finite"
        broken, infinite = known.choose(infinite=bool(np.isinf(own).any()))
        row = int(loaded.name_rows(rows[broken]).min())
        return not_a_number(span, raw, int(broken.sum()), row, infinite, source=True)
    row = int(loaded.name_rows(rows[broken]).min())
    return not_a_number(span, name, int(broken.sum()), row, infinite)


def _find_sources(graph: Graph, name: str) -> list[str]:
    """The inputs that a value is computed from, in the order of the graph."""
    needed, pending = {name}, [name]
    while pending:
        node = graph.producers.get(pending.pop())
        found = _name_inputs(node) - needed if node is not None else set()
        needed |= found
        pending.extend(found)
    return [item.name for item in graph.inputs if item.name in needed]
