"""Data for a net that was trained on other rows: its words have the codes that they had then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar, final

from numpy.typing import NDArray

from compiler.data.base import ChunkCode, Column, DataSource, LoadingCode, RowCode
from compiler.data.codes import TrainedWords
from compiler.data.holding import Rows, map_codes
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.training_runs import other_words

R = TypeVar("R", bound=Rows)


@final
@dataclass(frozen=True, eq=False)
class Recoded(DataSource):
    """A source of which some columns hold words of a training, all of them or a few: their
    categories are those of the training, in its order. Words that the training has not seen are
    refused."""

    name: ClassVar[str] = "recoded"
    source: DataSource
    known: TrainedWords
    prefix: str = ""

    def schema(self, folder: Path) -> tuple[Column, ...]:
        words, found = self.known.columns, self._read(folder).schema(folder)
        for column in found:
            known = set(words.get(column.name, column.categories))
            if not column.unknown and not set(column.categories) <= known:
                _refuse(self.known.train, column, words[column.name])
        return tuple(replace(c, categories=words.get(c.name, c.categories)) for c in found)

    def attributes(self, folder: Path) -> Mapping[str, int]:
        words = self.known.columns
        counted = self.source.counted.items()
        return {
            **self.source.attributes(folder),
            **{fact: len(words[column]) for fact, column in counted if column in words},
        }

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        source = self._read(folder)
        return self._recode(source.schema(folder), source.load(folder))

    def ways(self) -> tuple[str, ...]:
        return self.source.ways()

    def open(self, folder: Path) -> Mapping[str, Rows]:
        source = self._read(folder)
        return self._recode(source.schema(folder), source.open(folder))

    def count_rows(self, folder: Path) -> int | None:
        return self.source.count_rows(folder)

    def _recode(self, schema: Sequence[Column], columns: Mapping[str, R]) -> dict[str, R]:
        """Columns with the codes of the training."""
        found = dict(columns)
        for column in schema:
            words = self.known.columns.get(column.name)
            if words is not None and column.name in found:
                places = {word: place for place, word in enumerate(words)}
                codes = [places.get(word, places.get("", -1)) for word in column.categories]
                found[column.name] = map_codes(found[column.name], codes)
        return found

    def describe_reading(self) -> Mapping[str, object]:
        return self.source.describe_reading()

    def overlap(self) -> int:
        return self.source.overlap()

    def given_splits(self, folder: Path) -> Mapping[str, int] | None:
        return self.source.given_splits(folder)

    def files(self, folder: Path) -> Sequence[Path]:
        return self.source.files(folder)

    def fingerprint(self, folder: Path) -> str:
        return self.source.fingerprint(folder)

    def held(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        if not self.source.held(folder):
            return {}
        return {f"{self.prefix}{name}": array for name, array in self.load(folder).items()}

    def beside(self, folder: Path) -> Mapping[str, str]:
        return self.source.beside(folder)

    def place_held(self, prefix: str) -> DataSource:
        return replace(self, source=self.source.place_held(prefix), prefix=prefix)

    def imports(self) -> Sequence[str]:
        return self.source.imports()

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        return self.source.code(columns)

    def row_code(self, columns: Sequence[Column]) -> RowCode:
        return self.source.row_code(columns)

    def chunk_code(self, columns: Sequence[Column]) -> ChunkCode:
        return self.source.chunk_code(columns)

    def _read(self, folder: Path) -> DataSource:
        """The source, which reads as words what the training had words for: without its rare word,
        a column may hold nothing but numbers."""
        plain = (c.name for c in self.source.schema(folder) if not c.categories)
        named = [name for name in plain if name in self.known.columns]
        return self.source.reading_words(named) if named else self.source


def _refuse(train: str, column: Column, words: tuple[str, ...]) -> None:
    """Raises the `Fault` of words that a training has not seen."""
    raise Fault(lambda where: other_words(where.call, train, column.name, words, column.categories))
