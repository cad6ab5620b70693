"""Predictions of a deployed file for the rows of a table: read as those of the training were."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.session import Session
from compiler.data.drift import find_outside, warn_outside
from compiler.data.given_rows import read_rows
from compiler.data.raw_columns import RawRows
from compiler.data.windows import Window
from compiler.report.diagnostics import CompileError, Fault, Label, Message
from compiler.report.messages.deployed_rows import (
    no_window_of_rows,
    not_for_a_table,
    takes_no_rows,
)
from compiler.report.messages.files import bad_input
from compiler.report.messages.series import irregular_steps
from compiler.report.source import Span

Array = NDArray[Any]
CHUNK = 1024
"""Rows that the file is run on together, where it takes any number."""
ROW = "row"
"""What a table of predictions calls the number of a row."""


class Nowhere:
    """The place of what stands in no spec."""

    call: Span | None = None

    def argument(self, name: str) -> Span | None:
        """None."""
        return None

    def operand(self, index: int) -> Label:
        """Never asked for: files have no operands."""
        raise NotImplementedError


@dataclass(frozen=True)
class Predictions:
    """What a file puts out, `[rows, …]` by output: `numbers` are those of the rows in the table,
    from 0 on; of windows, of their last rows. `labels` are the classes that the file knows,
    `warning` says which rows lie outside of what the net was trained on."""

    numbers: Array
    outputs: Mapping[str, Array]
    labels: tuple[str, ...]
    warning: Message | None

    def heads(self) -> list[str]:
        """The names of the columns of a table of them.

        Raises:
            CompileError: an output has too many axes for a table.
        """
        heads = [ROW]
        for name, array in self.outputs.items():
            if array.ndim > 2:
                shape = ", ".join(map(str, array.shape[1:]))
                raise CompileError([not_for_a_table(None, name, f"[{shape}] for each row")])
            if array.ndim == 2:
                size = array.shape[1]
                parts = self.labels if len(self.labels) == size else map(str, range(size))
                heads += [f"{name}[{part}]" for part in parts]
            else:
                heads.append(name)
        return heads

    def lines(self) -> Iterator[list[str]]:
        """The rows of the table."""
        columns: list[Array] = [self.numbers]
        for array in self.outputs.values():
            columns += list(array.T) if array.ndim == 2 else [array]
        # As text, a number of f32 has as many digits as tell it from the next one.
        texts = (column.astype(str).tolist() for column in columns)
        yield from map(list, zip(*texts, strict=True))

    def write_csv(self, file: TextIO) -> None:
        """Writes the table with a head."""
        heads = self.heads()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(self.lines())

    def write_json_lines(self, file: TextIO) -> None:
        """Writes an object for each row."""
        for place, number in enumerate(self.numbers.tolist()):
            found = {name: array[place].tolist() for name, array in self.outputs.items()}
            file.write(json.dumps({ROW: number, **found}, ensure_ascii=False) + "\n")


def predict(session: Session, model: Path, table: Path) -> Predictions:
    """What a file makes of the rows of a table.

    Raises:
        CompileError: the file does not say which rows it takes, the table has others, or ONNX
            Runtime refuses them.
    """
    known = session.rows
    if known is None:
        raise CompileError([takes_no_rows(None, str(model), session.inputs)])
    rows = _read(known, table)
    warning = _find_warning(known, rows)
    numbers = np.arange(len(next(iter(rows.values()))))
    inputs = {column.name: rows[column.name] for column in known.columns}
    if known.window is not None:
        inputs, numbers = _make_windows(known, known.window, rows)
    outputs = _run(session, inputs, len(numbers))
    return Predictions(numbers, outputs, session.labels, warning)


def _read(known: RawRows, table: Path) -> dict[str, Array]:
    """The rows of the columns and keys that a file takes."""
    taken = {column.name for column in known.columns}
    keys = [key for key in known.keys if key.name not in taken]
    try:
        names = [key.name for key in keys]
        return read_rows(table, (*known.columns, *keys), known.reading, names)
    except Fault as fault:
        raise CompileError([fault.make(Nowhere())]) from fault  # type: ignore[arg-type]


def _find_warning(known: RawRows, rows: Mapping[str, Array]) -> Message | None:
    total = len(next(iter(rows.values())))
    return warn_outside(list(find_outside(known.columns, rows)), total)


def _make_windows(
    known: RawRows, window: Window, rows: Mapping[str, Array]
) -> tuple[dict[str, Array], Array]:
    """The windows of rows by column, and the number of the last row of each.

    Raises:
        CompileError: there is none, or rows do not follow one another as they have to.
    """
    total = len(next(iter(rows.values())))
    order = window.sort(rows)
    numbers = np.arange(total) if order is None else order
    sorted_rows = {name: array[numbers] for name, array in rows.items()}
    wrong = window.find_irregular(sorted_rows, total)
    if wrong is not None:
        place = int(numbers[wrong.row])
        raise CompileError([irregular_steps(None, window.by or "", place, wrong)])
    stretches = window.number_stretches(sorted_rows, total)
    starts = window.find_starts(np.arange(total), stretches)
    if not len(starts):
        raise CompileError([no_window_of_rows(None, total, window.length)])
    inputs = {c.name: window.view(c.name, sorted_rows[c.name])[starts] for c in known.columns}
    return inputs, numbers[starts + window.length - 1]


def _run(session: Session, inputs: Mapping[str, Array], count: int) -> dict[str, Array]:
    """The outputs that have an entry for each row, a number of rows at a time."""
    size = session.batch or CHUNK
    parts = []
    for start in range(0, count, size):
        given = {name: array[start : start + size] for name, array in inputs.items()}
        try:
            parts.append(session.run_rows(given))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise CompileError(
                [bad_input(None, f"the model refuses the rows: {reason}")]
            ) from error
    names = [name for name, array in parts[0].items() if array.shape[:1] == (min(size, count),)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
