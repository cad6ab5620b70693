"""Messages about values of parameters that a command (`--set`) or a program gives."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.wording import list_words


@final
@dataclass(frozen=True)
class UnknownSetting(Message):
    """`--set NAME=VALUE`, or an argument in Python, names no parameter: NAME is `item.parameter`,
    or a parameter alone where only one item has it; of a data item it may be an option of the
    source, such as `digits.path`."""

    code: ClassVar[str] = "W0950"

    name: str
    known: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return f"there is no parameter `{self.name}`"

    def help(self) -> str:
        if self.suggestion:
            return f"did you mean `{self.suggestion}`?"
        return f"the file has {list_words(self.known)}" if self.known else "the file has none"


@final
@dataclass(frozen=True)
class AmbiguousSetting(Message):
    """Several items have a parameter of this name: say which is meant."""

    code: ClassVar[str] = "W0951"

    name: str
    meanings: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.name}` could mean several parameters"

    def help(self) -> str:
        return f"say which: {list_words(self.meanings)}"


@final
@dataclass(frozen=True)
class BadSettingValue(Message):
    """The value that a command or a program gives is not of the kind that the parameter takes."""

    code: ClassVar[str] = "W0952"

    name: str
    expected: str
    found: str

    def title(self) -> str:
        return f"`{self.name}` is {self.expected}"

    def label(self) -> str:
        return f"this is {self.found}"
