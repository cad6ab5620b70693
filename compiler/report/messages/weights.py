"""Messages about files of weights, and the layers that they belong to."""

from __future__ import annotations

from typing import ClassVar

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity
from compiler.report.messages.wording import SHOWN, list_words
from compiler.report.source import Span


@dataclass(frozen=True)
class WeightsUnreadable(Message):
    """A weights file is missing, cut short, or no safetensors file.

    Weft reads weights only from safetensors: unlike a pickle, such a file can run no code.
    """

    code: ClassVar[str] = "W0906"

    reason: str
    trained: bool = False
    """Whether it is what a training has left."""

    def title(self) -> str:
        return f"the weights cannot be read: {self.reason}"

    def help(self) -> str:
        if self.trained:
            return "train again, with `weft build --force` or `weft train --overwrite`"
        return "save them with `safetensors.torch.save_file(model.state_dict(), path)`"


class AboutLayer(Message):
    """Base of what is said of one weight: beside the `load` that names its file, the layer that
    it belongs to is shown. Where a command or Python named the file, the layer is the place."""

    layer: Span | None

    def labels(self) -> tuple[Label, ...]:
        """The layer."""
        if self.layer is None or self.layer == self.span:
            return ()
        return (Label(self.layer, "the layer that it belongs to"),)


@dataclass(frozen=True)
class WeightMissing(AboutLayer):
    """The net has a parameter for which the weights file has nothing. Load a part with `only=`
    or `except=`, and rename paths with `rename=["old.*" -> "new.*"]`."""

    code: ClassVar[str] = "W0907"

    file: str
    paths: tuple[str, ...]
    suggestion: str | None = None
    layer: Span | None = None

    def title(self) -> str:
        shown = ", ".join(f"`{p}`" for p in self.paths[:3])
        more = f" and {len(self.paths) - 3} more" if len(self.paths) > 3 else ""
        return f"`{self.file}` has no {shown}{more}"

    def help(self) -> str | None:
        return f"the file has `{self.suggestion}`" if self.suggestion else None


