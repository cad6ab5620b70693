"""Cases of padding, resizing and other functions of images."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.images import Normalize, PixelShuffle, PixelUnshuffle
from compiler.ops.padding import Pad
from compiler.ops.resizing import Resize
from compiler.ops.sampling import GridSample
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_reduction import draw_symbols

FLOATS = st.sampled_from(("float32", "float64"))


@cases("pad")
def draw_pad(draw: Any) -> Case:
    mode = draw(st.sampled_from(("constant", "constant", "reflect", "replicate", "circular")))
    if mode == "constant":
        shape = draw_shape(draw, 1, 4)
        dtype = draw(st.sampled_from((*NUMBERS, "bool")))
        count = draw(st.integers(0, len(shape)))
        least = -1 if dtype == "float32" else 0
        sizes = [draw(st.integers(least if n > 2 else 0, 3)) for n in shape[::-1] for _ in range(2)]
        value = 0.0 if dtype in ("bool", "uint8") else draw(st.sampled_from((0.0, 2.0, -1.0)))
        op = Pad(tuple(sizes[: 2 * count]), value=value)
    else:
        padded = draw(st.integers(1, 3))
        shape = (*draw_shape(draw, 1, 2), *draw_shape(draw, padded, padded))
        dtype = draw(FLOATS)
        most = {"reflect": 1, "replicate": -3, "circular": 0}[mode]
        sizes = [draw(st.integers(0, n - most)) for n in shape[::-1] for _ in range(2)]
        op = Pad(tuple(sizes[: 2 * padded]), mode)
    cut = any(w < 0 for w in op.widths)
    symbols = {} if cut or mode != "constant" else draw_symbols(draw, len(shape))
    skip = {"reference": "it has no widths below 0"} if cut else {}
    return make_case(op, draw_numbers(draw, shape, dtype, 0, 6), symbols=symbols, skip=skip)


@cases("resize")
def draw_resize(draw: Any) -> Case:
    space = draw(st.integers(1, 3))
    modes = ["nearest", "nearest-exact", "linear", *(["bilinear", "bicubic"] if space == 2 else [])]
    mode = draw(st.sampled_from(modes))
    sizes = draw_shape(draw, space, space, 6)
    corners = draw(st.booleans()) and not mode.startswith("nearest")
    smooth = space == 2 and mode in ("linear", "bilinear", "bicubic") and draw(st.booleans())
    options = {"mode": mode, "align_corners": corners and not smooth, "antialias": smooth}
    front = draw_shape(draw, 1, 2, 2)
    listed = len(front) == 1 or draw(st.booleans())
    symbols: dict[tuple[int, int], str] = {}
    if draw(st.booleans()):
        made = tuple(draw(st.integers(1, 9)) for _ in sizes)
        op = Resize(size=made if listed else made[0], **options)
    else:
        factors = tuple(
            draw(st.sampled_from((1.0, 2.0, 3.0, 1.5, 0.5, 0.7, 1.1, 4 / 3))) for _ in sizes
        )
        # What keeps its size by rounding is refused in the mode "nearest".
        factors = tuple(
            f if n * f >= 1 and (f == 1 or int(n * f) != n) else 2.0
            for f, n in zip(factors, sizes, strict=True)
        )
        if not listed and any(n * factors[0] < 1 for n in sizes):
            factors = (2.0,)
        op = Resize(scale=factors if listed else factors[0], **options)
        drawn = draw_symbols(draw, space)
        symbols = {(0, len(front) + a): n for (_, a), n in drawn.items()}
    dtype = draw(FLOATS)
    skip = {}
    if dtype == "float64":
        skip = dict.fromkeys(("onnxruntime", "reference"), "there is no kernel of f64")
    return make_case(op, draw_numbers(draw, (*front, *sizes), dtype), symbols=symbols, skip=skip)


@cases("pixel_shuffle")
def draw_pixel_shuffle(draw: Any) -> Case:
    factor = draw(st.integers(1, 3))
    shape = [*draw_shape(draw, 0, 2, 2), draw(st.integers(1, 2)), *draw_shape(draw, 2, 2, 3)]
    shape[-3] *= factor**2
    symbols = {k: n for k, n in draw_symbols(draw, 4).items() if k[1] < len(shape) - 3}
    return make_case(PixelShuffle(factor), draw_numbers(draw, shape), symbols=symbols)


@cases("pixel_unshuffle")
def draw_pixel_unshuffle(draw: Any) -> Case:
    factor = draw(st.integers(1, 3))
    shape = [*draw_shape(draw, 0, 2, 2), draw(st.integers(1, 2)), *draw_shape(draw, 2, 2, 2)]
    shape[-1] *= factor
    shape[-2] *= factor
    symbols = {k: n for k, n in draw_symbols(draw, 4).items() if k[1] < len(shape) - 2}
    return make_case(PixelUnshuffle(factor), draw_numbers(draw, shape), symbols=symbols)


@cases("normalize")
def draw_normalize(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    numbers = [tuple(draw(st.sampled_from((0.5, 1.0, 2.5))) for _ in range(shape[axis]))] * 2
    mean, std = (n if draw(st.booleans()) else n[0] for n in numbers)
    symbols = {k: n for k, n in draw_symbols(draw, len(shape)).items() if k[1] != axis % len(shape)}
    x = draw_numbers(draw, shape, "float32")
    return make_case(Normalize(mean, std, axis), x, symbols=symbols)


@cases("grid_sample")
def draw_grid_sample(draw: Any) -> Case:
    space = draw(st.integers(2, 3))
    op = GridSample(
        draw(st.sampled_from(("bilinear", "nearest", *(["bicubic"] if space == 2 else [])))),
        draw(st.sampled_from(("zeros", "border", "reflection"))),
        draw(st.booleans()),
    )
    rows = draw(st.integers(1, 5))
    sizes, made = draw_shape(draw, space, space), draw_shape(draw, space, space)
    image = draw_numbers(draw, (rows, draw(st.integers(1, 3)), *sizes))
    grid = draw_numbers(draw, (rows, *made, space), low=-1.8, high=1.8)
    names = {(0, 0): "n", (1, 0): "n", (0, 2): "h", (0, 3): "w", (1, 1): "p"}
    # The evaluator of onnx 1.23 knows the names of modes since opset 20 only.
    skip = {} if op.mode == "nearest" else {"reference": "mode"}
    symbols = names if draw(st.booleans()) else {}
    oldest = 18 if space == 2 else 20
    return make_case(op, image, grid, symbols=symbols, skip=skip, oldest=oldest)
