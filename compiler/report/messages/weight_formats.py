"""Messages about the form in which weights are kept."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.variants import variant_spec
from compiler.report.source import Span


@message(
    "W1155",
    bad=variant_spec('apply quantize(weights4, except=["hidden"])'),
    good=variant_spec("apply quantize(weights4)"),
)
def no_dense_layer(span: Span | None, net: str, scheme: str, least: int = 1) -> Text:
    """A scheme that quantizes dense layers finds none that it may touch.

    `dynamic`, `weights8` and `weights4` compute dense layers (`dense`) with weights of few bits.
    Convolutions and everything else they leave in floating point, and `weights8` and `weights4`
    also weights with fewer than 1,024 numbers. A net without such dense layers, or one of which
    `only` and `except` leave none, gains nothing by them: `stored8` and `stored4` keep every weight
    in few bits, and `int8` computes convolutions in integers.
    """
    size = f" of {least:,} numbers or more" if least > 1 else ""
    return Text(
        f"`{net}` has no dense layer for `{scheme}`",
        label=f"needs a dense layer in f32 that it may touch, with a weight of its own{size}",
        help="look at `only` and `except`, or store all weights: `quantize(stored8)`",
    )


@message(
    "W1156",
    bad=variant_spec('apply quantize(bfloat16(compute="always"))'),
    good=variant_spec("apply quantize(bfloat16)"),
)
def no_half_kernels(span: Span | None, scheme: str) -> Text:
    """A net is to compute in bf16 on the CPU.

    ONNX Runtime computes in bf16 on CUDA only. On the CPU `bfloat16` keeps the weights in 16 bits
    in the file and computes in f32; that is what it does without `compute="always"`.
    """
    return Text(
        f"`{scheme}` does not compute on the CPU",
        label="asks for products in bf16, for which ONNX Runtime has no kernels on the CPU",
        help="leave `compute` out to store weights only, or write `target cuda`",
    )
