"""Messages about files and the command line."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.types.tensor import DType


@dataclass(frozen=True)
class FileMissing(Message):
    """A file that a command or a spec names does not exist.

    Paths inside a spec are relative to the folder of the spec, paths on the command line to the
    current folder.
    """

    code: ClassVar[str] = "W0901"

    path: str
    suggestion: str | None = None
    build: bool = False
    """Whether it is a file that builds leave in their usual place."""

    def title(self) -> str:
        return f"there is no file `{self.path}`"

    def help(self) -> str | None:
        if self.build:
            return "`weft build` makes it; one that lies elsewhere is given with `--onnx FILE`"
        return f"did you mean `{self.suggestion}`?" if self.suggestion else None


@dataclass(frozen=True)
class FileUnreadable(Message):
    """A file exists but cannot be read: it is a folder, it is not text in UTF-8, or the system
    refuses it."""

    code: ClassVar[str] = "W0902"

    path: str
    reason: str

    def title(self) -> str:
        return f"`{self.path}` cannot be read: {self.reason}"


@dataclass(frozen=True)
class BadAssignment(Message):
    """`--set` takes NAME=VALUE, e.g. `--set fit.lr=1e-3`; `--size` a size, e.g. `--size t=64`."""

    code: ClassVar[str] = "W0903"

    text: str
    option: str = "--set"

    def title(self) -> str:
        return f"`{self.option} {self.text}` is no assignment"

    def help(self) -> str:
        if self.option == "--size":
            return (
                "write `--size NAME=NUMBER`, e.g. `--size t=64`, with a number from 1 to 2**31 - 1"
            )
        return "write `--set NAME=VALUE`, e.g. `--set fit.lr=1e-3`"


@dataclass(frozen=True)
class UnknownItem(Message):
    """A command was asked for something that is not there: an item of the file, a stage of the
    compiler, a split of the data."""

    code: ClassVar[str] = "W0904"

    kind: str  # what was asked for: "model", "train"
    name: str
    known: tuple[str, ...]
    suggestion: str | None = None

    def title(self) -> str:
        return f"there is no {self.kind} `{self.name}`"

    def help(self) -> str:
        if self.suggestion:
            return f"did you mean `{self.suggestion}`?"
        known = ", ".join(f"`{name}`" for name in self.known)
        return f"there is {known or 'none'}"


@dataclass(frozen=True)
class NothingToDo(Message):
    """A command needs an item of a kind that the file does not have at all: `weft train` needs
    a `train`, `weft build` a `deploy` or a `train`."""

    code: ClassVar[str] = "W0905"

    command: str
    needs: str

    def title(self) -> str:
        return f"`weft {self.command}` finds nothing to do: the file has no {self.needs}"


@dataclass(frozen=True)
class NotText(Message):
    """`weft.loads` takes the text of a spec as a `str`; bytes say nothing of their encoding."""

    code: ClassVar[str] = "W1380"

    found: str

    def title(self) -> str:
        return f"the text of a spec is a str, and this is of type {self.found}"

    def help(self) -> str | None:
        return '`text.decode("utf-8")` makes one of bytes' if self.found == "bytes" else None


@dataclass(frozen=True)
class BadFile(Message):
    """A file could not be written: the folder cannot be made, or the disk refuses."""

    code: ClassVar[str] = "W0909"

    path: str
    reason: str

    def title(self) -> str:
        return f"`{self.path}` cannot be written: {self.reason}"


@dataclass(frozen=True)
class Crashed(Message):
    """Weft itself is at fault: it stumbled over something that it should have carried out or
    refused.

    A report is written to the folder for temporary files. It holds the command line, versions and
    the lines of Weft that led there, and none of your data; send it with the spec if you can.
    """

    code: ClassVar[str] = "W1323"

    error: str
    place: str
    report: str | None
    variable: str

    def title(self) -> str:
        attach = f"; please send `{self.report}`" if self.report is not None else ""
        show = f"{self.variable}=1 shows the traceback"
        return f"a fault in Weft ({self.error} at {self.place}){attach}; {show}"


@dataclass(frozen=True)
class OutOfMemory(Message):
    """The system has no more memory for what was asked.

    Smaller batches, fewer rows of verification (`fix`, `target` with a smaller batch) or a smaller
    net need less.
    """

    code: ClassVar[str] = "W1324"

    def title(self) -> str:
        return "the system has no memory left for this"

    def help(self) -> str:
        return "a smaller batch, net or data set needs less"


@dataclass(frozen=True)
class UnknownCode(Message):
    """`weft explain` was asked for a code that no message has."""

    code: ClassVar[str] = "W0910"

    asked: str
    suggestion: str | None = None

    def title(self) -> str:
        return f"there is no message `{self.asked}`"

    def help(self) -> str:
        hint = f"did you mean `{self.suggestion}`? " if self.suggestion else ""
        return f"{hint}`weft explain` without a code lists all"


@dataclass(frozen=True)
class BadInput(Message):
    """An array given to `weft run` is missing, or does not fit the input of the model."""

    code: ClassVar[str] = "W0912"

    reason: str

    def title(self) -> str:
        return self.reason


@final
@dataclass(frozen=True)
class LossyCast(Message):
    """An array given to an ONNX file has a value that the dtype of the input does not hold.

    An array of another dtype than the input is cast where every value stays what it is; only
    floating-point numbers may be rounded to fewer bits. A cast that would cut off fractions, wrap
    whole numbers around, or turn numbers into NaN or infinity is refused.
    """

    code: ClassVar[str] = "W1420"

    name: str
    dtype: DType
    given: str
    value: str
    index: tuple[int, ...]

    def title(self) -> str:
        found = f"the array is {self.given} with {self.value} at {list(self.index)}"
        return f"the input `{self.name}` is {self.dtype}, and {found}"

    def help(self) -> str:
        if self.dtype is DType.BOOL:
            return "give booleans: `array != 0` makes them of numbers"
        low, high = self.dtype.range
        if self.dtype.is_float:
            name, exact = self.dtype.numpy.name, 2 ** (np.finfo(self.dtype.numpy).nmant + 1)
            return (
                f"{self.dtype} holds whole numbers up to {exact} exactly, and ends at {high:.5g}:"
                f' `array.clip(-{high:.5g}, {high:.5g}).astype("{name}")` loses them on purpose'
            )
        return (
            f"{self.dtype} holds whole numbers from {low} to {high}: save the array with"
            f" `dtype={self.dtype.numpy.name}`, not scaled or normalized"
        )


@final
@dataclass(frozen=True)
class NotNumbers(Message):
    """An array given to an ONNX file holds text, times, records or complex numbers; Weft turns none
    of them into the numbers that the input takes."""

    code: ClassVar[str] = "W1421"

    name: str
    dtype: DType
    given: str

    def title(self) -> str:
        return f"the input `{self.name}` is {self.dtype}, and the array is `{self.given}`"

    def help(self) -> str:
        return f"save the array with `dtype={self.dtype.numpy.name}`"


@dataclass(frozen=True)
class NotAnArray(Message):
    """A file given as input of a model is no array and no image: `weft run` reads .npy and .npz
    files (without pickled objects) and images."""

    code: ClassVar[str] = "W0913"

    path: str
    reason: str

    def title(self) -> str:
        return f"`{self.path}` is no array: {self.reason}"

    def help(self) -> str:
        return "save one with `numpy.save(path, array)`"


@dataclass(frozen=True)
class MoreFaults(Message):
    """A file has so many errors that the rest of it is not checked. Mend the first ones: the others
    often follow from them."""

    code: ClassVar[str] = "W1322"

    limit: int

    def title(self) -> str:
        return f"{self.limit} errors were found; what follows is not checked"
