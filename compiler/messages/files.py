"""Messages about files, weights and the command line."""

from __future__ import annotations

from typing import ClassVar

from compiler.diagnostics import Message, Severity
from compiler.records import dataclass


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
            return "write `--size NAME=NUMBER`, e.g. `--size t=64`"
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
class WeightsUnreadable(Message):
    """A weights file is missing, cut short, or no safetensors file.

    Weft reads weights only from safetensors: unlike a pickle, such a file can run no code.
    """

    code: ClassVar[str] = "W0906"

    reason: str

    def title(self) -> str:
        return f"the weights cannot be read: {self.reason}"

    def help(self) -> str:
        return "save them with `safetensors.torch.save_file(model.state_dict(), path)`"


@dataclass(frozen=True)
class WeightMissing(Message):
    """The net has a parameter for which the weights file has nothing. Load a part with `only=`
    or `except=`, and rename paths with `rename=["old.*" -> "new.*"]`."""

    code: ClassVar[str] = "W0907"

    file: str
    paths: tuple[str, ...]
    suggestion: str | None = None

    def title(self) -> str:
        shown = ", ".join(f"`{p}`" for p in self.paths[:3])
        more = f" and {len(self.paths) - 3} more" if len(self.paths) > 3 else ""
        return f"`{self.file}` has no {shown}{more}"

    def help(self) -> str | None:
        return f"the file has `{self.suggestion}`" if self.suggestion else None


@dataclass(frozen=True)
class WeightShape(Message):
    """A weight in the file has another shape than the parameter of that path."""

    code: ClassVar[str] = "W0908"

    file: str
    path: str
    found: tuple[int, ...]
    expected: str

    def title(self) -> str:
        return f"`{self.path}` has the shape {list(self.found)} in `{self.file}`"

    def label(self) -> str:
        return f"the net has {self.expected}"


@dataclass(frozen=True)
class WeightsNotFinite(Message):
    """A net that is to be compressed has weights that are infinite or no numbers.

    Passes measure, cut and round weights by their size, and outputs of such a net are no numbers
    whatever is done to it. Mostly they come from a file of a training that diverged, or of one
    that was saved in a precision in which its numbers have no room. Load another file.
    """

    code: ClassVar[str] = "W0916"

    path: str
    count: int

    def title(self) -> str:
        numbers = "1 number" if self.count == 1 else f"{self.count:,} numbers"
        return f"{numbers} of `{self.path}` {'is' if self.count == 1 else 'are'} not finite"

    def label(self) -> str:
        return "nothing can be made of a net that computes no numbers"

    def help(self) -> str:
        return "load weights of a training that did not diverge"


@dataclass(frozen=True)
class BadFile(Message):
    """A file could not be written: the folder cannot be made, or the disk refuses."""

    code: ClassVar[str] = "W0909"

    path: str
    reason: str

    def title(self) -> str:
        return f"`{self.path}` cannot be written: {self.reason}"


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
class WeightsNeeded(Message):
    """A train was to be compiled to ONNX, but its weights are made by training and no file with
    them was given."""

    code: ClassVar[str] = "W0914"

    name: str
    spec: str

    def title(self) -> str:
        return f"`{self.name}` has no weights before it is trained"

    def help(self) -> str:
        return f"run `weft build {self.spec}`, or give a file with `--weights FILE`"


@dataclass(frozen=True)
class FreshWeights(Message):
    """A net was compiled with the weights that its initializers draw: the file computes, but it
    has learnt nothing. Give a file with `--weights`, or let the spec `load(…)` one."""

    code: ClassVar[str] = "W0915"
    severity: ClassVar[Severity] = Severity.WARNING

    name: str

    def title(self) -> str:
        return f"`{self.name}` is compiled with fresh random weights"

    def help(self) -> str:
        return "give trained ones with `--weights FILE`"
