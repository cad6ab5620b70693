"""Cases of convolutions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.convolution import Conv, ConvTranspose
from compiler.ops.windows import spread
from tests.laws.harness import Case, cases, draw_numbers, make_case


def draw_sizes(draw: Any, axes: int, least: int, most: int) -> int | tuple[int, ...]:
    """One number, or one for each axis."""
    one = st.integers(least, most)
    return draw(st.one_of(one, st.tuples(*[one] * axes)))


def spatial_symbols(draw: Any, axes: int) -> dict[tuple[int, int], str]:
    """Names for some sizes of an image."""
    names = {(0, 0): "batch", **{(0, 2 + a): "dhw"[3 - axes + a] for a in range(axes)}}
    return {key: name for key, name in names.items() if draw(st.booleans())}


@cases("conv")
def draw_conv(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    kernel = draw_sizes(draw, axes, 1, 3)
    stride = draw_sizes(draw, axes, 1, 3)
    padding = draw(st.sampled_from(("number", "same", "valid")))
    symbols = spatial_symbols(draw, axes)
    if padding == "same":
        kernel, stride = draw(st.sampled_from(((3, 1), (2, 1), (1, 2), (3, 2), (2, 2), (3, 3))))
        if not set(symbols) & {(0, 2), (0, 3), (0, 4)}:
            stride = draw_sizes(draw, axes, 1, 4)
    op = Conv(
        out=groups * draw(st.integers(1, 3)),
        kernel=kernel,
        stride=stride,
        padding=draw_sizes(draw, axes, 0, 2) if padding == "number" else padding,
        dilation=draw_sizes(draw, axes, 1, 2),
        groups=groups,
        bias=draw(st.booleans()),
    )
    largest = 9 if axes < 3 else 7
    sizes = [draw(st.integers(5, largest)) for _ in range(axes)]
    x = draw_numbers(draw, (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *sizes))
    return make_case(op, x, symbols=symbols)


@cases("conv_transpose")
def draw_conv_transpose(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))
    groups = draw(st.sampled_from((1, 1, 2)))
    stride, dilation = draw_sizes(draw, axes, 1, 3), draw_sizes(draw, axes, 1, 2)
    most = min(stride if isinstance(stride, int) else min(stride), 2) - 1
    kernel = draw_sizes(draw, axes, 1, 3)
    plain = draw_sizes(draw, axes, 0, 1)
    padding = draw(st.sampled_from((plain, "valid", "same")))
    if padding == "same" and any(
        d * (k - 1) + 1 > s and (d * (k - 1) + 1 - s) % 2
        for k, s, d in zip(*(spread("", v, axes) for v in (kernel, stride, dilation)), strict=True)
    ):
        padding = plain  # an odd number of entries would be cut
    op = ConvTranspose(
        out=groups * draw(st.integers(1, 3)),
        kernel=kernel,
        stride=stride,
        padding=padding,
        output_padding=draw(st.integers(0, most)) if padding != "same" else 0,
        groups=groups,
        bias=draw(st.booleans()),
        dilation=dilation,
    )
    sizes = [draw(st.integers(3, 5)) for _ in range(axes)]
    x = draw_numbers(draw, (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *sizes))
    # The evaluator of onnx 1.23 cannot reshape the weight of a grouped transposed convolution.
    skip = {"reference": "groups"} if groups > 1 else {}
    return make_case(op, x, symbols=spatial_symbols(draw, axes), skip=skip)
