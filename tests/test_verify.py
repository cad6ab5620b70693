"""Verification: what it runs, how it compares, and that it finds the node at fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device, Session, open_session
from backends.verification import onnx_subject
from backends.verification import verify as verify_module
from backends.verification.cases import Case
from backends.verification.margins import Margin
from backends.verification.narrow import bisect_divergence, cut_graph, make_probe
from backends.verification.rounding import Reference
from backends.verification.verify import VerifyReport, verify
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Condition, Graph, Op, Value
from compiler.ir.weights import draw_weights
from compiler.ops.activation import Relu
from compiler.ops.arithmetic import Add, Neg
from compiler.ops.convolution import Conv
from compiler.ops.elementwise import Exp
from compiler.ops.group_normalization import GroupNorm, InstanceNorm
from compiler.ops.linear import Dense
from compiler.ops.rounding import Abs
from compiler.ops.statistics import ArgMax
from compiler.passes.base import Context, Pass
from compiler.passes.pipeline import ONNX_PASSES
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.verification import (
    backend_failed,
    backends_differ,
    invalid_onnx,
    no_possible_sizes,
    optimizer_differs,
    pass_changed_meaning,
)
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from tests.elaborating import build
from tests.verifying import Net, make_mlp, place


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

    def infer(self, assume: Any, x: Any) -> tuple[TensorType, ...]:
        return (x,)

    def evaluate(self, x: Any) -> tuple[Any, ...]:
        return (x * np.float32(2),)

    def torch(self, node: Any) -> Any:
        raise AssertionError("not compared with PyTorch")

    def onnx(self, build: Any, outputs: Any, x: Any) -> Any:
        return [build.op(self.written, [x.value])]


# --- the whole ---------------------------------------------------------------------------------


def test_what_agrees_passes(tmp_path: Path) -> None:
    graph, weights = make_mlp(Relu())
    report, messages = check(graph, weights, tmp_path)
    assert report.passed
    assert messages == []
    assert {r.sizes["batch"] for r in report.results} == {1, 3}
    assert len({r.sizes["t"] for r in report.results}) == 3
    assert report.worst is not None
    assert 0 < report.worst.share < 1
    assert report.worst.error < report.worst.allowed


def test_the_first_wrong_node_is_named(tmp_path: Path) -> None:
    graph, weights = make_mlp(Doubled("Relu"))
    report, (message,) = check(graph, weights, tmp_path)
    assert not report.passed
    assert message.kind is backends_differ
    assert message.span == place("second")
    assert "computes `doubled` differently" in message.text.title
    difference = re.search(r"the difference is (\S+),", message.text.help or "")
    assert difference is not None
    assert float(difference[1]) > 0.1


def test_a_wrong_node_behind_a_batch_of_edges_is_named(tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 8]))
    # Differs for x < -20 only: large inputs.
    x = net.apply(Neg(), net.apply(ClippedBelow(), x, line="second"), line="third")
    graph, weights = net.finish(y=x)
    report, (message,) = check(graph, weights, tmp_path)
    assert not report.passed
    assert message.span == place("second")
    assert "large" in message.text.title


@final
@dataclass(frozen=True)
class ClippedBelow(Op):
    """Means x where it is above -20, and writes x."""

    name = "clipped_below"

    def infer(self, assume: Any, x: Any) -> tuple[TensorType, ...]:
        return (x,)

    def evaluate(self, x: Any) -> tuple[Any, ...]:
        return (np.maximum(x, np.float32(-20)),)

    def torch(self, node: Any) -> Any:
        raise AssertionError("not compared with PyTorch")

    def onnx(self, build: Any, outputs: Any, x: Any) -> Any:
        return [x.value]


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
    assert message.kind is pass_changed_meaning
    assert "`wrong`" in message.text.title


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
    assert message.kind is optimizer_differs
    assert "the output `y`" in message.text.title


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
    assert message.kind is backend_failed


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


def test_norms_of_what_does_not_vary_are_no_difference(tmp_path: Path) -> None:
    # An image of zeros is one number per channel behind the convolution: what its norm makes of
    # it is rounding alone, which the second norm makes as large as anything.
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", 1, 8, 12, 12]))
    x = net.apply(Conv(4, 3, padding=1), x, name="a")
    x = net.apply(Relu(), net.apply(InstanceNorm(), x))
    x = net.apply(Conv(8, 3, padding=1), x, name="b")
    graph, weights = net.finish(y=net.apply(GroupNorm(4), x, name="c"))
    report, messages = check(graph, weights, tmp_path)
    assert report.passed, messages


@pytest.mark.parametrize("layer", ["lstm(4)", "gru(4, layers=2)", "lstm(4, peephole=true)"])
def test_recurrent_layers_are_given_finite_numbers(layer: str, tmp_path: Path) -> None:
    """ONNX Runtime's kernels make numbers of NaN, which a logarithm of most random numbers is."""
    text = f"model M {{ input x: f32[batch, t, 3]  output y = x -> log -> {layer} }}"
    graph = build(text, "M").graph
    report, messages = check(graph, draw_weights(graph, 0), tmp_path)
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
    assert sink.messages[0].kind is no_possible_sizes


def test_a_file_that_breaks_the_rules_is_reported(tmp_path: Path) -> None:
    graph, weights = make_mlp(Relu())
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, tmp_path / "net.onnx")
    sink = Sink()
    report = verify(graph, weights, onnx_path=tmp_path / "net.onnx", sink=sink)
    assert not report.passed
    assert sink.messages[0].kind is invalid_onnx


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
    case = Case("random", {"batch": 2}, inputs)
    probe = make_probe(Margin(Reference(graph, weights), case, evaluate(graph, weights, inputs)))
    looked: list[str] = []

    def observe(values: Sequence[Value]) -> dict[str, Any]:
        looked.extend(v.name for v in values)
        part = cut_graph(graph, values)
        made = evaluate(part, weights, inputs)
        found = dict(zip((v.name for v in values), made.values(), strict=True))
        return {n: a + 1 if _depends(graph, n, wrong.name) else a for n, a in found.items()}

    found = bisect_divergence(probe, observe)
    assert found is not None
    assert found.node.origin.span == place("second")
    assert len(looked) < len(graph.nodes)


def _depends(graph: Graph, name: str, on: str) -> bool:
    node = graph.producers.get(name)
    if name == on or node is None:
        return name == on
    return any(v is not None and _depends(graph, v.name, on) for v in node.inputs)


# --- the generated module ----------------------------------------------------------------------


def load(graph: Graph, weights: Mapping[str, Any]) -> Any:
    from backends.pytorch.modules import emit_module
    from backends.pytorch.run.load import assign_weights, load_module

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
    assert message.kind is backends_differ
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


def test_sizes_that_a_file_fixes_are_checked_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = build("model M() {\n    input x: f32[batch, 64]\n    output y = relu(x)\n}").graph
    options = OnnxOptions(fixed=(("batch", 10**12),))
    compile_onnx(graph, {}, tmp_path / "net.onnx", options=options)

    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("a session was opened")

    monkeypatch.setattr("backends.verification.verify.open_session", refuse)
    with pytest.raises(CompileError) as refused:
        verify(graph, {}, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=Sink())
    assert [message.code for message in refused.value.messages] == ["W1337"]
