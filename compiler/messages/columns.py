"""Messages about the columns of a data item: expressions, splits, and the numbers in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from compiler.diagnostics import Message
from compiler.messages.wording import count

SPLIT = "    split random(seed=0), train=80%, val=20%\n}\n"


def digits_spec(*lines: str) -> str:
    """A spec of the digits with these lines in its data item."""
    body = "".join(f"    {line}\n" for line in lines)
    return f'data digits {{\n    source sklearn("digits")\n{body}{SPLIT}'


@final
@dataclass(frozen=True)
class NotPerRow(Message):
    """Column expressions say what happens to one row, and are computed for all rows at once. A
    few layers cannot be: those that mix values in a way that has no batched form."""

    code: ClassVar[str] = "W0720"

    op: str

    def title(self) -> str:
        return f"`{self.op}` cannot be computed for all rows at once"

    def label(self) -> str:
        return "column expressions act on one row"

    def help(self) -> str:
        return "move it into the model, where it acts on a batch"


@final
@dataclass(frozen=True)
class EmptySplit(Message):
    """A split holds no row: its share is too small for so few rows, or the shares before it take
    them all."""

    code: ClassVar[str] = "W0721"

    split: str
    rows: int

    def title(self) -> str:
        return f"the split `{self.split}` holds no row"

    def label(self) -> str:
        return f"the data has {count(self.rows, 'row')}"


@final
@dataclass(frozen=True)
class TooFewRows(Message):
    """The numbers of rows of the splits add up to more than the data has."""

    code: ClassVar[str] = "W0722"

    wanted: int
    rows: int

    def title(self) -> str:
        return f"the splits take {count(self.wanted, 'row')}, and the data has {self.rows:,}"

    def help(self) -> str:
        return "shares in percent fit any number of rows: `train=80%, val=20%`"


@final
@dataclass(frozen=True)
class NotANumber(Message):
    """A column that the training reads holds NaN or infinity: the loss would be NaN from then on.

    Empty cells of a table are NaN until `fill` replaces them; a logarithm of 0 and a division by
    0 give infinity.
    """

    code: ClassVar[str] = "W0723"

    column: str
    cells: int
    row: int
    infinite: bool

    def title(self) -> str:
        what = "infinity" if self.infinite else "NaN"
        return f"the column `{self.column}` holds {what}"

    def label(self) -> str:
        return f"in {count(self.cells, 'row')}, the first is row {self.row:,}"

    def help(self) -> str:
        if self.infinite:
            return "logarithms of 0 and divisions by 0 give infinity: `log(x + 1)`, `x / (y + 1)`"
        return f'`{self.column} = fill({self.column}, "median")` replaces empty cells'


@final
@dataclass(frozen=True)
class LabelOutOfRange(Message):
    """A class number in the data is below 0, or not below the number of scores that the net gives."""

    code: ClassVar[str] = "W0724"

    column: str
    row: int
    found: int
    classes: int
    reader: str  # "cross_entropy", "embedding"

    def title(self) -> str:
        return f"the column `{self.column}` holds numbers that `{self.reader}` does not take"

    def label(self) -> str:
        return f"takes 0 to {self.classes - 1}; row {self.row:,} has {self.found}"

    def help(self) -> str | None:
        if self.found < 0:
            return f"number the classes from 0: `{self.column} = {self.column} + {-self.found}`"
        return f"{self.found + 1} classes would take it"
