"""What verification allows: every entry by itself, at the scale that its op can promise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.cases import Case
from backends.verification.margins import Margin, compute_moved
from backends.verification.rounding import Reference
from backends.verification.verify import verify
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.ops.activation import Gelu, Sigmoid
from compiler.report.diagnostics import Sink
from tests.checking import check_text
from tests.elaborating import build
from tests.test_verify import load


def make(body: str, inputs: str = "x: f32[batch, 8]") -> Graph:
    lines = "\n".join(f"    input {line}" for line in inputs.split("; "))
    return build(f"model M() {{\n{lines}\n    {body}\n}}").graph


def make_margin(graph: Graph, **inputs: Any) -> Margin:
    weights = draw_weights(graph)
    case = Case("given", {}, inputs)
    return Margin(Reference(graph, weights), case, evaluate(graph, weights, inputs))


def judge(margin: Margin, **found: Any) -> float:
    """How much of what is allowed some outputs take, the others being right."""
    return margin.judge({**margin.meaning, **found})[1].share


def change(array: Any, index: tuple[int, ...], by: float) -> Any:
    made = array.copy()
    made[index] += by
    return made


X = np.linspace(-4, 4, 16, dtype=np.float32).reshape(2, 8)


def test_a_probability_near_zero_is_judged_beside_one() -> None:
    graph = make("output p = sigmoid(x)")
    margin = make_margin(graph, x=np.array([[-36, -30, -17, 0, 3, 40, 90, -90]], np.float32))
    assert margin.meaning["p"][0, 0] < 1e-15
    assert judge(margin, p=np.where(margin.meaning["p"] < 1e-7, 0, margin.meaning["p"])) < 1
    assert judge(margin, p=change(margin.meaning["p"], (0, 0), 1e-5)) > 1


def test_an_error_beside_a_large_column_is_found() -> None:
    """The approximation of GELU by tanh is off by 5e-4 at most."""
    graph = make("output y = concat([gelu(x), x * 1000000], axis=1)")
    margin = make_margin(graph, x=X)
    wrong = Gelu("tanh").evaluate(X)[0]
    assert judge(margin, y=np.concatenate([wrong, X * np.float32(1e6)], axis=1)) > 50


def test_an_output_that_rounds_wildly_allows_nothing_to_others() -> None:
    graph = make(
        "output y = glu(x)\n    output code = cast(x * 1000000000, i64)\n"
        "    output z = concat([glu(x), floor(x * 10000000) % 2], axis=1)"
    )
    margin = make_margin(graph, x=X / 3)
    code, y, z = (margin.meaning[name] for name in ("code", "y", "z"))
    flipped = change(z, (0, 5), 1 if z[0, 5] < 0.5 else -1)
    assert judge(margin, code=code + 40) <= 1, "a few steps of an f32 number of 1e9"
    assert judge(margin, z=flipped) <= 1
    assert judge(margin, code=code + 10**6) > 1
    assert judge(margin, code=code + 40, y=change(y, (0, 0), 1e-4)) > 1
    assert judge(margin, z=change(flipped, (0, 0), 1e-4)) > 1


def test_every_bound_is_a_number() -> None:
    graph = make("output y = 1 / (x - x)\n    output z = log(x)\n    output c = argmax(x, axis=1)")
    margin = make_margin(graph, x=X)
    for _ in range(3):
        margin._move()
    for spread in margin.spreads.values():
        assert np.isfinite(spread.distance).all()
        assert np.isfinite(spread.levels).all()


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_where_the_meaning_has_none_are_a_fault(strange: float) -> None:
    margin = make_margin(make("output y = log(abs(x) + 1)"), x=X)
    assert judge(margin, y=change(margin.meaning["y"], (1, 1), strange)) == math.inf


def test_nan_and_infinity_where_all_have_them_agree() -> None:
    margin = make_margin(make("output y = log(x)\n    output z = 1 / (x - x)"), x=X)
    assert np.isnan(margin.meaning["y"]).any()
    assert judge(margin) == 0
    finite = np.where(np.isnan(margin.meaning["y"]), np.float32(0), margin.meaning["y"])
    assert judge(margin, y=finite) == math.inf


def test_ties_are_no_difference_and_clear_maxima_are() -> None:
    x = np.array([[1, 1 + 2**-23, 0, 0, 0, 0, 0, 0], [3, 1, 0, 0, 0, 0, 0, 0]], np.float32)
    margin = make_margin(make("output c = argmax(x * 1.5, axis=1)"), x=x)
    assert judge(margin, c=np.array([0, 0])) <= 1
    assert judge(margin, c=np.array([1, 1])) == math.inf


@pytest.mark.parametrize(("depth", "most"), [(1, 0.01), (8, 0.02)])
def test_half_precision_allows_what_its_roundings_add_up_to(depth: int, most: float) -> None:
    chain = " -> ".join(["tanh", *[f"dense(8) as d{k}" for k in range(depth)]])
    graph = make(f"output y = x -> {chain}", "x: f16[batch, 8]")
    weights = {path: array.astype(np.float16) for path, array in draw_weights(graph).items()}
    x = (X / 2).astype(np.float16)
    case = Case("given", {}, {"x": x})
    margin = Margin(Reference(graph, weights), case, evaluate(graph, weights, {"x": x}))
    y = margin.meaning["y"]
    for _ in range(3):
        margin._move()
    allowed = 2 * margin.spreads["y"].distance
    assert 0 < np.median(allowed) < most * np.abs(y).max(), "not 3 % of the largest"
    worst = np.unravel_index(int(allowed.argmax()), allowed.shape)
    by = np.float16(0.03 * np.abs(y).max())
    assert judge(margin, y=change(y, tuple(int(i) for i in worst), float(by))) > 1


def test_large_sums_may_round_as_they_do() -> None:
    """A sum of many numbers in another order: one after the other, in single precision."""
    x = np.random.default_rng(0).random((1, 200_000), np.float32)
    margin = make_margin(make("output y = sum(x, axis=1)", "x: f32[batch, n]"), x=x)
    sequential = np.cumsum(x, axis=1, dtype=np.float32)[:, -1]
    assert abs(float(sequential[0] - margin.meaning["y"][0])) > 1e-2
    assert judge(margin, y=sequential) <= 1
    assert judge(margin, y=margin.meaning["y"] * np.float32(1.001)) > 1


def test_the_report_names_the_entry_nearest_to_its_limit(tmp_path: Path) -> None:
    graph = make("output y = x -> dense(4) as fc -> softmax(axis=-1)\n    output z = x * 1000")
    weights = draw_weights(graph)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    module = load(graph, weights)
    path = tmp_path / "net.onnx"
    report = verify(
        graph, weights, torch_module=module, onnx_path=path, device=Device.CPU, sink=Sink()
    )
    worst = report.worst
    assert worst is not None
    assert worst.share == pytest.approx(worst.error / worst.allowed)
    assert worst.share == max(result.share for result in report.results) < 1


def verify_wrong(graph: Graph, folder: Path) -> list[Any]:
    weights: Mapping[str, Any] = draw_weights(graph)
    compile_onnx(graph, weights, folder / "net.onnx")
    sink = Sink()
    verify(graph, weights, onnx_path=folder / "net.onnx", device=Device.CPU, sink=sink)
    return sink.messages


def test_a_wrong_gelu_in_a_file_is_found_beside_large_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Gelu.onnx
    monkeypatch.setattr(
        Gelu,
        "onnx",
        lambda self, build, outputs, x: right(Gelu("tanh"), build, outputs, x),
    )
    graph = make("output y = concat([gelu(x), x * 1000000], axis=1)")
    (message,) = verify_wrong(graph, tmp_path)
    assert "computes `gelu` differently" in message.text.title


def test_a_sigmoid_that_saturates_early_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is promised beside 1 is still held: hard sigmoids are off by a hundredth."""
    monkeypatch.setattr(
        Sigmoid,
        "onnx",
        lambda self, build, outputs, x: [build.op("HardSigmoid", [x.value])],
    )
    (message,) = verify_wrong(make("output y = sigmoid(x)"), tmp_path)
    assert "computes `sigmoid` differently" in message.text.title


