"""Messages about running what was compiled: devices, refusals, and what verification found."""

from __future__ import annotations

import math
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message, Severity


@final
@dataclass(frozen=True)
class DeviceMissing(Message):
    """CUDA was asked for and cannot be used.

    ONNX Runtime needs the package `onnxruntime-gpu` and CUDA's libraries. `--device auto` takes
    CUDA where it works and the CPU elsewhere.
    """

    code: ClassVar[str] = "W0820"
    reason: str

    def title(self) -> str:
        return f"CUDA cannot be used: {self.reason}"

    def help(self) -> str:
        return "install `weft[gpu]`, or give `--device cpu`"


@final
@dataclass(frozen=True)
class ModelRefused(Message):
    """ONNX Runtime does not load the model.

    The file is no ONNX, it is damaged, it needs a newer ONNX Runtime, or one of its operators has
    no implementation for these element types on this device.
    """

    code: ClassVar[str] = "W0821"
    model: str
    reason: str
    status: str = ""
    """ONNX Runtime's name of what went wrong."""

    def title(self) -> str:
        return f"ONNX Runtime refuses {self.model}: {self.reason}"

    def label(self) -> str:
        return "this layer is written as the operator that it refuses"

    def help(self) -> str:
        match self.status:
            case "INVALID_PROTOBUF" | "NO_MODEL" | "NO_SUCHFILE":
                return "give an ONNX file: `weft compile SPEC -o DIR --onnx` writes one"
            case "NOT_IMPLEMENTED":
                return "there are kernels of f32 for every operator: `cast(f32)` before the layer"
        return (
            "open it with the version of ONNX Runtime that it was written for; where Weft has just"
            " written it, please report this with the spec"
        )


@final
@dataclass(frozen=True)
class BackendsDiffer(Message):
    """A backend computes something else than the spec means.

    Verification runs the network's meaning in NumPy, the generated PyTorch and the ONNX file on
    random and edge inputs. This is the first layer whose result differs although what goes in
    agrees, so the fault is in how this layer is written for the backend, or in the backend
    itself. It is no fault of the spec: please report it with the spec.
    """

    code: ClassVar[str] = "W0810"
    backend: str
    layer: str
    case: str
    found: float
    expected: float
    allowed: float
    index: tuple[int, ...]
    reason: str

    def title(self) -> str:
        return f"{self.backend} computes `{self.layer}` differently on {self.case}"

    def label(self) -> str:
        if self.reason:
            return self.reason
        place = f"at {list(self.index)}" if self.index else "here"
        return f"{place} it gives {self.found:.7g}, which should be {self.expected:.7g}"

    def help(self) -> str:
        error = abs(self.found - self.expected)
        if not math.isfinite(error):
            return "please report this with the spec"
        return (
            f"the difference is {error:.1e}, and rounding explains {self.allowed:.1e};"
            " please report this with the spec"
        )


@final
@dataclass(frozen=True)
class PassChangedMeaning(Message):
    """A pass of the compiler changed what the network computes.

    Passes rewrite the network before it becomes an ONNX file, and none of them may change the
    outputs by more than rounding. It is no fault of the spec: please report it with the spec.
    """

    code: ClassVar[str] = "W0811"
    name: str
    output: str
    case: str
    found: float
    expected: float

    def title(self) -> str:
        return f"the pass `{self.name}` changed the output `{self.output}` on {self.case}"

    def label(self) -> str:
        return f"it gives {self.found:.7g}, which should be {self.expected:.7g}"


@final
@dataclass(frozen=True)
class PassMadeNan(Message):
    """A pass of the compiler made something that is no number out of weights that are numbers.

    A batch norm is folded into the layer before it, for example, by dividing by the root of its
    variance. Every output behind it would be no number, whatever the inputs are: some weight is
    outside of what its layer takes.
    """

    code: ClassVar[str] = "W1364"
    name: str
    path: str

    def title(self) -> str:
        return f"the pass `{self.name}` makes numbers of `{self.path}` that are not a number (NaN)"

    def label(self) -> str:
        return "all weights that it reads are numbers"

    def help(self) -> str:
        return "look for weights of this layer that it cannot take: a variance below 0"


