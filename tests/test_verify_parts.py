"""The parts of the verification: sizes, inputs, comparing, sessions and clocks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.measure import Comparison, Timing, measure, median_interval
from backends.onnx_runtime.session import Device, open_session
from backends.verification.cases import EDGES, make_cases
from backends.verification.tolerance import compare
from compiler.ir.frame import Site
from compiler.ir.graph import Condition, Graph
from compiler.ir.input_ranges import Range, find_ranges
from compiler.ir.sizes import SizeSearch
from compiler.ops.activation import Relu
from compiler.ops.convolution import Conv
from compiler.ops.indexing import Index
from compiler.ops.items import TensorIndex
from compiler.ops.linear import Embedding
from compiler.report.diagnostics import CompileError
from compiler.report.messages.verification import device_missing, model_refused
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from tests.verifying import Net, make_mlp

# --- sizes and inputs --------------------------------------------------------------------------


def test_sizes_respect_conditions_and_windows() -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 3, "h", "w"]))
    graph, _ = net.finish(y=net.apply(Conv(4, 5), x, name="c"))
    condition = (Condition(Dim.of("h") * 2, "==", Dim.of("w")),)
    graph = Graph(**{**graph.__dict__, "conditions": condition})
    search = SizeSearch(graph, {})
    assert search.batch == "batch"
    found = search.choose()
    assert found
    for sizes in found:
        assert sizes["h"] >= 5
        assert sizes["w"] == 2 * sizes["h"]


def test_sizes_differ_from_each_other() -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 3, "h", "w"]))
    graph, _ = net.finish(y=net.apply(Relu(), x))
    first, *rest = SizeSearch(graph, {}).choose()
    assert first == {"batch": 1, "h": 1, "w": 1}
    assert rest
    assert all(sizes["h"] != sizes["w"] for sizes in rest)
    assert SizeSearch(graph, {"h": 7}).choose()[0] == {"h": 7, "batch": 1, "w": 1}


def test_sizes_that_others_bound_grow_too() -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["a"]))
    y = net.build.input("y", TensorType.of("f32", ["b"]))
    graph, _ = net.finish(x=net.apply(Relu(), x), y=net.apply(Relu(), y))
    bounded = (Condition(Dim.of("b"), "<=", Dim.of("a")),)
    graph = Graph(**{**graph.__dict__, "conditions": bounded})
    first, second, third = SizeSearch(graph, {}).choose()
    assert first == {"a": 1, "b": 1}
    assert 1 < second["b"] < second["a"] < third["a"]


def test_indices_stay_inside_their_table() -> None:
    net = Net()
    tokens = net.build.input("tokens", TensorType.of("i64", ["batch", 6]))
    picks = net.build.input("picks", TensorType.of("i64", ["batch"]))
    x = net.apply(Embedding(11, 4), tokens, name="e")
    (rows,) = net.build.apply(Index((TensorIndex(1),)), [x, picks], net.root, Site())
    graph, _ = net.finish(y=rows)
    search = SizeSearch(graph, {})
    assert find_ranges(graph, {"batch": 3}) == {"tokens": Range(0, 10), "picks": Range(0, 2)}
    cases = list(make_cases(graph, search))
    tables = [c.inputs["tokens"] for c in cases]
    assert max(int(t.max()) for t in tables) == 10
    assert min(int(t.min()) for t in tables) == 0
    assert any((c.inputs["picks"] == c.sizes["batch"] - 1).all() for c in cases)


def test_ranges_at_other_sizes_are_taken_where_tables_are_as_long() -> None:
    """A search evaluates what leads to a table again and again: loops take long."""
    net = Net()
    tokens = net.build.input("tokens", TensorType.of("i64", ["batch", 6]))
    graph, _ = net.finish(y=net.apply(Embedding(11, 4), tokens, name="e"))
    narrow = {"tokens": Range(2, 4)}
    assert find_ranges(graph, {"batch": 3}, before=({"batch": 1}, narrow)) is narrow
    outside = {"tokens": Range(0, 11)}
    wide = {"tokens": Range(0, 10)}
    assert find_ranges(graph, {"batch": 3}, before=({"batch": 1}, outside)) == wide
    rows = Net()
    picks = rows.build.input("picks", TensorType.of("i64", [2]))
    x = rows.build.input("x", TensorType.of("f32", ["n", 4]))
    (taken,) = rows.build.apply(Index((TensorIndex(1),)), [x, picks], rows.root, Site())
    graph, _ = rows.finish(y=taken)
    found = find_ranges(graph, {"n": 5}, before=({"n": 3}, {"picks": Range(0, 2)}))
    assert found == {"picks": Range(0, 4)}, "a longer table has other places"


def test_edges_cover_masks_and_magnitudes() -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 6]))
    mask = net.build.input("mask", TensorType.of("bool", ["batch", 6]))
    graph, _ = net.finish(y=net.apply(Relu(), x), mask=mask)
    cases = {c.kind: c for c in make_cases(graph, SizeSearch(graph, {}))}
    assert not cases["zeros"].inputs["x"].any()
    assert not cases["zeros"].inputs["mask"].any()
    assert cases["large"].inputs["mask"].all()
    assert np.abs(cases["large"].inputs["x"]).max() > 50
    assert (cases["negative"].inputs["x"] <= 0).all()
    stacked = cases["/".join(EDGES)]
    assert stacked.at((1, 0)) == "large inputs at batch=3"


# --- comparing ---------------------------------------------------------------------------------


def test_each_entry_is_judged_by_itself() -> None:
    expected = np.array([[1.0, 100.0], [0.001, 0.0]], np.float32)
    found = expected + np.array([[0, 1e-5], [1e-6, 0]], np.float32)
    worst = compare(expected, found, DType.F32)
    assert worst.index == (1, 0)
    assert worst.share > 100
    assert worst.error == pytest.approx(1e-6, rel=1e-2)
    assert compare(expected[:1], found[:1], DType.F32).share < 0.1


@pytest.mark.parametrize(
    ("expected", "found", "share"),
    [
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), 0),
        (np.array([np.inf, 1.0]), np.array([np.inf, 1.0]), 0),
        (np.array([np.inf, 1.0]), np.array([-np.inf, 1.0]), math.inf),
        (np.array([np.nan, 1.0]), np.array([0.0, 1.0]), math.inf),
        (np.array([1.0, 2.0]), np.array([1.0, np.nan]), math.inf),
        (np.array([1, 2]), np.array([1, 2]), 0),
        (np.array([1, 2]), np.array([1, 3]), math.inf),
        (np.zeros(2), np.zeros(3), math.inf),
        (np.zeros(2, np.float32), np.zeros(2), math.inf),
        (np.zeros((0, 2)), np.zeros((0, 2)), 0),
    ],
)
def test_strange_numbers(expected: Any, found: Any, share: float) -> None:
    dtype = DType.of_numpy(expected.dtype)
    assert dtype is not None
    assert compare(expected, found, dtype).share == share


# --- sessions and clocks -----------------------------------------------------------------------


def test_sessions_say_what_they_cannot_do(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(CompileError) as error:
        open_session(tmp_path / "bad.onnx", device=Device.CPU)
    assert error.value.messages[0].kind is model_refused


def test_cuda_is_used_or_missed(tmp_path: Path) -> None:
    """A runtime built for CUDA that finds no device must not fall back in silence."""
    graph, weights = make_mlp(Relu())
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    if torch.cuda.is_available():
        assert open_session(tmp_path / "net.onnx", device=Device.CUDA).device is Device.CUDA
        return
    with pytest.raises(CompileError) as error:
        open_session(tmp_path / "net.onnx", device=Device.CUDA)
    assert error.value.messages[0].kind is device_missing


def test_auto_is_a_device_that_works(tmp_path: Path) -> None:
    graph, weights = make_mlp(Relu())
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    session = open_session(tmp_path / "net.onnx")
    assert session.device in (Device.CPU, Device.CUDA)
    assert session.fixed_shapes == {"x": (None, None, 8)}


def test_a_machine_that_slows_down_leaves_the_ratio_within_rounds() -> None:
    compared = Comparison({"a": Timing((0.5, 8.0, 2.7)), "b": Timing((1.0, 10.0, 3.0))})
    assert compared.ratio_within_rounds("a", "b") == pytest.approx(0.8)
    assert compared.ratio("a", "b") == pytest.approx(0.9)


def test_rounds_are_interleaved_and_warmed_up() -> None:
    calls: list[str] = []
    ticks = iter(range(1000))
    compared = measure(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        rounds=4,
        warmup=1,
        clock=lambda: float(next(ticks)),
    )
    assert len(calls) == 10
    assert calls[2:6] in (["a", "b", "b", "a"], ["b", "a", "a", "b"])
    assert compared.ratio("a", "b") == 1
    assert len(compared.timings["a"].samples) == 4


def test_intervals_hold_the_median() -> None:
    low, high = median_interval(list(range(100)))
    assert 35 <= low < 50 < high <= 65
    assert median_interval([3.0]) == (3.0, 3.0)