@pytest.mark.parametrize(("other", "reached"), [(1 + 2e-7, True), (1.5, False)])
def test_a_sum_that_rounding_cannot_tell_from_zero_may_be_zero(other: float, reached: bool) -> None:
    text = (
        "model M() {\n    input x: f32[batch, 2]\n    param w: f32[2, 1] = ones()\n"
        "    output y = log(abs(x @ w))\n}\ndeploy M as onnx"
    )
    graph = check_text(text).deploys[0].graph
    rows = {"x": np.array([[1.0, -other]], np.float32)}
    ones = {"w": np.ones((2, 1), np.float32)}
    for zeros, found in ((1.0, reached), (0.0, False)):
        moved = compute_moved(graph, ones, rows, np.random.default_rng(0), zeros)["y"]
        assert (moved == -np.inf).all() == found


def test_a_logarithm_of_gates_that_close_is_verified(tmp_path: Path) -> None:
    text = (
        "model M() {\n    input x: f32[batch, t, 4]\n    h = x -> lstm(6)\n"
        "    output q = log(abs(h))\n    output g = log(abs(x -> gru(6)))\n}\n"
        "deploy M as onnx { dynamic batch, t }"
    )
    graph = check_text(text).deploys[0].graph
    weights = draw_weights(graph, 0)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    sink = Sink()
    verify(graph, weights, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    assert not sink.messages, [m.text.title for m in sink.messages]
