"""Messages about backends: what ONNX or PyTorch cannot say, and why."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message


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
class KernelMissing(Message):
    """A layer becomes an operator that ONNX Runtime does not compute in the dtype of its input.

    ONNX Runtime has kernels of f32 for every operator, and of f64 for some. Most of what it lacks
    Weft writes with several others; this one it does not. PyTorch computes it in every dtype.
    """

    code: ClassVar[str] = "W1363"
    layer: str
    operator: str
    dtype: str

    def title(self) -> str:
        return f"ONNX Runtime does not compute `{self.layer}` in {self.dtype}"

    def label(self) -> str:
        return f"is written as {self.operator}, of which there is no kernel for {self.dtype}"

    def help(self) -> str:
        return "turn its input into f32 before it: `cast(f32)`"


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
class PathIsAssigned(Message):
    """A layer or weight has the name of an attribute that PyTorch's modules assign themselves.

    `module.eval()` sets `module.training`, so that no module of a net can be called `training`.
    """

    code: ClassVar[str] = "W1293"

    path: str

    def title(self) -> str:
        return f"no module of PyTorch can hold `{self.path}`"

    def label(self) -> str:
        return "PyTorch assigns an attribute of this name"

    def help(self) -> str | None:
        return "give it another name with `as`"


@final
@dataclass(frozen=True)
class PathIsWeightAndModule(Message):
    """A weight, or a layer with weights, has a path below which the weights of others live.

    In PyTorch a name in a module is a weight or another module, never both; a checkpoint with
    `scale` and `scale.weight` could not be loaded into any module, and one with `conv.weight` and
    `conv.1.weight` into none that is written with layers. Name one of them otherwise: `as` names
    the stage before it alone.
    """

    code: ClassVar[str] = "W0840"
    good: ClassVar[str] = """\
model M {
    input x: f32[batch, 4]
    param scale: f32[4] = ones
    y = x * scale
    output z = y -> dense(3) as "head.inner"
}
"""
    path: str
    inner: str
    what: str = "weight"

    def title(self) -> str:
        return f"`{self.path}` is a {self.what} and holds another"

    def label(self) -> str:
        return f"this is a {self.what}, and `{self.inner}` lives below it"

    def help(self) -> str:
        return "give one of them another name with `as`"
