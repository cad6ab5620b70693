"""Verification: what it runs, how it compares, and that it finds the node at fault."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime import onnx_subject
from backends.onnx_runtime import verify as verify_module
from backends.onnx_runtime.cases import EDGES, make_cases
from backends.onnx_runtime.measure import measure, median_interval
from backends.onnx_runtime.narrow import bisect_divergence, cut_graph, record_values
from backends.onnx_runtime.ranges import find_bounds
from backends.onnx_runtime.session import Device, Session, open_session
from backends.onnx_runtime.sizes import SizeSearch
from backends.onnx_runtime.tolerance import compare, derive_tolerance, measure_depth
from backends.onnx_runtime.verify import VerifyReport, verify
from compiler.diagnostics import CompileError, Sink
from compiler.dims import Dim
from compiler.initializers import Uniform
from compiler.ir.builder import Builder
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Condition, Frame, Graph, Site, Value
from compiler.ir.weights import draw_weights
from compiler.messages.verification import (
    BackendFailed,
    BackendsDiffer,
    DeviceMissing,
    ModelRefused,
    NoPossibleSizes,
    OptimizerDiffers,
    PassChangedMeaning,
)
from compiler.ops.activation import Relu
from compiler.ops.arithmetic import Add, Neg
from compiler.ops.base import Op
from compiler.ops.convolution import Conv
from compiler.ops.elementwise import Exp
from compiler.ops.indexing import Index
from compiler.ops.items import TensorIndex
from compiler.ops.linear import Dense, Embedding
from compiler.ops.rounding import Abs
from compiler.ops.statistics import ArgMax
from compiler.passes.base import Context, Pass
from compiler.passes.pipeline import ONNX_PASSES
from compiler.source import Source, Span
from compiler.tensor import TensorType

SPEC = Source("net.weft", "first\nsecond\nthird\n")


def place(word: str) -> Span:
    start = SPEC.text.index(word)
    return Span(SPEC, start, start + len(word))


class Net:
    """A builder whose layers make their weights."""

    def __init__(self) -> None:
        self.root = Frame("Net", "", 0, origin=Span(SPEC, 0, 5))
        self.build = Builder("net", self.root)

    def apply(self, op: Op, *inputs: Value, name: str = "", line: str = "first") -> Value:
        made = [
            self.build.parameter(f"{name}.{w.name}", w.type, Uniform(-0.5, 0.5))
            for w in op.weights([v.type for v in inputs])
        ]
        (value,) = self.build.apply(op, [*inputs, *made], self.root, Site(place(line), name))
        return value

    def finish(self, **outputs: Value) -> tuple[Graph, dict[str, Any]]:
        for name, value in outputs.items():
            self.build.output(name, value)
        graph = self.build.graph()
        return graph, draw_weights(graph)


def make_mlp(middle: Op) -> tuple[Graph, dict[str, Any]]:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", "t", 8]))
    x = net.apply(Dense(16), x, name="a", line="first")
    x = net.apply(middle, x, line="second")
    return net.finish(y=net.apply(Dense(4), x, name="b", line="third"))


def check(
    graph: Graph, weights: Mapping[str, Any], folder: Path, options: OnnxOptions | None = None
) -> tuple[VerifyReport, list[Any]]:
    path = folder / "net.onnx"
    compile_onnx(graph, weights, path, options=options)
    sink = Sink()
    report = verify(graph, weights, onnx_path=path, device=Device.CPU, sink=sink)
    return report, sink.messages


@final
@dataclass(frozen=True)
class Doubled(Op):
    """Means x * 2 and writes something else."""

    name = "doubled"
    written: str = "Identity"

    def infer(self, inputs: Any, assume: Any) -> tuple[TensorType, ...]:
        return (inputs[0],)

    def evaluate(self, *inputs: Any) -> tuple[Any, ...]:
        return (inputs[0] * np.float32(2),)

    def torch(self, node: Any) -> Any:
        raise AssertionError("not compared with PyTorch")

    def onnx(self, build: Any, inputs: Any, types: Any, outputs: Any) -> Any:
        return [build.op(self.written, inputs)]


# --- the whole ---------------------------------------------------------------------------------


def test_what_agrees_passes(tmp_path: Path) -> None:
    graph, weights = make_mlp(Relu())
    report, messages = check(graph, weights, tmp_path)
    assert report.passed
    assert messages == []
    assert {r.sizes["batch"] for r in report.results} == {1, 3}
    assert len({r.sizes["t"] for r in report.results}) == 3
    assert report.worst is not None
    assert report.worst.error < report.tolerance


def test_the_first_wrong_node_is_named(tmp_path: Path) -> None:
    graph, weights = make_mlp(Doubled("Relu"))
    report, (message,) = check(graph, weights, tmp_path)
    assert not report.passed
    assert isinstance(message, BackendsDiffer)
    assert message.span == place("second")
    assert message.layer == "doubled"
    assert message.error > 0.1


def test_a_wrong_node_behind_a_batch_of_edges_is_named(tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 8]))
    # Differs for x < -20 only: large inputs.
    x = net.apply(Neg(), net.apply(ClippedBelow(), x, line="second"), line="third")
    graph, weights = net.finish(y=x)
    report, (message,) = check(graph, weights, tmp_path)
    assert not report.passed
    assert message.span == place("second")
    assert "large" in message.case


@final
@dataclass(frozen=True)
class ClippedBelow(Op):
    """Means x where it is above -20, and writes x."""

    name = "clipped_below"

    def infer(self, inputs: Any, assume: Any) -> tuple[TensorType, ...]:
        return (inputs[0],)

    def evaluate(self, *inputs: Any) -> tuple[Any, ...]:
        return (np.maximum(inputs[0], np.float32(-20)),)

    def torch(self, node: Any) -> Any:
        raise AssertionError("not compared with PyTorch")

    def onnx(self, build: Any, inputs: Any, types: Any, outputs: Any) -> Any:
        return [inputs[0]]


def test_a_pass_that_changes_the_meaning_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Wrong(Pass):
        name = "wrong"

        def run(self, graph: Graph, context: Context) -> Graph:
            nodes = tuple(
                type(n)(Relu(), n.inputs, n.outputs, n.scope, n.origin)
                if isinstance(n.op, Exp)
                else n
                for n in graph.nodes
            )
            return Graph(**{**graph.__dict__, "nodes": nodes})

    passes = (*ONNX_PASSES, Wrong())
    monkeypatch.setattr("backends.onnx_graph.compile.ONNX_PASSES", passes)
    monkeypatch.setattr(onnx_subject, "ONNX_PASSES", passes)
    graph, weights = make_mlp(Exp())
    _, (message,) = check(graph, weights, tmp_path)
    assert isinstance(message, PassChangedMeaning)
    assert message.name == "wrong"


def test_an_optimizer_that_changes_the_meaning_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Optimized(Session):
        def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            return {name: 2 * array for name, array in super().run(inputs).items()}

    def open_wrong(path: Path, *, device: Device) -> Session:
        found = open_session(path, device=device)
        return Optimized(found.runtime, found.device)

    monkeypatch.setattr(verify_module, "open_session", open_wrong)
    graph, weights = make_mlp(Relu())
    _, (message,) = check(graph, weights, tmp_path)
    assert isinstance(message, OptimizerDiffers)
    assert message.output == "y"


def test_weights_that_are_not_the_files_are_found(tmp_path: Path) -> None:
    graph, weights = make_mlp(Relu())
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    sink = Sink()
    changed = {**weights, "b.weight": weights["b.weight"] + 0.01}
    verify(graph, changed, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    (message,) = sink.messages
    assert message.span == place("third")


def test_a_backend_that_fails_is_reported(tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 8]))
    graph, weights = net.finish(y=net.apply(Relu(), x))
    fixed = Net()
    x = fixed.build.input("x", TensorType.of("f32", ["batch", 9]))
    other, _ = fixed.finish(y=fixed.apply(Relu(), x))
    compile_onnx(other, {}, tmp_path / "net.onnx")
    sink = Sink()
    verify(graph, weights, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    (message,) = sink.messages
    assert isinstance(message, BackendFailed)


def test_fixed_dims_are_verified_at_their_size(tmp_path: Path) -> None:
    graph, weights = make_mlp(Relu())
    options = OnnxOptions(dynamic=("batch",), fixed=(("t", 5),))
    report, _ = check(graph, weights, tmp_path, options)
    assert report.passed
    assert {r.sizes["t"] for r in report.results} == {5}


def test_ties_of_a_maximum_are_no_difference(tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 8]))
    x = net.apply(Dense(4, bias=False), x, name="a")
    graph, weights = net.finish(best=net.apply(ArgMax(axis=-1), x))
    report, messages = check(graph, weights, tmp_path)
    assert report.passed, messages


def test_impossible_sizes_are_reported() -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", "t"]))
    graph, weights = net.finish(y=net.apply(Relu(), x))
    never = (Condition(Dim.of("t") + 1, "<=", Dim.of("t")),)
    graph = Graph(**{**graph.__dict__, "conditions": never})
    sink = Sink()
    report = verify(graph, weights, sink=sink)
    assert not report.passed
    assert isinstance(sink.messages[0], NoPossibleSizes)


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


def test_indices_stay_inside_their_table() -> None:
    net = Net()
    tokens = net.build.input("tokens", TensorType.of("i64", ["batch", 6]))
    picks = net.build.input("picks", TensorType.of("i64", ["batch"]))
    x = net.apply(Embedding(11, 4), tokens, name="e")
    (rows,) = net.build.apply(Index((TensorIndex(1),)), [x, picks], net.root, Site())
    graph, _ = net.finish(y=rows)
    search = SizeSearch(graph, {})
    assert find_bounds(graph, {"batch": 3}) == {"tokens": 11, "picks": 3}
    cases = list(make_cases(graph, search))
    tables = [c.inputs["tokens"] for c in cases]
    assert max(int(t.max()) for t in tables) == 10
    assert min(int(t.min()) for t in tables) == 0
    assert any((c.inputs["picks"] == c.sizes["batch"] - 1).all() for c in cases)


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
    row = stacked.row(1, "batch")
    assert row.kind == "large"
    np.testing.assert_array_equal(row.inputs["x"], stacked.inputs["x"][1:2])


# --- comparing ---------------------------------------------------------------------------------


def test_errors_are_relative_to_the_largest_number() -> None:
    expected = np.array([[1.0, 100.0], [0.001, 0.0]], np.float32)
    found = expected + np.array([[0, 0.01], [0.0001, 0]], np.float32)
    whole = compare(expected, found)
    assert whole.error == pytest.approx(1e-4, rel=1e-2)
    assert whole.index == (0, 1)
    rows = compare(expected, found, by_rows=True)
    assert rows.error == pytest.approx(0.1, rel=1e-3)
    assert rows.index == (1, 0)
    assert rows.found == pytest.approx(0.0011)


@pytest.mark.parametrize(
    ("expected", "found", "error"),
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
def test_strange_numbers(expected: Any, found: Any, error: float) -> None:
    assert compare(expected, found).error == error


def test_tolerance_grows_with_depth_and_coarseness() -> None:
    shallow, _ = make_mlp(Relu())
    assert measure_depth(shallow) == 3
    net = Net()
    x = net.build.input("x", TensorType.of("f16", ["batch", 8]))
    half, _ = net.finish(y=net.apply(Relu(), x))
    assert derive_tolerance(half) > 100 * derive_tolerance(shallow)
    assert derive_tolerance(shallow) < 1e-5


# --- narrowing ---------------------------------------------------------------------------------


def test_bisection_finds_the_branch() -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 8]))
    left = x
    for _ in range(4):
        left = net.apply(Relu(), left)
    wrong = net.apply(Exp(), x, line="second")
    right = wrong
    for _ in range(4):
        right = net.apply(Relu(), right)
    graph, weights = net.finish(y=net.apply(Add(), left, right))
    inputs = {"x": np.linspace(-1, 1, 16, dtype=np.float32).reshape(2, 8)}
    expected = record_values(graph, weights, inputs)
    looked: list[str] = []

    def observe(values: Sequence[Value]) -> dict[str, Any]:
        looked.extend(v.name for v in values)
        part = cut_graph(graph, values)
        made = evaluate(part, weights, inputs)
        found = dict(zip((v.name for v in values), made.values(), strict=True))
        return {n: a + 1 if _depends(graph, n, wrong.name) else a for n, a in found.items()}

    found = bisect_divergence(graph, expected, observe, 1e-5)
    assert found is not None
    assert found.node.origin.span == place("second")
    assert len(looked) < len(graph.nodes)


def _depends(graph: Graph, name: str, on: str) -> bool:
    node = graph.producers.get(name)
    if name == on or node is None:
        return name == on
    return any(v is not None and _depends(graph, v.name, on) for v in node.inputs)


# --- sessions and clocks -----------------------------------------------------------------------


def test_sessions_say_what_they_cannot_do(tmp_path: Path) -> None:
    import onnxruntime as ort

    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(CompileError) as error:
        open_session(tmp_path / "bad.onnx", device=Device.CPU)
    assert isinstance(error.value.messages[0], ModelRefused)
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(CompileError) as error:
        open_session(tmp_path / "bad.onnx", device=Device.CUDA)
    assert isinstance(error.value.messages[0], DeviceMissing)


def test_auto_is_a_device_that_works(tmp_path: Path) -> None:
    graph, weights = make_mlp(Relu())
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    session = open_session(tmp_path / "net.onnx")
    assert session.device in (Device.CPU, Device.CUDA)
    assert session.fixed_shapes == {"x": (None, None, 8)}


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


# --- the generated module ----------------------------------------------------------------------


def load(graph: Graph, weights: Mapping[str, Any]) -> Any:
    from backends.pytorch.load import assign_weights, load_module
    from backends.pytorch.modules import emit_module

    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, weights)
    return module


def test_the_module_is_compared_too() -> None:
    graph, weights = make_mlp(Relu())
    sink = Sink()
    report = verify(graph, weights, torch_module=load(graph, weights), sink=sink)
    assert report.passed, sink.messages
    assert {r.backend for r in report.results} == {"the generated PyTorch module"}


def test_the_first_wrong_node_of_a_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Abs, "torch", lambda self, node: Relu().torch(node))
    graph, weights = make_mlp(Abs())
    sink = Sink()
    report = verify(graph, weights, torch_module=load(graph, weights), sink=sink)
    (message,) = sink.messages
    assert not report.passed
    assert isinstance(message, BackendsDiffer)
    assert message.span == place("second")


def test_several_outputs_of_a_module() -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 8]))
    y = net.build.input("y", TensorType.of("f32", ["batch", 8]))
    total = net.apply(Add(), x, y)
    graph, weights = net.finish(total=total, high=net.apply(Exp(), total))
    sink = Sink()
    report = verify(graph, weights, torch_module=load(graph, weights), sink=sink)
    assert report.passed, sink.messages
    assert {r.output for r in report.results} <= {"total", "high"}
