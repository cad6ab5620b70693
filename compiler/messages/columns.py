"""Messages about the columns of a data item: expressions, splits, and the numbers in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from compiler.diagnostics import Message

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
