"""The source of a data item of another folder than that of the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

from numpy.typing import NDArray

from compiler.data.base import ChunkCode, Column, DataSource, LoadingCode, RowCode
from compiler.data.holding import Rows
from compiler.records import dataclass
from compiler.writing.python import write_string


@final
@dataclass(frozen=True)
class PlacedSource(DataSource):
    """A source whose paths start from another folder than that of the spec, by the path from there:
    that of a file which the spec uses. No spec names this class."""

    name: ClassVar[str] = "placed"
    written: ClassVar[bool] = False
    source: DataSource
    place: str

    def schema(self, folder: Path) -> tuple[Column, ...]:
        return self.source.schema(folder / self.place)

    def attributes(self, folder: Path) -> Mapping[str, int]:
        return self.source.attributes(folder / self.place)

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return self.source.load(folder / self.place)

    def ways(self) -> tuple[str, ...]:
        return self.source.ways()

    def open(self, folder: Path) -> Mapping[str, Rows]:
        return self.source.open(folder / self.place)

    def count_rows(self, folder: Path) -> int | None:
        return self.source.count_rows(folder / self.place)

    @property
    def local(self) -> DataSource:
        return self.source

    def describe_reading(self) -> Mapping[str, object]:
        return self.source.describe_reading()

    def overlap(self) -> int:
        return self.source.overlap()

    def given_splits(self, folder: Path) -> Mapping[str, int] | None:
        return self.source.given_splits(folder / self.place)

    def files(self, folder: Path) -> Sequence[Path]:
        return self.source.files(folder / self.place)

    def fingerprint(self, folder: Path) -> str:
        return self.source.fingerprint(folder / self.place)

    def held(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return self.source.held(folder / self.place)

    def beside(self, folder: Path) -> Mapping[str, str]:
        return self.source.beside(folder / self.place)

    def place_held(self, prefix: str) -> DataSource:
        return replace(self, source=self.source.place_held(prefix))

    def imports(self) -> Sequence[str]:
        return self.source.imports()

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        code = self.source.code(columns)
        if not code.reads_folder:
            return code
        return replace(code, lines=[f"folder = folder / {write_string(self.place)}", *code.lines])

    def row_code(self, columns: Sequence[Column]) -> RowCode:
        code = self.source.row_code(columns)
        return replace(code, lines=[f"folder = folder / {write_string(self.place)}", *code.lines])

    def chunk_code(self, columns: Sequence[Column]) -> ChunkCode:
        code = self.source.chunk_code(columns)
        return replace(code, lines=[f"folder = folder / {write_string(self.place)}", *code.lines])
