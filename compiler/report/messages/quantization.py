"""Messages about computing in few bits: calibration, and what a runtime does with the result."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.variants import variant_spec
from compiler.report.messages.wording import count, list_words
from compiler.report.sessions import tiny
from compiler.report.source import Span


@message("W1140")
def no_calibration_sizes(span: Span | None, net: str, symbols: tuple[str, ...]) -> Text:
    """A net is to be calibrated without data, and Weft finds no sizes that its inputs can have.

    Without training data, ranges of activations are measured on random inputs. Inputs need
    sizes; where dimensions are symbolic, Weft tries some. Say them in the `target` of the
    variant, or train the net on data in the same file.
    """
    return Text(
        f"`{net}` cannot be calibrated: its inputs have no known size",
        label=f"measures ranges on random inputs, for which {', '.join(symbols)} must be known",
        help=f"give sizes in the variant: `target cpu, {symbols[0]}=…`",
    )


@message(
    "W1402",
    console=tiny("quantize(int8)", "size <= 8KiB", layer="log -> dense(8) -> relu -> dense(3)")
    + """\
$ weft build net.weft -o out
""",
    mended=tiny(
        "quantize(int8)",
        "size <= 8KiB",
        layer="clip(0.1, 10) -> log -> dense(8) -> relu -> dense(3)",
    )
    + """\
$ weft build net.weft -o out
""",
)
def range_not_finite(span: Span | None, value: str) -> Text:
    """A value that is to be rounded to levels is infinite or no number on calibration rows, so
    that it has no range: the logarithm of 0, an exponential of large numbers, a division by 0.

    What comes behind it is none either, so that it is to be bounded where it is made: with `clip`,
    or `x + 1e-6` before a logarithm. Where rows of the training hold such numbers, the net has
    learned nothing from them.
    """
    return Text(
        f"`{value}` has no range: it is infinite or no number on calibration rows",
        label="its levels cannot be placed",
        help="bound what goes into it, or itself, with `clip`",
    )


@message(
    "W1141",
    bad=variant_spec('apply quantize(int8, except=["hidden", "dense"])'),
    good=variant_spec('apply quantize(int8, except=["dense"])'),
)
def nothing_to_quantize(span: Span | None, net: str, placement: str = "") -> Text:
    """No layer of a net can compute in integers.

    Integer kernels exist for convolutions and dense layers that compute in f32 with weights of
    their own. Here there are none, or `only` and `except` or a fixed `placement` leave none. To
    make the file smaller, store weights in few bits: `quantize(weights8)`.
    """
    if placement:
        advice = (
            f'`placement="{placement}"` leaves every layer in floats; leave it out, and'
            " the placement is chosen"
        )
    else:
        advice = "look at `only` and `except`, or store weights in few bits: `quantize(weights8)`"
    return Text(
        f"no layer of `{net}` can compute in integers",
        label="needs a convolution or dense layer in f32 that it may touch",
        help=advice,
    )


@message(
    "W1218",
    bad=variant_spec("apply quantize(int8(float_layers=2))"),
    good=variant_spec("apply quantize(int8(float_layers=1))"),
)
def float_layers_too_many(span: Span | None, asked: int, layers: int) -> Text:
    """`float_layers` of `int8` names as many layers as the net has for integers, or more, so that
    none would compute in integers."""
    if layers == 1:
        advice = "leave `float_layers` out"
    else:
        advice = f"at most {layers - 1} of them can stay float"
    return Text(
        f"`float_layers={asked}` leaves no layer in integers",
        label=f"{count(layers, 'layer')} may compute in integers",
        help=advice,
    )


@message(
    "W1217",
    console=tiny(
        'quantize(int8(form="qoperator"))',
        "size <= 8KiB",
        input="f32[16]",
        rest="deploy tiny as onnx\n",
    )
    + """\
$ weft build net.weft -o out
""",
    mended=tiny("quantize(int8)", "size <= 8KiB", input="f32[16]", rest="deploy tiny as onnx\n")
    + """\
$ weft build net.weft -o out
""",
)
def no_integer_operator(span: Span | None, net: str, layers: tuple[str, ...] = ()) -> Text:
    """`form="qoperator"` asks for integer operators in the file, and ONNX has none for some layers
    of the net that are rounded: matrix products without a batch axis, and those of more than two
    axes, stay products between rounded values, as they are without `form`."""
    which = list_words(layers) if layers else "no layer"
    verb = "becomes" if len(layers) < 2 else "become"
    own = "leave `form` out: the file computes in integers all the same"
    if not layers:
        advice = own
    else:
        kept = ", ".join(f'"{layer}"' for layer in layers)
        advice = f"{own}; or leave these layers in floats: `except=[{kept}]`"
    return Text(
        f"{which} of `{net}` {verb} {'no' if layers else 'an'} integer operator",
        label='is rounded, and `form="qoperator"` has no operator for it',
        help=advice,
    )


@message("W1142")
def integer_runs_float(span: Span | None, layer: str, operator: str) -> Text:
    """A layer that was quantized runs in floats after all.

    ONNX Runtime computes in integers where it finds a pattern that it has a kernel for. After
    compiling, Weft reads the graph that ONNX Runtime made of the file: here it dequantizes and
    computes in f32, which is slower than not to quantize the layer. Leave the layer out, or
    report it with the spec if it is of a usual kind.
    """
    path = layer.partition("/")[0]
    return Text(
        f"`{layer}` was planned in integers and runs as a float {operator}",
        label="has no integer kernel in ONNX Runtime on this machine",
        help=f'leave it as it is: `quantize(int8, except=["{path}"])`',
    )
