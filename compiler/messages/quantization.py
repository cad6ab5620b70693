"""Messages about computing in few bits: calibration, and what a runtime does with the result."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.diagnostics import Message
from compiler.messages.variants import variant_spec
from compiler.records import dataclass


@final
@dataclass(frozen=True)
class NoCalibrationSizes(Message):
    """A net is to be calibrated without data, and Weft finds no sizes that its inputs can have.

    Without training data, ranges of activations are measured on random inputs. Inputs need
    sizes; where dimensions are symbolic, Weft tries some. Say them in the `target` of the
    variant, or train the net on data in the same file.
    """

    code: ClassVar[str] = "W1140"
    net: str
    symbols: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.net}` cannot be calibrated: its inputs have no known size"

    def label(self) -> str:
        return (
            f"measures ranges on random inputs, for which {', '.join(self.symbols)} must be known"
        )

    def help(self) -> str:
        return f"give sizes in the variant: `target cpu, {self.symbols[0]}=…`"


@final
@dataclass(frozen=True)
class NothingToQuantize(Message):
    """No layer of a net can compute in integers.

    Integer kernels exist for convolutions and dense layers that compute in f32 with weights of
    their own. Here there are none, or `only` and `except` or a fixed `placement` leave none. To
    make the file smaller, store weights in few bits: `quantize(weights8)`.
    """

    code: ClassVar[str] = "W1141"
    bad: ClassVar[str] = variant_spec('apply quantize(int8, except=["hidden", "dense"])')
    good: ClassVar[str] = variant_spec('apply quantize(int8, except=["dense"])')
    net: str
    placement: str = ""

    def title(self) -> str:
        return f"no layer of `{self.net}` can compute in integers"

    def label(self) -> str:
        return "needs a convolution or dense layer in f32 that it may touch"

    def help(self) -> str:
        if self.placement:
            return (
                f'`placement="{self.placement}"` leaves every layer in floats; leave it out, and'
                " the placement is chosen"
            )
        return "look at `only` and `except`, or store weights in few bits: `quantize(weights8)`"


@final
@dataclass(frozen=True)
class IntegerRunsFloat(Message):
    """A layer that was quantized runs in floats after all.

    ONNX Runtime computes in integers where it finds a pattern that it has a kernel for. After
    compiling, Weft reads the graph that ONNX Runtime made of the file: here it dequantizes and
    computes in f32, which is slower than not to quantize the layer. Leave the layer out, or
    report it with the spec if it is of a usual kind.
    """

    code: ClassVar[str] = "W1142"
    layer: str
    operator: str
    source: str

    def title(self) -> str:
        return f"`{self.layer}` was planned in integers and runs as a float {self.operator}"

    def label(self) -> str:
        return "has no integer kernel in ONNX Runtime on this machine"

    def help(self) -> str:
        path = self.layer.partition("/")[0]
        return f'leave it as it is: `quantize(int8, except=["{path}"])`'
