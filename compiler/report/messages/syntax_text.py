"""What goes wrong within numbers, strings and single characters."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message, did_you_mean
from compiler.report.messages.syntax import Mistake
from compiler.types.units import UNITS


@final
@dataclass(frozen=True)
class SourceTooLong(Message):
    """A file is longer than a spec ever is. Numbers and texts by the thousand belong into data
    files, and layers that repeat into a loop or a block."""

    code: ClassVar[str] = "W1321"
    bad: ClassVar[str] = f"let x = [{'1, ' * 60_000}1]\n"
    good: ClassVar[str] = "let x = [i for i in 0..60]\n"

    limit: int
    unit: str

    def title(self) -> str:
        return f"this file has more than {self.limit:,} {self.unit}"

    def help(self) -> str | None:
        return "write what repeats as a loop or a block, and read tables from data files"


@final
@dataclass(frozen=True)
class UnknownUnit(Message):
    """A number carries a unit that Weft does not know.

    Units are written without a space: `50%`, `40KiB`, `20MB`, `5ms`, `2h`, `3epochs`, `100steps`.
    """

    code: ClassVar[str] = "W0130"
    bad: ClassVar[str] = "let size = 40Kib\n"
    good: ClassVar[str] = "let size = 40KiB\n"

    unit: str

    def title(self) -> str:
        return f"unknown unit `{self.unit}`"

    def label(self) -> str:
        return "letters behind a number are its unit"

    def help(self) -> str | None:
        close = did_you_mean(self.unit, list(UNITS))
        known = f"the units are {', '.join(f'`{unit}`' for unit in UNITS)}"
        return f"did you mean `{close}`? {known}" if close else known


@final
@dataclass(frozen=True)
class SpacedUnit(Mistake):
    """A unit is set apart from its number. It follows without a space: `50%`, `40KiB`."""

    code: ClassVar[str] = "W0131"
    bad: ClassVar[str] = "let keep = (50 %)\n"
    good: ClassVar[str] = "let keep = (50%)\n"

    unit: str

    def title(self) -> str:
        return f"`{self.unit}` is set apart from its number"

    def label(self) -> str:
        return "a unit follows its number without a space"


@final
@dataclass(frozen=True)
class UnreadableNumber(Message):
    """A number is written in a way Weft does not read.

    Numbers are decimal: `3`, `0.5`, `1e-4`, `20_000`. A point has digits on both sides, and no
    number has more digits than a 64-bit float can tell apart.
    """

    code: ClassVar[str] = "W0132"
    bad: ClassVar[str] = "let mask = 0xFF\n"
    good: ClassVar[str] = "let mask = 255\n"

    reason: str

    def title(self) -> str:
        return "this number cannot be read"

    def label(self) -> str:
        return self.reason


@final
@dataclass(frozen=True)
class HalfNumber(Mistake):
    """The point of a number has digits on one side only: write `0.5`, not `.5`; `1.0`, not `1.`."""

    code: ClassVar[str] = "W0133"
    bad: ClassVar[str] = "let rate = .5\n"
    good: ClassVar[str] = "let rate = 0.5\n"

    def title(self) -> str:
        return "a point needs digits on both sides"

    def label(self) -> str:
        return "write `0.5` for a half, `1.0` for one"


@final
@dataclass(frozen=True)
class UnterminatedString(Message):
    """A string is not closed on the line where it begins."""

    code: ClassVar[str] = "W0134"
    bad: ClassVar[str] = 'block f(x) {\n    return x -> relu as "act\n}\n'
    good: ClassVar[str] = 'block f(x) {\n    return x -> relu as "act"\n}\n'

    def title(self) -> str:
        return "this string is never closed"

    def label(self) -> str:
        return 'expected `"` on this line'


@final
@dataclass(frozen=True)
class SingleQuotes(Message):
    """A string stands in other quotation marks than `"`."""

    code: ClassVar[str] = "W0135"
    bad: ClassVar[str] = "block f(x) {\n    return x -> conv(8, kernel=3, padding='same')\n}\n"
    good: ClassVar[str] = 'block f(x) {\n    return x -> conv(8, kernel=3, padding="same")\n}\n'

    def title(self) -> str:
        return "a string stands in double quotes"

    def label(self) -> str:
        return f'write "{self.span.text[1:-1]}"' if self.span else ""


@final
@dataclass(frozen=True)
class TripleQuotes(Message):
    """A string over several lines. Strings end on their line; text about items begins `##`."""

    code: ClassVar[str] = "W0136"
    bad: ClassVar[str] = 'block f(x) {\n    about """the same"""\n    return x\n}\n'
    good: ClassVar[str] = "## The same.\nblock f(x) {\n    return x\n}\n"

    def title(self) -> str:
        return "there are no strings over several lines"

    def label(self) -> str:
        return "documentation is written `## …` above an item, clause or parameter"


@final
@dataclass(frozen=True)
class UnknownEscape(Message):
    """A backslash in a string is followed by something it does not go with.

    The escapes are `\\n`, `\\t`, `\\r`, `\\"`, `\\\\` and `\\u` with four hexadecimal digits.
    """

    code: ClassVar[str] = "W0137"
    bad: ClassVar[str] = 'let path = "data\\digits"\n'
    good: ClassVar[str] = 'let path = "data/digits"\n'

    def title(self) -> str:
        return f"unknown escape `{self.span.text if self.span else ''}`"

    def label(self) -> str:
        return 'known are `\\n`, `\\t`, `\\r`, `\\"`, `\\\\` and `\\u0041`'

    def help(self) -> str | None:
        return "write `\\\\` for a backslash, and `/` between the folders of a path"


@final
@dataclass(frozen=True)
class LoneBrace(Message):
    """A brace in a string has no partner.

    Braces in a string hold an expression known when compiling: `"layer{i + 1}"`. A brace that is
    meant as text is doubled: `"{{"`.
    """

    code: ClassVar[str] = "W0138"
    bad: ClassVar[str] = 'let name = "layer{1"\n'
    good: ClassVar[str] = 'let name = "layer{1}"\n'

    brace: str

    def title(self) -> str:
        return f"`{self.brace}` has no partner in this string"

    def label(self) -> str:
        return "braces in a string hold an expression"

    def help(self) -> str | None:
        return f"write `{self.brace * 2}` for the character itself"


@final
@dataclass(frozen=True)
class EmptyInterpolation(Message):
    """The braces of a string hold nothing."""

    code: ClassVar[str] = "W0139"
    bad: ClassVar[str] = 'let name = "layer{}"\n'
    good: ClassVar[str] = 'let name = "layer{1}"\n'

    def title(self) -> str:
        return "nothing stands between the braces of this string"

    def label(self) -> str:
        return "expected an expression"

    def help(self) -> str | None:
        return "write `{{}}` for the characters themselves"


@final
@dataclass(frozen=True)
class UnterminatedName(Message):
    """A backquote is not followed by a name and a second backquote on its line."""

    code: ClassVar[str] = "W0140"
    bad: ClassVar[str] = "let x = `petal length\n"
    good: ClassVar[str] = "let `petal length` = 4\nlet x = `petal length`\n"

    def title(self) -> str:
        return "this name in backquotes is never closed"

    def label(self) -> str:
        return "expected a name and a second backquote on this line"


@final
@dataclass(frozen=True)
class StrayCharacter(Message):
    """A character that nothing in Weft begins with."""

    code: ClassVar[str] = "W0141"
    bad: ClassVar[str] = "let price = $5\n"
    good: ClassVar[str] = "let price = 5\n"

    character: str

    def title(self) -> str:
        if self.character.isprintable() and not self.character.isspace():
            return f"stray character `{self.character}`"
        return f"stray character U+{ord(self.character):04X}"

    def label(self) -> str:
        return "nothing in Weft begins like this"
