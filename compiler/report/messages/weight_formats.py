"""Messages about the form in which weights are kept."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.variants import variant_spec


@final
@dataclass(frozen=True)
class NoDenseLayer(Message):
    """A scheme that quantizes dense layers finds none that it may touch.

    `dynamic`, `weights8` and `weights4` compute dense layers (`dense`) with weights of few bits.
    Convolutions and everything else they leave in fractions, and `weights8` and `weights4` also
    weights with fewer than 1,024 numbers. A net without such dense layers, or one of which `only`
    and `except` leave none, gains nothing by them: `stored8` and `stored4` keep every weight in
    few bits, and `int8` computes convolutions in integers.
    """

    code: ClassVar[str] = "W1155"
    bad: ClassVar[str] = variant_spec('apply quantize(weights4, except=["hidden"])')
    good: ClassVar[str] = variant_spec("apply quantize(weights4)")
    net: str
    scheme: str
    least: int = 1

    def title(self) -> str:
        return f"`{self.net}` has no dense layer for `{self.scheme}`"

    def label(self) -> str:
        size = f" of {self.least:,} numbers or more" if self.least > 1 else ""
        return f"needs a dense layer in f32 that it may touch, with a weight of its own{size}"

    def help(self) -> str:
        return "look at `only` and `except`, or store all weights: `quantize(stored8)`"


@final
@dataclass(frozen=True)
class NoHalfKernels(Message):
    """A net is to compute in bf16 on the CPU.

    ONNX Runtime computes in bf16 on CUDA only. On the CPU `bfloat16` keeps the weights in 16 bits
    in the file and computes in f32; that is what it does without `compute="always"`.
    """

    code: ClassVar[str] = "W1156"
    scheme: str

    def title(self) -> str:
        return f"`{self.scheme}` does not compute on the CPU"

    def label(self) -> str:
        return "asks for products in bf16, for which ONNX Runtime has no kernels on the CPU"

    def help(self) -> str:
        return "leave `compute` out to store weights only, or write `target cuda`"
