"""Names of items that could not be names of files: a build makes a folder or a file of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class ItemNameNotFile(Message):
    """Models, nets, trains and variants have names that can be names of files.

    A build writes a folder or a file for each of them, under its name. So a name has no dots and
    no slashes, is not reserved by a system, by a build or by Python modules that generated code
    imports, and is short enough.
    """

    code: ClassVar[str] = "W1290"
    bad: ClassVar[str] = "model `../Net`() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
    good: ClassVar[str] = "model Net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"

    what: str
    name: str
    reason: str

    def title(self) -> str:
        return f"a {self.what} cannot be called `{self.name}`"

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return "files and folders are named after it; letters, digits and `_` always can be"


@final
@dataclass(frozen=True)
class ItemNamesClash(Message):
    """Two names of items differ only in case, or in how a letter is encoded.

    Many systems do not tell files of such names apart, so one item would overwrite what the other
    has made.
    """

    code: ClassVar[str] = "W1291"
    bad: ClassVar[str] = (
        "model Net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
        "model net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
    )
    good: ClassVar[str] = (
        "model Net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
        "model Other() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
    )

    name: str
    other: str
    first: Span

    def title(self) -> str:
        return f"`{self.name}` and `{self.other}` would be one file"

    def label(self) -> str:
        return "differs only in case, or in the encoding of a letter"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "the other item"),)

    def help(self) -> str | None:
        return "give one of them another name"


@final
@dataclass(frozen=True)
class FolderInUse(Message):
    """Two builds or trainings write into one folder at a time.

    Each would overwrite what the other has made. The second one ends at once; the lock is gone as
    soon as the process that holds it is.
    """

    code: ClassVar[str] = "W1292"

    folder: str
    process: str
    since: str

    def title(self) -> str:
        who = f"process {self.process}, since {self.since}" if self.process else "another process"
        return f"`{self.folder}` is in use by {who}"

    def help(self) -> str | None:
        return "wait until it has ended, or give another folder with `-o`"


@final
@dataclass(frozen=True)
class LinkInFolder(Message):
    """A symbolic link stands in a folder of results where Weft would write or delete.

    What it leads to may be anyone's, and a folder that came from somebody else may hold links to
    any place. So Weft follows none below the folder that it was given; that folder itself may be
    a link. Where nothing is given, `output` and `output/SPEC` may not be links either.
    """

    code: ClassVar[str] = "W1382"

    path: str
    leads_to: str

    def title(self) -> str:
        return (
            f"`{self.path}` is a symbolic link to `{self.leads_to}`, and nothing is written there"
        )

    def help(self) -> str | None:
        return (
            "remove the link, or give another folder with `-o`; "
            "a folder that is given there may itself be a link"
        )
