"""The sources of a train on several data sets, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

from numpy.typing import NDArray

from compiler.data.base import Column, DataSource, LoadingCode
from compiler.records import dataclass
from compiler.writing.names import name_all


def qualify(data: str, column: str) -> str:
    """What a train on several data sets calls a column of one of them: `digits.image`."""
    return f"{data}.{column}"


FITTED = "columns.safetensors"
"""The file of a training with its fitted figures."""


def name_fitted(data: Sequence[str]) -> dict[str, str]:
    """The file of a training with the figures that it fitted on the rows of each of its data
    sets."""
    if len(data) == 1:
        return {data[0]: FITTED}
    return {name: f"columns_{known}.safetensors" for name, known in name_all(data).items()}


@final
@dataclass(frozen=True)
class JoinedSource(DataSource):
    """Several sources, each with rows of its own: `sources` by the names of their data sets, in
    the order of the train. A column is called `digits.image`. No spec names this class."""

    name: ClassVar[str] = "several"
    written: ClassVar[bool] = False
    sources: tuple[tuple[str, DataSource], ...]

    def schema(self, folder: Path) -> tuple[Column, ...]:
        return tuple(
            replace(column, name=qualify(data, column.name))
            for data, source in self.sources
            for column in source.schema(folder)
        )

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        """The columns; those of one data set have as many rows as this has."""
        return {
            qualify(data, name): array
            for data, source in self.sources
            for name, array in source.load(folder).items()
        }

    def files(self, folder: Path) -> Sequence[Path]:
        return [path for _, source in self.sources for path in source.files(folder)]

    def fingerprint(self, folder: Path) -> str:
        return " ".join(source.fingerprint(folder) for _, source in self.sources).strip()

    def held(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return {n: array for _, source in self.sources for n, array in source.held(folder).items()}

    def beside(self, folder: Path) -> Mapping[str, str]:
        return {n: text for _, source in self.sources for n, text in source.beside(folder).items()}

    def imports(self) -> Sequence[str]:
        return list(dict.fromkeys(line for _, source in self.sources for line in source.imports()))

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        raise NotImplementedError("each data set is loaded by a function of its own")
