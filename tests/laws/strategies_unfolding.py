"""Cases of windows as columns, and back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.unfolding import Fold, Unfold
from compiler.types.dims import Dim
from tests.laws.harness import Case, cases, draw_numbers, make_case

SIZES = st.integers(1, 3)


def draw_options(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A kernel and further options, and the sizes of images in which there is room for it."""
    kernel, stride, dilation = ((draw(SIZES), draw(SIZES)) for _ in range(3))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = tuple(
        max(span - 2 * pad, 1) + draw(st.integers(0, 4))
        for span, pad in zip(spans, padding, strict=True)
    )
    options = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    return size, options


@cases("unfold")
def draw_unfold(draw: Any) -> Case:
    size, options = draw_options(draw)
    x = draw_numbers(draw, (draw(SIZES), draw(SIZES), *size))
    symbols = {(0, a): name for a, name in ((0, "n"), (2, "h"), (3, "w")) if draw(st.booleans())}
    return make_case(Unfold(**options), x, symbols=symbols)


@cases("fold")
def draw_fold(draw: Any) -> Case:
    size, options = draw_options(draw)
    counts = [
        w.count(s).evaluate({})
        for w, s in zip(
            Unfold(**options).windows([Dim.of(s) for s in size]), map(Dim.of, size), strict=True
        )
    ]
    block = options["kernel"][0] * options["kernel"][1]
    x = draw_numbers(draw, (draw(SIZES), draw(SIZES) * block, counts[0] * counts[1]))
    symbols = {(0, 0): "n"} if draw(st.booleans()) else {}
    return make_case(Fold(size, **options), x, symbols=symbols)
