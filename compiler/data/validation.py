"""What only the numbers tell: empty splits, NaN, labels out of range, found before training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.data.batches import find_thin_norms
from compiler.data.loading import LoadedData, load_data
from compiler.data.rounding import check_rounding
from compiler.data.targets import check_columns, check_targets
from compiler.diagnostics import CompileError, Message, Sink
from compiler.messages.columns import FewOfAClass, NotANumber
from compiler.ops.base import Array
from compiler.program import Train


def validate_data(train: Train, sink: Sink) -> LoadedData | None:
    """Loads the data of a train and reports what would make its training fail or mean nothing.
    The loaded data, or None where it cannot be read."""
    try:
        loaded = load_data(train.data)
    except CompileError as error:
        for message in error.messages:
            sink.report(message)
        return None
    for message in find_faults(train, loaded):
        sink.report(message)
    return loaded


def find_faults(train: Train, loaded: LoadedData) -> Iterator[Message]:
    """Everything wrong with the numbers that a train reads."""
    data = loaded.data
    used = np.concatenate(list(loaded.rows.values()))
    for item in train.step.inputs:
        column = loaded.columns[item.name][used]
        if column.dtype.kind == "f":
            yield from _check_finite(loaded, item.name, column, used)
    yield from find_thin_norms(train, min(train.batch, len(loaded.rows["train"])))
    yield from _check_strata(loaded)
    yield from check_columns(data.columns, loaded, used)
    yield from check_targets(train, loaded)
    yield from check_rounding(train, loaded, used)


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
    yield FewOfAClass(split.span, split.stratify, shown, rows, splits, len(few) - 1)


def _check_finite(loaded: LoadedData, name: str, column: Array, rows: Array) -> Iterator[Message]:
    if np.isfinite(column).all():
        return
    flat = column.reshape(len(column), -1)
    broken = np.isnan(flat).any(1)
    infinite = not broken.any()
    if infinite:
        broken = np.isinf(flat).any(1)
    data, row = loaded.data, int(rows[broken].min())
    output = next(o for o in data.columns.outputs if o.name == name)
    computed = all(np.isfinite(a[row]).all() for a in loaded.raw.values() if a.dtype.kind == "f")
    yield NotANumber(output.origin or data.span, name, int(broken.sum()), row, infinite, computed)
