"""Messages about files of data: what is missing, broken, or not what it says."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message, Severity
from compiler.report.messages.wording import count, list_words


@final
@dataclass(frozen=True)
class DataFileMissing(Message):
    """The file or folder of a data source does not exist.

    Paths are relative to the folder of the spec; `--set NAME.path=…` gives another for one run.
    """

    code: ClassVar[str] = "W0701"
    bad: ClassVar[str] = (
        'data prices {\n    source csv("no_such_file.csv")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    )
    good: ClassVar[str] = (
        'data digits {\n    source sklearn("digits")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    )

    path: str  # as written
    looked_in: str
    suggestion: str | None = None
    folder: bool = False
    names: tuple[str, ...] = ()
    """What there is of the kind, in the folder that was looked in."""

    def title(self) -> str:
        return f"there is no {'folder' if self.folder else 'file'} `{self.path}`"

    def label(self) -> str:
        return f"looked for in `{self.looked_in}`"

    def help(self) -> str | None:
        there = f"there is {list_words(self.names)}" if self.names else None
        return f"did you mean `{self.suggestion}`?" if self.suggestion else there


@final
@dataclass(frozen=True)
class DataFileBroken(Message):
    """A file of data is not what its format promises: cut short, another format, no text."""

    code: ClassVar[str] = "W0702"

    path: str
    reason: str
    advice: str = ""

    def title(self) -> str:
        return f"`{self.path}` cannot be read"

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return self.advice or None


@final
@dataclass(frozen=True)
class ArrayRefused(Message):
    """A column that a Python program gives in `data=` cannot be a tensor: its entries are no
    numbers, booleans, dates or text, or it has another number of rows than the other columns."""

    code: ClassVar[str] = "W1379"

    column: str
    reason: str
    advice: str = ""

    def title(self) -> str:
        return f"the column `{self.column}` cannot be taken"

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return self.advice or None


@final
@dataclass(frozen=True)
class NoColumns(Message):
    """What a Python program gives in `data=` is not columns by name: it takes a data item's name
    and its columns, as in `data={"digits": {"image": images, "label": labels}}`; a data frame is
    such columns."""

    code: ClassVar[str] = "W1381"

    found: str
    item: str | None = None

    def title(self) -> str:
        if self.item is None:
            return "`data=` takes columns by data item"
        return f"the data item `{self.item}` takes columns by name"

    def label(self) -> str:
        return f"this is a value of type `{self.found}`"

    def help(self) -> str:
        name = self.item or "item"
        return f'write `data={{"{name}": {{"column": values}}}}`, or a data frame for the columns'


@final
@dataclass(frozen=True)
class OtherSeparator(Message):
    """The lines of a csv file hold one cell each with the separator that is given, and as many
    cells as each other with another one: `;`, as in countries with a decimal comma, or tabs."""

    code: ClassVar[str] = "W1393"

    path: str
    header: str
    separator: str
    decimal: bool
    cells: int

    def title(self) -> str:
        return f"`{self.path}` is written with another separator"

    def label(self) -> str:
        first = " ".join(self.header.split())
        return f"its first line is `{first if len(first) <= 60 else f'{first[:59]}…'}`"

    def help(self) -> str:
        shown = "\\t" if self.separator == "\t" else self.separator
        decimal = ', decimal=","' if self.decimal else ""
        return f'`separator="{shown}"{decimal}` reads {count(self.cells, "cell")} in each line'


@final
@dataclass(frozen=True)
class RaggedRow(Message):
    """A line of a csv file has more or fewer cells than its first line."""

    code: ClassVar[str] = "W0703"

    path: str
    line: int
    found: int
    expected: int
    separator: str

    def title(self) -> str:
        return f"line {self.line} of `{self.path}` has {count(self.found, 'cell')}"

    def label(self) -> str:
        return f"its first line has {self.expected}"

    def help(self) -> str:
        shown = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(
            self.separator, f"`{self.separator}`"
        )
        return f"cells are separated by {shown}; quotes keep a separator inside a cell"


@final
@dataclass(frozen=True)
class WrongEncoding(Message):
    """A file of text is no text in the encoding that it is read in, which is UTF-8 unless
    another is named: `csv("people.csv", encoding="latin-1")`. Programs on Windows often write
    `cp1252`, or `utf-16`."""

    code: ClassVar[str] = "W1227"

    path: str
    encoding: str
    start: int  # the first byte that cannot be read
    byte: int
    line: int

    def title(self) -> str:
        return f"`{self.path}` is no text in {self.encoding.upper()}"

    def label(self) -> str:
        return f"byte {self.start:,}, in line {self.line:,}, is 0x{self.byte:02x}"

    def help(self) -> str:
        return 'tables take `encoding="cp1252"`, `"latin-1"`, `"utf-16"`; or save it as UTF-8'


@final
@dataclass(frozen=True)
class UnknownSet(Message):
    """scikit-learn does not bring a data set of this name.

    Only sets that are part of the package are offered: a build never downloads.
    """

    code: ClassVar[str] = "W0704"
    bad: ClassVar[str] = (
        'data flowers {\n    source sklearn("irs")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    )
    good: ClassVar[str] = (
        'data flowers {\n    source sklearn("iris")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    )

    name: str
    known: tuple[str, ...]
    suggestion: str | None = None
    downloaded: bool = False

    def title(self) -> str:
        if self.downloaded:
            return f"scikit-learn downloads `{self.name}`, it does not bring it along"
        return f"scikit-learn brings no data set `{self.name}`"

    def help(self) -> str:
        if self.downloaded:
            return "save it once as npz, csv or parquet, and name that file"
        hint = f"did you mean `{self.suggestion}`? " if self.suggestion else ""
        return f"{hint}it brings {list_words(self.known)}"


@final
@dataclass(frozen=True)
class BadSetting(Message):
    """A setting of a data source has a value that means nothing."""

    code: ClassVar[str] = "W0705"
    bad: ClassVar[str] = (
        'data letters {\n    source text("letters.txt", context=0)\n'
        "    split in_order, train=90%, val=10%\n}\n"
    )
    good: ClassVar[str] = (
        'data digits {\n    source sklearn("digits")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    )

    owner: str
    name: str
    found: str
    expected: str

    def title(self) -> str:
        return f"`{self.name}` of `{self.owner}` must be {self.expected}"

    def label(self) -> str:
        return f"is {self.found}"


@final
@dataclass(frozen=True)
class ArraysDiffer(Message):
    """The arrays of a source do not have one number of rows: they are no columns of one table.

    In an npz file, arrays called `x_train`, `x_test`, `y_train` and `y_test` are read as columns
    `x` and `y` with the file's own splits; other arrays must have as many rows as each other, or
    be chosen by `columns=[…]`.
    """

    code: ClassVar[str] = "W0706"

    path: str
    lengths: tuple[tuple[str, int], ...]
    advice: str

    def title(self) -> str:
        return f"the arrays of `{self.path}` differ in their number of rows"

    def label(self) -> str:
        shown = [f"`{name}` has {length:,}" for name, length in self.lengths[:4]]
        return ", ".join(shown)

    def help(self) -> str:
        return self.advice


@final
@dataclass(frozen=True)
class UnknownColumn(Message):
    """A source is asked for a column or array that it does not have."""

    code: ClassVar[str] = "W0707"

    name: str
    known: tuple[str, ...]
    suggestion: str | None = None

    def title(self) -> str:
        return f"there is no column `{self.name}`"

    def help(self) -> str:
        there = f"it has {list_words(self.known)}" if self.known else "it has none"
        return f"did you mean `{self.suggestion}`? {there}" if self.suggestion else there


@final
@dataclass(frozen=True)
class ImagesDiffer(Message):
    """Images of one folder differ in size, and a batch needs one size."""

    code: ClassVar[str] = "W0708"

    first: str
    first_size: tuple[int, int]
    other: str
    other_size: tuple[int, int]

    def title(self) -> str:
        return "the images differ in size"

    def label(self) -> str:
        first, other = ("×".join(map(str, s)) for s in (self.first_size, self.other_size))
        return f"`{self.first}` has {first} pixels, `{self.other}` {other}"

    def help(self) -> str:
        height, width = self.first_size
        return f"bring them to one size (height, width): `size=[{height}, {width}]`"


@final
@dataclass(frozen=True)
class MaskDiffers(Message):
    """An image and its mask differ in height or width, so that no pixel of one belongs to one of
    the other. `size=[height, width]` brings all of them to one size."""

    code: ClassVar[str] = "W1400"

    image: str
    size: tuple[int, int]
    found: tuple[int, int]

    def title(self) -> str:
        return f"the mask of `{self.image}` has another size"

    def label(self) -> str:
        size, found = ("×".join(map(str, s)) for s in (self.size, self.found))
        return f"the image has {size} pixels (height × width), its mask {found}"

    def help(self) -> str:
        height, width = self.size
        return f"store masks in the size of their images, or write `size=[{height}, {width}]`"


@final
@dataclass(frozen=True)
class ImagesTurned(Message):
    """Images carry an orientation of EXIF: viewers turn or mirror their pixels, which lie
    otherwise in the file. Weft reads them as they are stored, as PyTorch and Keras do, so that a
    net sees such images lying on their side. What turns pixels once and for all is
    `PIL.ImageOps.exif_transpose`, or `exiftran -ai` and `jpegtran` for whole folders."""

    code: ClassVar[str] = "W1401"
    severity: ClassVar[Severity] = Severity.WARNING

    first: str
    images: int

    def title(self) -> str:
        return "images are read as they are stored, not as viewers turn them"

    def label(self) -> str:
        others = f" and {count(self.images - 1, 'other image')}" if self.images > 1 else ""
        return f"`{self.first}`{others}: EXIF has another orientation"

    def help(self) -> str:
        return "store the pixels upright: `PIL.ImageOps.exif_transpose`"


@final
@dataclass(frozen=True)
class NothingInFolder(Message):
    """A folder holds no file that the source can read."""

    code: ClassVar[str] = "W0709"

    path: str
    what: str  # "images (.png, .jpg, …)"

    def title(self) -> str:
        return f"`{self.path}` holds no {self.what}"


@final
@dataclass(frozen=True)
class ImageWithoutMask(Message):
    """An image has no mask: masks lie in their own folder, under the image's name."""

    code: ClassVar[str] = "W0710"

    image: str
    folder: str

    def title(self) -> str:
        return f"`{self.image}` has no mask"

    def label(self) -> str:
        return f"there is none of that name in `{self.folder}`"
