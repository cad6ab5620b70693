"""What inputs may hold: places of tables and divisors, wherever in a graph they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.cases import make_cases
from backends.verification.verify import verify
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.calibration import draw_batches
from compiler.ir.input_ranges import Range, find_ranges
from compiler.ir.sizes import SizeSearch
from compiler.ir.weights import draw_weights
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.verification import no_allowed_inputs, rows_outside_domain
from compiler.types.tensor import DType
from tests.elaborating import build
from tests.quantizing import make_net
from tests.test_verify import load

INTO = """
    net e = embedding(20, 4)
    net f = embedding(7, 3)
"""
PATHS = {
    "directly": ("i: i64[batch, 6]", "output y = e(i)", {"i": (0, 19)}),
    "arithmetic": ("i: i64[batch]", "output y = e(i + 1)", {"i": (-1, 18)}),
    "backwards": ("i: i64[batch]", "output y = e(19 - i)", {"i": (0, 19)}),
    "halved": ("i: i64[batch]", "output y = e(i // 2)", {"i": (0, 39)}),
    "shapes": (
        "i: i64[batch, 6]; j: i64[batch, 6]",
        "k = concat([i -> reshape([batch, 2, 3]), j -> reshape([batch, 2, 3])], axis=1)\n"
        "    output y = e(k)",
        {"i": (0, 19), "j": (0, 19)},
    ),
    "chosen": (
        "i: i64[batch]; j: i64[batch]",
        "output y = e(where(i > j, i, j))",
        {"i": (-128, 19), "j": (0, 19)},  # the larger of both
    ),
    "two tables": ("i: i64[batch]", "output y = e(i)\n    output z = f(i)", {"i": (0, 6)}),
    "each its own": (
        "i: i64[batch]; j: i64[batch]",
        "output y = e(i)\n    output z = f(j)",
        {"i": (0, 19), "j": (0, 6)},
    ),
    "a sum": ("i: i64[batch]; j: i64[batch]", "output y = e(i + j)", None),
    "one-hot": ("i: i64[batch]", "output y = one_hot(i, 9)", {"i": (0, 8)}),
    "fractions": ("i: f32[batch]", "output y = e(cast(i, i64))", None),
    "classes": (
        "x: f32[batch, 5]; i: i64[batch]",
        'output y = cross_entropy(x, i, reduction="none")',
        {"i": (0, 4)},
    ),
    "places": ("x: f32[9, 2]; i: i64[batch]", "output y = x[i]", {"i": (0, 8)}),
    "divisor": ("i: i64[batch]", "output y = 100 // i", {"i": (1, 255)}),
    "remainder": ("i: i32[batch]", "output y = e(i % 20)", {"i": (-128, 255)}),
    "state": (
        "i: i64[batch]",
        "t = i\n    scan k in 0..3 {\n        t = argmax(e(t), axis=-1)\n"
        "        emit o = t, axis=1\n    }\n    output y = o",
        {"i": (0, 19)},
    ),
    "state that grows": (
        "i: i64[batch]",
        "t = i\n    scan k in 0..3 {\n        t = t + 1\n        emit o = e(t), axis=1\n"
        "    }\n    output y = o",
        {"i": (-1, 16)},
    ),
    "result of a loop": (
        "i: i64[batch, 4]",
        "scan s in i, axis=1 {\n        emit o = s + 2, axis=1\n    }\n    output y = e(o)",
        {"i": (-2, 17)},
    ),
    "probabilities": (
        "x: f32[batch, 5]; y: f32[batch, 5]",
        "output z = bce(sigmoid(x), y)",
        {"y": (0, 1)},
    ),
    "shares": (
        "x: f32[batch, 5]; y: f32[batch, 5]",
        "output z = kl(log_softmax(x, axis=1), y)",
        {"y": (0, 1)},
    ),
    "nothing": ("i: i64[batch]", "output y = i * 2", {}),
}


def make_spec(inputs: str, body: str) -> str:
    lines = "\n".join(f"    input {line}" for line in inputs.split("; "))
    return f"model M() {{\n{lines}{INTO}    {body}\n}}"


@pytest.mark.parametrize("name", list(PATHS))
def test_inputs_stay_in_range(name: str, tmp_path: Path) -> None:
    inputs, body, expected = PATHS[name]
    graph = build(make_spec(inputs, body)).graph
    weights = draw_weights(graph)
    (sizes, *_) = SizeSearch(graph, {}).choose()
    if expected is not None:
        wanted = {key: Range(*span) for key, span in expected.items()}
        assert find_ranges(graph, sizes, weights) == wanted
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    sink = Sink()
    report = verify(
        graph,
        weights,
        torch_module=load(graph, weights),
        onnx_path=tmp_path / "net.onnx",
        device=Device.CPU,
        sink=sink,
    )
    assert report.passed, [(m.text.title, m.text.label) for m in sink.messages]


def test_whole_numbers_are_negative_too_where_the_type_allows() -> None:
    graph = build(make_spec("i: i64[batch, 4]; j: u8[batch, 4]", "output y = i * 2 + j")).graph
    drawn = [case.inputs for case in make_cases(graph, SizeSearch(graph, {}))]
    assert min(inputs["i"].min() for inputs in drawn) == -128
    assert min(inputs["j"].min() for inputs in drawn) == 0
    assert max(inputs["i"].max() for inputs in drawn) == 255


POSITIONS = """
model G(context: int = 20) {
    input ids: i64[batch, t]
    x = (ids -> embedding(50, 4)) + (arange(t) -> embedding(context, 4) as wpe)
    output y = x -> dense(3)
}
"""


def test_a_size_that_leads_outside_is_named_with_its_bound() -> None:
    graph = build(POSITIONS, "G").graph
    with pytest.raises(CompileError) as refused:
        verify(graph, draw_weights(graph), sink=Sink())
    (message,) = refused.value.messages
    assert message.kind is no_allowed_inputs
    assert message.text.title.endswith("takes at t=33")
    assert "`assert t <= 20`" in message.text.help
    assert "`fix t=20`" in message.text.help
    bounded = build(POSITIONS.replace("    x =", "    assert t <= context\n    x ="), "G").graph
    assert verify(bounded, draw_weights(bounded), sink=Sink()).passed


NOWHERE = make_spec("i: i64[batch]", "output y = f(i * 0 + 7)")


def test_what_no_input_can_lead_to_is_asked_for() -> None:
    graph = build(NOWHERE).graph
    with pytest.raises(CompileError) as refused:
        verify(graph, draw_weights(graph), sink=Sink())
    (message,) = refused.value.messages
    assert message.kind is no_allowed_inputs
    assert message.text.label == "all numbers tried are outside of what `embedding` takes"
    assert message.span is not None


def test_rows_of_data_are_held_to_it_too() -> None:
    graph = build(make_spec("i: i64[batch]", "output y = f(i)")).graph
    weights, rows = draw_weights(graph), np.array([1, 6, 7])
    with pytest.raises(CompileError) as refused:
        verify(graph, weights, sink=Sink(), samples={"i": rows})
    assert [m.kind for m in refused.value.messages] == [rows_outside_domain]
    assert verify(graph, weights, sink=Sink(), samples={"i": rows[:2]}).passed


def test_calibration_draws_what_a_loop_takes() -> None:
    inputs, body, _ = PATHS["state"]
    net = make_net(make_spec(inputs, body))
    (batch,) = draw_batches(net, CompressionContext(target=Target(sizes=(("batch", 8),))), 64)
    assert DType.of_numpy(batch["i"].dtype) is DType.I64
    assert 0 <= batch["i"].min() < batch["i"].max() < 20
    with pytest.raises(CompileError):
        draw_batches(make_net(NOWHERE), CompressionContext(), 8)


ATTENTION = """
    input m: f32[batch, 6, 6]
    output y = (x, x, x) -> scaled_dot_product_attention(mask=m)
"""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("output y = where(isnan(x), 0, x)", "missing"),
        ("output y = where(isnan(x), 0, x) -> dense(3)\n    output m = isnan(x)", "missing"),
        ("output y = where(isnan(x), 0, x)\n    output z = 2 * x", None),  # NaN comes out
        ("output y = x -> relu", None),
        (ATTENTION, "closed"),
        (ATTENTION.replace("mask=m", "mask=(m -> transpose(1, 2))"), "closed"),
        (ATTENTION.replace("mask=m", "mask=0.5 * m"), None),
    ],
)
def test_a_network_is_given_nan_and_infinities_that_it_knows(
    body: str, kind: str | None, tmp_path: Path
) -> None:
    graph = build(f"model M() {{\n    input x: f32[batch, 6, 4]\n    {body}\n}}").graph
    weights = draw_weights(graph)
    path = tmp_path / "net.onnx"
    compile_onnx(graph, weights, path)
    report = verify(
        graph,
        weights,
        torch_module=load(graph, weights),
        onnx_path=path,
        device=Device.CPU,
        sink=Sink(),
    )
    assert report.passed
    tried = {result.case.split()[0] for result in report.results}
    assert tried & {"missing", "closed"} == ({kind} if kind is not None else set())
