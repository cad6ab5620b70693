"""Rows of one split that stand in another as well."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.data.holding import is_held
from compiler.ir.operands import Array
from compiler.program.train import Train
from compiler.report.diagnostics import Message
from compiler.report.messages.series import same_rows
from compiler.rows.loading import LoadedData

LARGEST = 2**30
"""Bytes of columns that are compared: looking through more takes longer than it tells."""
TOLD = 0.01
"""The part of a split from which on copies are told."""
FEWEST = 20
"""Rows of a split: figures of fewer say little anyway."""


def find_copies(train: Train, loaded: LoadedData) -> Iterator[Message]:
    """Splits with rows that stand among the training rows too, in every column that a train reads.
    Windows of a series are left alone: a series may well repeat itself; so are rows that are not in
    memory."""
    data = loaded.data
    if data.members or data.window is not None or data.source.overlap():
        return
    columns = [c for item in train.graph.inputs if is_held(c := loaded.single[item.name])]
    rows = len(loaded.divided_rows)
    size = sum(array.nbytes // max(1, len(array)) for array in columns) * rows
    if size > LARGEST or len(columns) < len(train.graph.inputs):
        return
    training = loaded.divided["train"]
    known = set(list_rows(columns, training))
    if 2 * len(known) < len(training):
        return  # a table of few values: its rows are alike by chance
    for name, part in loaded.divided.items():
        if name == "train" or len(part) < FEWEST:
            continue
        found = sum(row in known for row in list_rows(columns, part))
        if found >= max(1, TOLD * len(part)):
            yield same_rows(data.split.span, name, found, len(part))


def list_rows(columns: list[Array], rows: Array) -> Iterator[int]:
    """What tells rows apart."""
    bytes_ = [np.ascontiguousarray(c[rows]).reshape(len(rows), -1).view(np.uint8) for c in columns]
    return (hash(row.tobytes()) for row in np.concatenate(bytes_, axis=1))
