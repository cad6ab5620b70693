"""Messages about computing in few bits: calibration, and what a runtime does with the result."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.variants import variant_spec
from compiler.report.messages.wording import count, list_words


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
class RangeNotFinite(Message):
    """A value that is to be rounded to levels is infinite or no number on calibration rows, so
    that it has no range: the logarithm of 0, an exponential of large numbers, a division by 0.

    What comes behind it is none either, so that it is to be bounded where it is made: with `clip`,
    or `x + 1e-6` before a logarithm. Where rows of the training hold such numbers, the net has
    learned nothing from them.
    """

    code: ClassVar[str] = "W1402"

    value: str

    def title(self) -> str:
        return f"`{self.value}` has no range: it is infinite or no number on calibration rows"

    def label(self) -> str:
        return "its levels cannot be placed"

    def help(self) -> str:
        return "bound what goes into it, or itself, with `clip`"


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
class FloatLayersTooMany(Message):
    """`float_layers` of `int8` names as many layers as the net has for integers, or more, so that
    none would compute in integers."""

    code: ClassVar[str] = "W1218"
    bad: ClassVar[str] = variant_spec("apply quantize(int8(float_layers=2))")
    good: ClassVar[str] = variant_spec("apply quantize(int8(float_layers=1))")
    asked: int
    layers: int

    def title(self) -> str:
        return f"`float_layers={self.asked}` leaves no layer in integers"

    def label(self) -> str:
        return f"{count(self.layers, 'layer')} may compute in integers"

    def help(self) -> str:
        if self.layers == 1:
            return "leave `float_layers` out"
        return f"at most {self.layers - 1} of them can stay float"


@final
@dataclass(frozen=True)
class NoIntegerOperator(Message):
    """`form="qoperator"` asks for integer operators in the file, and ONNX has none for some layers
    of the net that are rounded: matrix products without a batch axis, and those of more than two
    axes, stay products between rounded values, as they are without `form`."""

    code: ClassVar[str] = "W1217"
    net: str
    layers: tuple[str, ...] = ()

    def title(self) -> str:
        which = list_words(self.layers) if self.layers else "no layer"
        verb = "becomes" if len(self.layers) < 2 else "become"
        return f"{which} of `{self.net}` {verb} {'no' if self.layers else 'an'} integer operator"

    def label(self) -> str:
        return 'is rounded, and `form="qoperator"` has no operator for it'

    def help(self) -> str:
        own = "leave `form` out: the file computes in integers all the same"
        if not self.layers:
            return own
        kept = ", ".join(f'"{layer}"' for layer in self.layers)
        return f"{own}; or leave these layers in floats: `except=[{kept}]`"


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
