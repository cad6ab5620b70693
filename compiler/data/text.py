"""Text files, character by character: windows of characters and the characters after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode
from compiler.data.files import find_file, read_text, refuse_file, refuse_setting
from compiler.records import dataclass
from compiler.types.tensor import TensorType
from compiler.writing.python import write_path


@SOURCES.register
@final
@dataclass(frozen=True)
class Text(DataSource):
    """A text file as training rows of a character model.

    The vocabulary are the characters of the file in sorted order; `NAME.vocab` is how many. A row
    is a window: `tokens: i64[context]`, and `target: i64[context]`, the same moved on by one. Row
    i starts at character `i * stride`. `split in_order` divides the text by position, and leaves
    out the rows that would share a character with the split before.

    - `path`: the file (UTF-8), relative to the spec's folder.
    - `context`: characters in a row.
    - `stride`: characters from the start of one row to the next; `context` where it is not given,
      so that rows do not overlap.

    Example: `source text("book.txt", context=32)`, `split in_order, train=80%, val=10%, test=10%`
    Source: Karpathy 2015, https://karpathy.github.io/2015/05/21/rnn-effectiveness/
    """

    name: ClassVar[str] = "text"
    counted: ClassVar[Mapping[str, str]] = {"vocab": "tokens"}
    path: str
    context: int = 64
    stride: int | None = None

    @property
    def step(self) -> int:
        """The stride that is meant."""
        return self.context if self.stride is None else self.stride

    def check(self) -> None:
        if self.context < 1:
            refuse_setting(self.name, "context", self.context, "1 or above")
        if self.step < 1:
            refuse_setting(self.name, "stride", self.stride, "1 or above")

    def schema(self, folder: Path) -> tuple[Column, ...]:
        text = self._read(folder)
        row = TensorType.of("i64", (self.context,))
        characters = tuple(sorted(set(text)))
        if len(text) <= self.context:
            reason = f"it has {len(text):,} characters, and a row takes {self.context + 1:,}"
            refuse_file(self.path, reason)
        return tuple(Column(name, row, categories=characters) for name in ("tokens", "target"))

    def attributes(self, folder: Path) -> Mapping[str, int]:
        return {"vocab": len(set(self._read(folder)))}

    def overlap(self) -> int:
        # A row reads context + 1 characters, so rows `stride` apart share one even where the
        # windows of tokens do not.
        return -(-(self.context + 1) // self.step) - 1

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        points = np.frombuffer(self._read(folder).encode("utf-32-le"), np.uint32)
        _, codes = np.unique(points, return_inverse=True)
        rows = sliding_window_view(codes.astype(np.int64), self.context + 1)[:: self.step]
        return {"tokens": rows[:, :-1], "target": rows[:, 1:]}

    def files(self, folder: Path) -> Sequence[Path]:
        return [find_file(folder, self.path)]

    def imports(self) -> Sequence[str]:
        return ["from numpy.lib.stride_tricks import sliding_window_view"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        windows = f"sliding_window_view(codes.astype(np.int64), {self.context + 1})"
        slices = {"tokens": "rows[:, :-1]", "target": "rows[:, 1:]"}
        lines = [
            f'text = ({write_path(self.path)}).read_text(encoding="utf-8-sig")',
            "_, codes = np.unique(list(text), return_inverse=True)",
            f"rows = {windows}" + (f"[::{self.step}]" if self.step > 1 else ""),
        ]
        return LoadingCode(lines, {c.name: slices[c.name] for c in columns})

    def _read(self, folder: Path) -> str:
        text = read_text(find_file(folder, self.path), self.path)
        return text.replace("\r\n", "\n").replace("\r", "\n")
