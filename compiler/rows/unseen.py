"""Classes that no training row has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.report.diagnostics import Message
from compiler.report.messages.series import class_not_trained
from compiler.rows.copies import FEWEST
from compiler.rows.loading import LoadedData


def find_unseen(loaded: LoadedData) -> Iterator[Message]:
    """Categories that a column has in another split only, where the training rows are not a
    few."""
    data, training = loaded.data, loaded.divided["train"]
    if data.members or len(training) < FEWEST:
        return
    for column in data.schema:
        codes = loaded.raw.get(column.name)
        if codes is None or not column.categories or len(codes.shape) > 1:
            continue
        known = set(np.unique(codes[training]).tolist())
        for name, rows in loaded.divided.items():
            counts = np.unique(codes[rows], return_counts=True)
            new = [
                (c, n)
                for c, n in zip(*map(np.ndarray.tolist, counts), strict=True)
                if c not in known
            ]
            if name == "train" or not new:
                continue
            words = tuple(column.categories[code] for code, _ in new)
            rows_of_new = sum(number for _, number in new)
            yield class_not_trained(data.split.span, column.name, words, name, rows_of_new)
