"""Messages about nets that are too large to run here: refused before memory is asked for."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.types.units import format_size


@final
@dataclass(frozen=True)
class WeightsTooLarge(Message):
    """The weights of a net need more memory than there is.

    What is free is what the machine has left, or what a container (a control group) or `ulimit`
    leaves to Weft. Nothing has been made yet. `weft check` and `weft show` take nets of any size,
    and `weft compile --pytorch` writes their code.
    """

    code: ClassVar[str] = "W1336"

    net: str
    needed: int
    available: int
    path: str  # of the largest weight
    type: str
    largest: int

    def title(self) -> str:
        needed, there = format_size(self.needed), format_size(self.available)
        return f"the weights of `{self.net}` need {needed} of memory, and {there} is free"

    def label(self) -> str:
        return f"`{self.path}` is {self.type}: {format_size(self.largest)}"

    def help(self) -> str:
        return "make the layer smaller, or run this on a machine with more memory"


@final
@dataclass(frozen=True)
class ValuesTooLarge(Message):
    """Running a net, to verify or to measure it, needs more memory than there is.

    Verification runs the smallest sizes of the inputs that are possible, or those of `fix`;
    latency is measured at the sizes of `target`. With `--no-verify`, `weft compile` writes a file
    without running it here.
    """

    code: ClassVar[str] = "W1337"

    net: str
    needed: int
    available: int
    sizes: str  # "batch=1"; empty where all are known
    type: str  # of the largest tensor
    largest: int

    def title(self) -> str:
        place = f" at {self.sizes}" if self.sizes else ""
        needed, there = format_size(self.needed), format_size(self.available)
        return f"running `{self.net}`{place} needs {needed} of memory, and {there} is free"

    def label(self) -> str:
        return f"{self.type} takes {format_size(self.largest)}"

    def help(self) -> str:
        return "make the tensor smaller: by its layer, or by the sizes in `fix` and `target`"


@final
@dataclass(frozen=True)
class DataTooLarge(Message):
    """The rows of a data item, or what is computed of them, need more memory than there is. All
    rows are held at once: images at the size that `size=` gives them, one byte for each number,
    and columns that are computed of them with four."""

    code: ClassVar[str] = "W1341"

    what: str  # "the images of `photos`", "the columns of `d`"
    needed: int
    available: int
    type: str  # of the largest tensor
    largest: int

    def title(self) -> str:
        needed, there = format_size(self.needed), format_size(self.available)
        return f"{self.what} need {needed} of memory, and {there} is free"

    def label(self) -> str:
        return f"{self.type} takes {format_size(self.largest)}"

    def help(self) -> str:
        return "make rows smaller (`size=[64, 64]` of images), or give fewer of them"


@final
@dataclass(frozen=True)
class TooMuchWork(Message):
    """Running a net, to verify or to measure it, would take hours.

    Verification runs the meaning of a net in NumPy some ten times. With `--no-verify`, `weft
    compile` writes a file without running it here.
    """

    code: ClassVar[str] = "W1338"

    net: str
    sizes: str
    work: int
    most: int
    unit: str

    def title(self) -> str:
        place = f" at {self.sizes}" if self.sizes else ""
        return f"running `{self.net}`{place} takes {self.work:.3g} {self.unit}"

    def label(self) -> str:
        return f"this takes most of it; what is run here takes {self.most:.0e} at most"

    def help(self) -> str:
        return "make it smaller: by its layer, or by the sizes in `fix` and `target`"
