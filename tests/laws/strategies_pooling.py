"""Cases of poolings."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compiler.ops.adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool
from compiler.ops.global_pooling import GlobalAvgPool, GlobalMaxPool
from compiler.ops.local_normalization import LocalResponseNorm
from compiler.ops.pooling import AvgPool, MaxPool
from compiler.ops.unpooling import MaxPoolIndices, MaxUnpool
from compiler.ops.windows import spread
from tests.laws.harness import Case, cases, draw_numbers, make_case
from tests.laws.strategies_convolution import draw_sizes, spatial_symbols


def draw_image(draw: Any, axes: int, least: int, most: int) -> Any:
    sizes = [draw(st.integers(least, most)) for _ in range(axes)]
    return draw_numbers(draw, (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *sizes))


def draw_options(draw: Any, axes: int) -> dict[str, Any]:
    """Kernel, stride, padding and ceil_mode that fit each other."""
    kernel = draw_sizes(draw, axes, 1, 3)
    smallest = kernel if isinstance(kernel, int) else min(kernel)
    ceil_mode = draw(st.booleans())
    padding = draw(st.integers(0, smallest // 2))
    stride = draw(st.one_of(st.none(), st.just(draw_sizes(draw, axes, 1, 3))))
    return {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}


@cases("max_pool")
def draw_max_pool(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))
    symbols = spatial_symbols(draw, axes)
    options = draw_options(draw, axes)
    op = MaxPool(**options, dilation=draw_sizes(draw, axes, 1, 3))
    # The evaluator of onnx 1.23 numbers the maxima of padded windows beyond the input where no
    # axis has a stride or a dilation.
    steps = (*spread("stride", op.stride or op.kernel, axes), *op.dilations(axes))
    skip = {"reference": "padding"} if op.padding and set(steps) == {1} else {}
    return make_case(op, draw_image(draw, axes, 7, 9), symbols=symbols, skip=skip)


@cases("avg_pool")
def draw_avg_pool(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))
    symbols = spatial_symbols(draw, axes)
    options = draw_options(draw, axes)
    op = AvgPool(**options, count_include_pad=draw(st.booleans()))
    # The evaluator of onnx 1.23 shares the room for the last window between both sides.
    skip = {"reference": "ceil_mode"} if op.ceil_mode else {}
    return make_case(op, draw_image(draw, axes, 3, 8), symbols=symbols, skip=skip)


@cases("global_avg_pool", "global_max_pool")
def draw_global_pool(draw: Any, name: str) -> Case:
    axes = draw(st.integers(1, 3))
    op = GlobalAvgPool() if name == "global_avg_pool" else GlobalMaxPool()
    # The evaluator of onnx 1.23 takes the maximum over axes n to n + 1 for n axes of space.
    skip = {"reference": "axes"} if name == "global_max_pool" and axes != 2 else {}
    image = draw_image(draw, axes, 1, 5)
    return make_case(op, image, symbols=spatial_symbols(draw, axes), skip=skip)


@cases("adaptive_avg_pool", "adaptive_max_pool")
def draw_adaptive_pool(draw: Any, name: str) -> Case:
    axes = draw(st.integers(1, 3))
    size = draw_sizes(draw, axes, 1, 4)
    op = AdaptiveAvgPool(size) if name == "adaptive_avg_pool" else AdaptiveMaxPool(size)
    skip = {}
    if name == "adaptive_max_pool" and axes != 2 and set(spread("size", size, axes)) == {1}:
        # The evaluator of onnx 1.23 takes the maximum over axes n to n + 1 for n axes of space.
        skip = {"reference": "axes"}
    image = draw_image(draw, axes, 1, 7)
    return make_case(op, image, symbols=spatial_symbols(draw, axes), skip=skip)


@cases("max_pool_indices")
def draw_max_pool_indices(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))
    symbols = spatial_symbols(draw, axes)
    op = MaxPoolIndices(**draw_options(draw, axes))
    image = draw_image(draw, axes, 4, 8)
    if draw(st.booleans()):  # with ties
        image = image.round()
    skip = {"reference": "the evaluator of onnx 1.23 counts places in its own way"}
    return make_case(op, image, symbols=symbols, skip=skip)


@cases("max_unpool")
def draw_max_unpool(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))
    kernel = draw(st.integers(1, 3))
    stride = draw(st.one_of(st.none(), st.integers(1, kernel)))
    pool = MaxPoolIndices(kernel, stride, draw(st.integers(0, kernel // 2)))
    image = draw_image(draw, axes, 4, 8)
    pooled, places = pool.evaluate(image)
    size = draw(st.sampled_from((None, image.shape[2:])))
    usual = MaxUnpool(kernel, stride, pool.padding, image.shape[2:])
    op = usual if size is not None or places.max() >= count_usual(pool, pooled) else None
    op = op or MaxUnpool(kernel, stride, pool.padding)
    return make_case(op, pooled, places, symbols={(0, 0): "n", (1, 0): "n"})


def count_usual(pool: MaxPoolIndices, pooled: Any) -> int:
    """How many places there are in the axes of space that no size is given for."""
    kernel, padding = int(pool.kernel), int(pool.padding)  # type: ignore[arg-type]
    stride = kernel if pool.stride is None else int(pool.stride)  # type: ignore[arg-type]
    sizes = [(size - 1) * stride - 2 * padding + kernel for size in pooled.shape[2:]]
    return int(np.prod(sizes)) if min(sizes) > 0 else 0


@cases("local_response_norm")
def draw_local_response_norm(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))
    op = LocalResponseNorm(
        draw(st.integers(1, 6)),
        alpha=draw(st.sampled_from((1e-4, 0.5, 2.0))),
        beta=draw(st.sampled_from((0.75, 1.0))),
        k=draw(st.sampled_from((1.0, 2.0))),
    )
    # The evaluator of onnx 1.23 goes through as many channels as there are rows.
    skip = {"reference": "channels"} if axes == 2 else {}
    return make_case(
        op, draw_image(draw, axes, 1, 5), symbols=spatial_symbols(draw, axes), skip=skip
    )
