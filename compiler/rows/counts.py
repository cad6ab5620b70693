"""How many rows a data set has, and of how many each split is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.rows.loading import LoadedData


@dataclass(frozen=True)
class RowCounts:
    """How many rows a source has, how many of them `where` keeps, and of how many rows or windows
    each split is."""

    source: int
    kept: int
    windows: bool
    splits: Mapping[str, int]
    held: str
    """How they are held, where there are several ways."""

    @staticmethod
    def of(loaded: LoadedData) -> RowCounts:
        """Those of data that is loaded."""
        kept = loaded.total if loaded.numbers is None else len(loaded.numbers)
        splits = {name: len(rows) for name, rows in loaded.rows.items()}
        windows, held = loaded.data.window is not None, loaded.data.describe_hold()
        return RowCounts(loaded.total, kept, windows, splits, held)

    def describe(self) -> str:
        """In words."""
        kept = f", {self.kept:,} of them kept by `where`" if self.kept < self.source else ""
        splits = ", ".join(f"{name} {count:,}" for name, count in self.splits.items())
        what = "windows" if self.windows else "rows"
        held = f"; {self.held}" if self.held else ""
        return f"{self.source:,} rows{kept}; {what}: {splits}{held}"