@dataclass(frozen=True)
class WeightsSurplus(Message):
    """A weights file holds tensors that the net does not have.

    A file of another net, or a layer that was forgotten in the spec, would pass without a word.
    Name what is left out: `load("r.safetensors", except=["fc.*"])`; or what is taken: `only=`.
    The counters `num_batches_tracked` of PyTorch's batch norms are no weights and may be there.
    """

    code: ClassVar[str] = "W1371"

    file: str
    paths: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.file}` holds {list_words(self.paths)}, which the net does not have"

    def help(self) -> str:
        patterns = ", ".join(f'"{path}"' for path in self.paths[:SHOWN])
        if self.span is None:
            return f'load it in the spec: `net n = Model() -> load("…", except=[{patterns}])`'
        return f"write `except=[{patterns}]` to leave them out, or `rename=` if they belong"


@dataclass(frozen=True)
class PatternUnused(Message):
    """A pattern of `load` matches nothing: no path of the net (`only=`), none of the net and the
    file (`except=`), none of the file (`rename=`)."""

    code: ClassVar[str] = "W1372"

    file: str
    option: str
    patterns: tuple[str, ...]

    def title(self) -> str:
        shown = ", ".join(f'"{pattern}"' for pattern in self.patterns[:SHOWN])
        return f"`{self.option}=` of `load` matches nothing: {shown}"

    def label(self) -> str:
        if self.option == "rename":
            return f"no tensor of `{self.file}` is called so"
        return "no weight is called so"


@dataclass(frozen=True)
class WeightsCollide(Message):
    """Two tensors of a weights file come under one path after `rename=`: which of them the net
    gets would be chance."""

    code: ClassVar[str] = "W1373"

    file: str
    path: str
    both: tuple[str, str]

    def title(self) -> str:
        return f"{list_words(self.both)} of `{self.file}` both become `{self.path}`"

    def help(self) -> str:
        return "leave one out: rename it to a path that the net does not have, and `except=` that"


@dataclass(frozen=True)
class NotOurFile(Message):
    """A command would write over a weights file that it did not write: the one that it reads, or
    one that was there before. Choose another folder with `-o`, or move the file away."""

    code: ClassVar[str] = "W1374"

    path: str

    def title(self) -> str:
        return f"`{self.path}` was not written by `weft compile`, and would be lost"

    def help(self) -> str:
        return "choose another folder with `-o`, or move the file away"


@dataclass(frozen=True)
class WeightShape(AboutLayer):
    """A weight in the file has another shape than the parameter of that path."""

    code: ClassVar[str] = "W0908"

    file: str
    path: str
    found: tuple[int, ...]
    expected: str
    layer: Span | None = None

    def title(self) -> str:
        return f"`{self.path}` has the shape {list(self.found)} in `{self.file}`"

    def label(self) -> str:
        return f"the net has {self.expected}"


@dataclass(frozen=True)
class WeightKind(AboutLayer):
    """A weight is given as numbers of another kind than the parameter holds.

    Floating-point numbers of any width are taken for floating-point weights, signed whole numbers
    for signed ones, unsigned ones for unsigned ones and booleans for booleans. Anything else
    would lose something: the imaginary part of complex numbers, the fraction of others; and i8
    codes are no weights without the scale that belongs to them.
    """

    code: ClassVar[str] = "W1365"

    file: str
    path: str
    found: str
    expected: str
    layer: Span | None = None

    def title(self) -> str:
        return f"`{self.path}` is of dtype {self.found} in `{self.file}`"

    def label(self) -> str:
        return f"the net has {self.expected}"

    def help(self) -> str:
        return "save it in a dtype of the same kind: floating-point, signed, unsigned or boolean"


@dataclass(frozen=True)
class _NumbersRefused(AboutLayer):
    """`count` numbers of a weight, one of which is `found`, are not what is `expected`."""

    file: str
    path: str
    count: int
    found: float
    expected: str
    layer: Span | None = None

    def say(self, reason: str) -> str:
        """The title: how many numbers of the weight, and what is wrong with them."""
        numbers = "1 number" if self.count == 1 else f"{self.count:,} numbers"
        return f"`{self.path}` has {numbers} in `{self.file}` that {reason}"


@dataclass(frozen=True)
class WeightRange(_NumbersRefused):
    """Weights hold numbers that their layer cannot take: a variance below 0, which has no root.

    A training leaves no such numbers. The file is damaged, or a tensor got the name of another.
    """

    code: ClassVar[str] = "W1366"

    def title(self) -> str:
        return self.say("it cannot have")

    def label(self) -> str:
        return f"one is {self.found:.6g}, and they are {self.expected}"

    def help(self) -> str:
        return "look at the tensor in the file: it is damaged, or belongs to another name"


@dataclass(frozen=True)
class WeightsTooLarge(_NumbersRefused):
    """Weights are numbers that the dtype of the parameter does not hold: f32 ends at 3.4e38, f16 at
    65504, i8 at 127."""

    code: ClassVar[str] = "W1367"

    def title(self) -> str:
        return self.say(f"{self.expected} does not hold")

    def label(self) -> str:
        return f"one is {self.found:.6g}"

    def help(self) -> str:
        return f"save weights that {self.expected} holds, or give the layer inputs of a wider dtype"


@dataclass(frozen=True)
class WeightsNotFinite(AboutLayer):
    """Weights of a net are infinite or no numbers.

    Outputs of such a net are no numbers whatever is done to it, and passes measure, cut and round
    weights by their size. Mostly they come from a file of a training that diverged, or of one
    that was saved in a precision in which its numbers have no room. Load another file.
    """

    code: ClassVar[str] = "W0916"

    path: str
    count: int
    file: str = ""
    layer: Span | None = None

    def title(self) -> str:
        numbers = "1 number" if self.count == 1 else f"{self.count:,} numbers"
        place = f" in `{self.file}`" if self.file else ""
        return f"{numbers} of `{self.path}`{place} {'is' if self.count == 1 else 'are'} not finite"

    def label(self) -> str:
        return "nothing can be made of a net that computes no numbers"

    def help(self) -> str:
        return "load weights of a training that did not diverge"


@dataclass(frozen=True)
class WeightsNeeded(Message):
    """A train was to be compiled to ONNX, but its weights are made by training and no file with
    them was given. `weft build` trains it and writes the ONNX files of its deployments too."""

    code: ClassVar[str] = "W0914"

    name: str
    spec: str
    file: str  # where a build leaves the weights, if no other folder is asked for

    def title(self) -> str:
        return f"`{self.name}` is compiled with trained weights, and no file gives them"

    def label(self) -> str:
        return "these weights are made by training"

    def help(self) -> str:
        return f"after `weft build {self.spec}`, give those of the build: `--weights {self.file}`"


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
