"""What a data source is: a class that tells its columns before it loads them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from compiler.data.holding import MEMORY, Rows, choose_way, count_bytes
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.source import Span
from compiler.system.memory import find_available
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Described, Registry


@dataclass(frozen=True)
class Written:
    """How the cells of a column of text are written, where that is not plainly: with a `unit`
    beside each number, with spaces around them (`padded`), as dates in a form of
    `compiler.data.dates` (`date`). `blanks` are marks of what is missing with their spaces. `text`
    is set where the source also stores numbers as such, and this column as text; `mixed` where
    some of its cells are no text, and are read as they are printed."""

    unit: str = ""
    padded: bool = False
    date: str = ""
    blanks: tuple[str, ...] = ()
    text: bool = False
    mixed: bool = False


@dataclass(frozen=True)
class Column:
    """A raw column: its type per row, without the row axis. A column of words has `words` True
    and dtype i64: the codes of its categories, in sorted order. `missing` says that cells are
    empty (NaN); a source that reads headers only does not know it. `parts` are the names under
    which the source stores the rows, where these are several (`x_train`, `x_test`), or what else
    its code goes by. `trouble` is
    why nothing may be computed from the column, `doubt` what is to be looked at before: messages
    that still lack their place."""

    name: str
    type: TensorType
    words: bool = False
    missing: bool = False
    categories: tuple[str, ...] = ()
    unknown: bool = False
    """Whether words that are none of its categories are the category `""`."""
    parts: tuple[str, ...] = ()
    written: Written = Written()
    trouble: Message | None = None
    doubt: Message | None = None
    gaps: int = 0
    """How many cells are missing, of a column that is not stored as numbers."""
    examples: tuple[str, ...] = ()
    """The first cells of a column of text."""
    stored: str = ""
    """What the entries are in the words of the file, if no tensor holds them."""
    own: tuple[Column | None, ...] = ()
    """The columns of the sources that it is put together of; empty where it is of one source."""

    @property
    def kind(self) -> str:
        """What it holds, in a word: "numbers", "categories", "dates", "text", "booleans" or
        "tensors"."""
        if self.words or (self.categories and not self.type.rank):
            return "categories" if self.categories else "text"
        if self.written.date:
            return "dates"
        if self.type.rank:
            return "tensors"
        return "booleans" if self.type.dtype is DType.BOOL else "numbers"


HELD = "columns.npz"
"""The file beside a generated training with columns that a Python program handed over."""


@dataclass(frozen=True)
class LoadingCode:
    """Generated code that loads columns as NumPy arrays: statements, then an expression for each
    column, which may have to stand inside a `with`, whose head is `opened`. It may use `folder`,
    where the paths of the data start."""

    lines: Sequence[str]
    columns: Mapping[str, str]
    opened: str = ""

    @property
    def reads_folder(self) -> bool:
        """Whether it reads files of the data, and not what comes with a package or lies beside the
        script."""
        texts = (*self.lines, self.opened, *self.columns.values())
        return any(re.search(r"\bfolder\b", text) for text in texts)


@dataclass(frozen=True)
class RowCode:
    """Generated code that reads single rows of a source. `lines` find them, and may use `folder`;
    what they keep is an attribute of `self`. `count` is how many there are; `files` are the paths
    whose sizes tell whether they have changed, `source` standing for that object; `place` says
    where row number `row` is. `held` are the columns that are small enough to be kept whole, as
    attributes that are tensors. `reading` are the statements that read a row, `columns` the tensors
    of all columns of it."""

    lines: Sequence[str]
    count: str
    files: str
    place: str
    held: Mapping[str, str]
    reading: Sequence[str]
    columns: Mapping[str, str]


@dataclass(frozen=True)
class ChunkCode:
    """Generated code that goes through the rows of a source in parts: `lines`, which may use
    `folder`; the head of a loop; statements in it, if any; and an expression of NumPy for each
    column of a part. `files` is an expression of the paths of what is read."""

    lines: Sequence[str]
    loop: str
    inside: Sequence[str]
    columns: Mapping[str, str]
    files: str


class DataSource(Described):
    """Base of data sources. Subclasses are frozen dataclasses that register with
    `@SOURCES.register`; their fields are their options. Paths are relative to `folder`."""

    unreadable: ClassVar[tuple[str, ...]] = ("KeyError", "ValueError")
    """What generated loading code raises for files that are damaged or lack a column, besides
    `OSError`."""
    counted: ClassVar[Mapping[str, str]] = {}
    """Which of `attributes` are the number of categories of a column."""

    @abstractmethod
    def schema(self, folder: Path) -> tuple[Column, ...]:
        """The columns, read from headers and a look at the cells; no heavy package is imported.

        Raises:
            Fault: a file is missing or is not what its format promises.
        """

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses settings that mean nothing, before any file is opened; called when an instance
        is made.

        Raises:
            Fault: which setting, and why.
        """

    def attributes(self, folder: Path) -> Mapping[str, int]:
        """Numbers of the data that a spec may use when compiling: `tiny.vocab`."""
        return {}

    def reading_words(self, columns: Sequence[str]) -> DataSource:
        """The source with these columns read as categories, where it leaves that open."""
        return self

    def describe_reading(self) -> Mapping[str, object]:
        """Options that say how rows are written, which a deployed file tells whoever reads others
        for it; none where that follows from the rows."""
        return {}

    def overlap(self) -> int:
        """How many of the rows after a row share cells with it: windows over one text. A split
        in order leaves that many rows out behind each border, a random one is refused."""
        return 0

    @abstractmethod
    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        """All rows of every column, as arrays of the schema's types with a leading row axis.

        Raises:
            Fault: a cell does not fit the schema.
        """

    def ways(self) -> tuple[str, ...]:
        """How its rows can be held, one of `compiler.data.holding.WAYS` each, the best one behind
        memory first."""
        return (MEMORY,)

    def open(self, folder: Path) -> Mapping[str, Rows]:
        """As `load`, where rows are not held in memory: large columns are read row by row.

        Raises:
            Fault: a file is missing or broken.
        """
        return self.load(folder)

    def count_rows(self, folder: Path) -> int | None:
        """How many rows there are, without reading them; None where that takes as long as reading.

        Raises:
            Fault: a file is missing or broken.
        """
        return None

    @property
    def local(self) -> DataSource:
        """The source by the folder of the file with the data item, which may be another than that
        of the spec."""
        return self

    def given_splits(self, folder: Path) -> Mapping[str, int] | None:
        """Numbers of rows of splits that the source itself defines (`train`, `test`), in the
        order in which `load` returns them; None where it defines none."""
        return None

    def files(self, folder: Path) -> Sequence[Path]:
        """The files it reads, so that a build knows when they changed; none for data that a
        package brings."""
        return ()

    def fingerprint(self, folder: Path) -> str:
        """What tells that rows have changed which are in no file, such as those of a server; empty
        where `files` tells it."""
        return ""

    def held(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        """Columns that are nowhere on the disk, and are written beside generated code as `HELD`;
        none for data that a file or a package brings."""
        return {}

    def beside(self, folder: Path) -> Mapping[str, str]:
        """Texts that are learned from the rows and needed to read others, by the names of their
        files: they lie beside generated code and deployed files."""
        return {}

    def place_held(self, prefix: str) -> DataSource:
        """The source whose columns in `HELD` are called so behind a prefix: several sources may
        share the file."""
        return self

    @abstractmethod
    def imports(self) -> Sequence[str]:
        """Import lines of the generated loading code."""

    @abstractmethod
    def code(self, columns: Sequence[Column]) -> LoadingCode:
        """Generated code that loads these columns."""

    def row_code(self, columns: Sequence[Column]) -> RowCode:
        """Generated code that reads these columns row by row; of sources with such a way."""
        raise NotImplementedError(f"rows of {self.name} are not read one by one")

    def chunk_code(self, columns: Sequence[Column]) -> ChunkCode:
        """Generated code that reads these columns in parts; of sources that can be mapped."""
        raise NotImplementedError(f"rows of {self.name} are not mapped")


@dataclass(frozen=True)
class OpenedSource:
    """The source of a data item, as far as a check came: its columns are known."""

    name: str
    source: DataSource
    schema: tuple[Column, ...]
    folder: Path
    span: Span


def choose_hold(source: DataSource, folder: Path, schema: Sequence[Column]) -> str:
    """How the rows of a source are held by their size, where the spec does not say it."""
    rows = source.count_rows(folder)
    if rows is None:
        return MEMORY
    needed = count_bytes((column.type for column in schema), rows)
    return choose_way(source.ways(), needed, find_available())


SOURCES: Registry[DataSource] = Registry("data source")
"""Every data source by name."""
