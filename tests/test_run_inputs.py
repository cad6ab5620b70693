"""Arrays that `weft run` is given: cast where nothing is lost, refused where something would be."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backends.onnx_runtime.casting import cast_exactly
from compiler.report.diagnostics import CompileError
from tests.test_command_faults import Weft, weft

__all__ = ["weft"]

BYTES = """model Net() {
    input x: u8[batch, 3]
    output y = x -> cast(f32)
}
"""
PAIR = """model Net() {
    input a: f32[batch, n]
    input b: f32[batch, 2, n]
    output y = a * 2
    output z = b + 1
}
"""
FIXED = """model Net() {
    input x: f32[batch, 3]
    output y = x * 2
}
deploy Net as onnx { fix batch=16 }
"""


def compile_net(weft: Weft, text: str) -> str:
    Path("net.weft").write_text(text)
    weft("compile", "net.weft", "-o", "out", "--onnx", "--no-verify")
    return str(next(Path("out").rglob("*.onnx")))


@pytest.mark.parametrize(
    ("rows", "dtype", "said"),
    [
        ([[0, 1, 0.5]], "f4", "the array is f32 with 0.5 at [0, 2]"),
        ([[0, 1, 2], [3, 256, 300]], "i8", "the array is i64 with 256 at [1, 1]"),
        ([[0, -1, 0]], "i1", "the array is i8 with -1 at [0, 1]"),
        ([[np.nan, 1, 2]], "f8", "the array is f64 with nan at [0, 0]"),
        ([[1, np.inf, 2]], "f8", "the array is f64 with inf at [0, 1]"),
        ([["1", "2", "3"]], "U1", "the array is `<U1`"),
        ([[1, 2, 3]], "c8", "the array is `complex64`"),
    ],
)
def test_values_that_would_be_lost_are_told(
    weft: Weft, rows: list[list[Any]], dtype: str, said: str
) -> None:
    model = compile_net(weft, BYTES)
    np.save("x.npy", np.array(rows, dtype))
    printed = weft("run", model, "x=x.npy")
    assert f"the input `x` is u8, and {said}" in printed
    assert printed.endswith("status 1")


def test_values_that_stay_are_cast(weft: Weft) -> None:
    model = compile_net(weft, BYTES)
    np.save("x.npy", np.array([[0.0, 7.0, 255.0]]))
    assert "0, 7, 255" in weft("run", model, "x=x.npy")


F4 = np.float32
EDGES: list[tuple[NDArray[Any], Any, bool]] = [
    (np.array([1.1, 1e-60, np.nan, -np.inf]), F4, True),
    (np.array([1e39]), F4, False),
    (np.array([1e5], F4), np.float16, False),
    (np.array([2**24, -(2**24)]), F4, True),
    (np.array([2**24 + 1]), F4, False),
    (np.array([2**63 - 1]), np.float64, False),
    (np.array([-(2**63)]), np.float64, True),
    (np.array([2**64 - 1], np.uint64), np.int64, False),
    (np.array([2.0**63]), np.int64, False),
    (np.array([-(2.0**63)]), np.int64, True),
    (np.array([2.0**31], F4), np.int32, False),
    (np.array([-np.inf], np.float16), np.int32, False),
    (np.array([70000]), np.float16, False),
    (np.array([0, 1]), np.bool_, True),
    (np.array([2]), np.bool_, False),
    (np.array([np.nan, 0.5]), np.bool_, False),
    (np.array([True, False]), F4, True),
    (np.zeros((0, 3)), np.uint8, True),
]


@pytest.mark.parametrize(("array", "kind", "held"), EDGES)
def test_casts_at_the_edges_of_dtypes(array: NDArray[Any], kind: Any, held: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if held:
            cast = cast_exactly("x", array, np.dtype(kind))
            assert cast.dtype == kind
            np.testing.assert_allclose(cast.astype("f8"), array.astype("f8"), 1e-6, 1e-30)
        else:
            with pytest.raises(CompileError, match="W1420"):
                cast_exactly("x", array, np.dtype(kind))


def test_shapes_are_held_against_the_file(weft: Weft) -> None:
    model = compile_net(weft, PAIR)
    np.save("a.npy", np.zeros((4, 5), "f4"))
    for shape, said in [
        ((4, 5), "the input `b` is f32[batch, 2, n] in the file, and the array is f32[4, 5]"),
        ((4, 3, 5), "the input `b` is f32[batch, 2, n] in the file, and the array is f32[4, 3, 5]"),
        ((4, 2, 6), "the dim `n` is 5 in the array of `a`, and 6 in that of `b`"),
        ((1, 2, 5), "the dim `batch` is 4 in the array of `a`, and 1 in that of `b`"),
    ]:
        np.save("b.npy", np.zeros(shape, "f4"))
        printed = weft("run", model, "a=a.npy", "b=b.npy")
        assert "error[W0912]" in printed
        assert said in printed
    np.save("b.npy", np.zeros((4, 2, 5), "f4"))
    assert weft("run", model, "a=a.npy", "b=b.npy").endswith("status 0")


def test_a_fixed_batch_is_told(weft: Weft) -> None:
    model = compile_net(weft, FIXED)
    np.save("x.npy", np.zeros((4, 3), "f4"))
    printed = weft("run", model, "x=x.npy")
    assert "the input `x` is f32[16, 3] in the file, and the array is f32[4, 3]" in printed