@final
@dataclass(frozen=True)
class OptimizerDiffers(Message):
    """ONNX Runtime's own optimizer changes the outputs.

    The file computes what the spec means when ONNX Runtime runs it node by node, and something
    else after ONNX Runtime has rewritten it. Another version of ONNX Runtime may behave.
    """

    code: ClassVar[str] = "W0812"
    output: str
    case: str
    found: float
    expected: float

    def title(self) -> str:
        return f"ONNX Runtime's optimizer changes the output `{self.output}` on {self.case}"

    def label(self) -> str:
        return f"it gives {self.found:.7g}, which should be {self.expected:.7g}"

    def help(self) -> str:
        return "try another version of ONNX Runtime, or disable its graph optimizations"


@final
@dataclass(frozen=True)
class BackendFailed(Message):
    """A backend raised an error on inputs that the spec's types allow."""

    code: ClassVar[str] = "W0813"
    backend: str
    case: str
    reason: str

    def title(self) -> str:
        return f"{self.backend} fails on {self.case}"

    def label(self) -> str:
        return self.reason

    def help(self) -> str:
        return "the spec allows these inputs: please report this with the spec"


@final
@dataclass(frozen=True)
class NoPossibleSizes(Message):
    """No sizes of the dimensions were found at which the network could run.

    Verification needs sizes at which every tensor has elements and every condition holds.
    """

    code: ClassVar[str] = "W0814"
    model: str
    names: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.model}` cannot be verified: no sizes fit its conditions"

    def label(self) -> str:
        return f"no sizes up to 1024 of {', '.join(self.names)} were found"


@final
@dataclass(frozen=True)
class NotVerified(Message):
    """A deployment says `verify off`: its file is written although nobody holds it against the
    meaning of the spec. It may compute something else. What the spec requires is still measured."""

    code: ClassVar[str] = "W1251"
    severity: ClassVar[Severity] = Severity.WARNING
    file: str

    def title(self) -> str:
        return f"{self.file} is NOT VERIFIED"

    def label(self) -> str:
        return "it may compute something else than the spec means"

    def help(self) -> str:
        return "without `verify off` NumPy, PyTorch and ONNX Runtime must agree"


@final
@dataclass(frozen=True)
class NoAllowedInputs(Message):
    """No numbers were found that the inputs of the network may hold.

    Verification and passes run the network on numbers that they draw. Where a table is indexed, or
    a whole number divides, they are chosen so that every place lies inside its table and no divisor
    is 0, wherever in the network these come from. Here every number that was tried leads outside.
    """

    code: ClassVar[str] = "W1250"
    model: str
    layer: str

    def title(self) -> str:
        return f"no inputs of `{self.model}` were found that it takes"

    def label(self) -> str:
        return f"all numbers tried are outside of what `{self.layer}` takes"

    def help(self) -> str:
        return (
            "keep what goes in here in its range (`clip`, `%`), or write `verify off` in the"
            " `deploy` to have a file that nobody has verified"
        )


@final
@dataclass(frozen=True)
class RowsOutsideDomain(Message):
    """Rows of the data hold numbers that a layer does not take.

    Verification also runs the network on some rows of its data. One of them names a place beyond
    the end of a table, or below 0, or divides by 0.
    """

    code: ClassVar[str] = "W1252"
    model: str
    layer: str

    def title(self) -> str:
        return f"rows of the data hold numbers that `{self.layer}` of `{self.model}` does not take"

    def label(self) -> str:
        return "a place lies outside of its table, or a divisor is 0"

    def help(self) -> str:
        return "`weft check --data` shows the range of every column"


# --- training -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class InvalidOnnx(Message):
    """An ONNX file breaks a rule of ONNX.

    Verification runs ONNX's own checker on the file, and its strict shape inference, which must
    not find a number where the spec left a dimension free. For a file that Weft wrote it is no
    fault of the spec: please report it with the spec.
    """

    code: ClassVar[str] = "W0815"
    file: str
    reason: str

    def title(self) -> str:
        return f"`{self.file}` is no valid ONNX model"

    def label(self) -> str:
        return self.reason

    def help(self) -> str:
        return "compile it again; where Weft has just written it, please report this with the spec"
