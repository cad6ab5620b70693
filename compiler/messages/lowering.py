"""Messages of the backends: what cannot be written as ONNX, and what verification found."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.diagnostics import Message
from compiler.records import dataclass


@final
@dataclass(frozen=True)
class OpsetTooOld(Message):
    """A layer needs an ONNX operator that the chosen opset does not have.

    Every opset adds operators. Most of what older ones lack Weft writes with several older
    operators; this one it does not. Choose a newer `opset`, if the runtime you deploy to reads
    it, or say the layer with others.
    """

    code: ClassVar[str] = "W0801"
    layer: str
    operator: str
    needed: int
    opset: int

    def title(self) -> str:
        return f"`{self.layer}` needs ONNX opset {self.needed}"

    def label(self) -> str:
        return f"is written as {self.operator}, which opset {self.opset} does not have"

    def help(self) -> str:
        return f"write `opset {self.needed}` in the `deploy` item, or give `--opset {self.needed}`"


@final
@dataclass(frozen=True)
class OpsetOutOfRange(Message):
    """The opset is older or newer than the ones Weft writes.

    Opset 18 is the oldest whose reductions and resizing mean what they mean today. The newest is
    the newest that ONNX Runtime runs, so that every file can be verified.
    """

    code: ClassVar[str] = "W0802"
    opset: int
    oldest: int
    newest: int

    def title(self) -> str:
        return f"there is no opset {self.opset} to write"

    def label(self) -> str:
        return f"choose an opset from {self.oldest} to {self.newest}"


@final
@dataclass(frozen=True)
class DimensionFixed(Message):
    """A dimension that is to stay free would become a number in the ONNX file.

    A dynamic dimension is a promise: the file accepts every size of it. Here the ONNX operator
    has an attribute that must be a number, and the number depends on the dimension. Give the
    dimension a size (`fix h=224`), or say the layer so that its arguments do not depend on it.
    """

    code: ClassVar[str] = "W0803"
    layer: str
    dim: str

    def title(self) -> str:
        return f"ONNX would fix the dynamic dimension `{self.dim}`"

    def label(self) -> str:
        return f"`{self.layer}` needs the number that `{self.dim}` stands for"

    def help(self) -> str:
        return "leave the dimension out of `dynamic` and give it a size"


@final
@dataclass(frozen=True)
class UnknownDimension(Message):
    """A name given as a dynamic or fixed dimension is no dimension of the model's inputs."""

    code: ClassVar[str] = "W0804"
    name: str
    known: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.name}` is no dimension of the inputs"

    def label(self) -> str:
        return (
            f"the free ones are {', '.join(self.known)}" if self.known else "none of them is free"
        )


@final
@dataclass(frozen=True)
class DimensionWithoutSize(Message):
    """`dynamic` names the dimensions that stay free, and this one is not among them.

    What is not dynamic must have a size in the ONNX file. Name it too, or give it a size.
    """

    code: ClassVar[str] = "W0805"
    name: str

    def title(self) -> str:
        return f"`{self.name}` is neither dynamic nor of a known size"

    def label(self) -> str:
        return f"leaves `{self.name}` without a size"

    def help(self) -> str:
        return f"name it in `dynamic` too, or give it a size: `fix {self.name}=16`"


@final
@dataclass(frozen=True)
class DimensionNotReadable(Message):
    """A dimension is needed at run time, and no input has an axis of exactly that size.

    Sizes are read off the shapes of the inputs. A name that occurs only inside an expression
    (`f32[batch, 2 * n]`) cannot be read off.
    """

    code: ClassVar[str] = "W0806"
    layer: str
    name: str

    def title(self) -> str:
        return f"no input shows the size of `{self.name}`"

    def label(self) -> str:
        return f"`{self.layer}` needs `{self.name}` at run time"

    def help(self) -> str:
        return f"give an input an axis of size `{self.name}` alone"


@final
@dataclass(frozen=True)
class WeightDoesNotFit(Message):
    """A weight handed to the compiler is missing, or has another shape than the parameter.

    An ONNX file holds the numbers of every parameter, so all of them must be there.
    """

    code: ClassVar[str] = "W0807"
    path: str
    expected: str
    found: tuple[int, ...] | None

    def title(self) -> str:
        if self.found is None:
            return f"there are no numbers for the weight `{self.path}`"
        return f"the weight `{self.path}` has the shape {list(self.found)}"

    def label(self) -> str:
        return f"needs {self.expected}"


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

    The file is damaged, it needs a newer ONNX Runtime, or one of its operators has no
    implementation for these element types on this device.
    """

    code: ClassVar[str] = "W0821"
    model: str
    reason: str

    def title(self) -> str:
        return f"ONNX Runtime refuses {self.model}: {self.reason}"

    def help(self) -> str:
        return "a lower `opset`, another device or `f32` may be what it knows"


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
    error: float
    allowed: float
    found: float
    expected: float
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
        return (
            f"the error is {self.error:.1e} of the largest number, {self.allowed:.1e} is allowed;"
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
    error: float

    def title(self) -> str:
        return f"the pass `{self.name}` changed the output `{self.output}` on {self.case}"

    def label(self) -> str:
        return f"the error is {self.error:.1e} of the largest number"


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
    error: float

    def title(self) -> str:
        return f"ONNX Runtime's optimizer changes the output `{self.output}` on {self.case}"

    def label(self) -> str:
        return f"the error is {self.error:.1e} of the largest number"

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


# --- training -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class TrainingFileMissing(Message):
    """The training script did not find a file that it reads.

    Paths in a spec start from the folder of the spec. The file was there when the spec was
    checked, or the script was run with another folder.
    """

    code: ClassVar[str] = "W0860"
    path: str

    def title(self) -> str:
        return f"the training found no file {self.path}"

    def label(self) -> str:
        return "is what was trained"

    def help(self) -> str:
        return "put the file there; paths start from the folder of the spec"


@final
@dataclass(frozen=True)
class LossNotFinite(Message):
    """The loss became infinite or stopped being a number, and nothing can be learned from it.

    Most often the learning rate is too high. A warm-up (`schedule=cosine(warmup=5%)`), a limit
    on the gradients (`clip 1.0`) or `precision bf16` in place of `f16` helps too. A logarithm of
    zero, a division by zero and missing values in the data have the same effect in the first
    step.
    """

    code: ClassVar[str] = "W0861"
    value: str
    epoch: int
    step: int

    def title(self) -> str:
        return f"the loss is {self.value} at epoch {self.epoch}, step {self.step}"

    def label(self) -> str:
        return "stopped there"

    def help(self) -> str:
        if self.epoch == 1 and self.step == 1:
            return "look for missing values in the data, log(0) and division by zero in the spec"
        return "try a lower `lr`, a warm-up, or `clip 1.0`"


@final
@dataclass(frozen=True)
class TrainingOutOfMemory(Message):
    """The training did not fit into the memory of the GPU.

    The whole data set is held on the device beside the network, its gradients, the state of the
    optimizer and the activations of one batch, which grow with `batch`.
    """

    code: ClassVar[str] = "W0862"
    batch: str

    def title(self) -> str:
        return "the GPU is out of memory"

    def label(self) -> str:
        return f"with batches of {self.batch} rows"

    def help(self) -> str:
        return "use a smaller `batch`, `precision bf16`, or `--device cpu`"


@final
@dataclass(frozen=True)
class TrainingDeviceMissing(Message):
    """A training was asked to run on a CUDA device where PyTorch finds none.

    Either there is no GPU, or the installed PyTorch is one for the CPU only.
    """

    code: ClassVar[str] = "W0863"

    def title(self) -> str:
        return "PyTorch finds no CUDA device"

    def help(self) -> str:
        return "give `--device cpu`, or install PyTorch for CUDA"


@final
@dataclass(frozen=True)
class TrainingKilled(Message):
    """The process of the training was ended from outside.

    SIGKILL is most often the system, out of memory. Finished epochs are kept: the same command
    goes on from there.
    """

    code: ClassVar[str] = "W0864"
    signal: str

    def title(self) -> str:
        return f"the training was ended by {self.signal}"

    def label(self) -> str:
        return "goes on after its last finished epoch when it is run again"

    def help(self) -> str | None:
        if self.signal != "SIGKILL":
            return None
        return "if memory ran out, use a smaller `batch`"


@final
@dataclass(frozen=True)
class TrainingFailed(Message):
    """The training script ended with an error of its own.

    The script that Weft writes runs alone (`python train.py`), and the whole of what it said
    stands in the log that the message names.
    """

    code: ClassVar[str] = "W0865"
    reason: str
    log: str

    def title(self) -> str:
        return f"the training failed: {self.reason}"

    def label(self) -> str:
        return "is what was trained"

    def help(self) -> str:
        return f"what the script said is in {self.log}"
