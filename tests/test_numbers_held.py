"""Numbers that meet tensors whose type cannot hold them: refused at their place by `check`; and
numbers beyond 64 bits where they mean something."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.verify import verify
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import Sink
from tests.elaborating import build, codes
from tests.test_verify import load

MODEL = """
model M {
    input x: f32[batch, 4]
    input i: i64[batch, 4]
    input b: u8[batch, 4]
    input h: f16[batch, 4]
    output y = EXPRESSION
    output same_x = 2 * x
    output same_i = -i
    output same_b = b // 2
    output same_h = -h
}
"""


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("b + 300", "W1375"),
        ("b * -300", "W1375"),
        ("minimum(b, 300)", "W1375"),
        ("cast(b, i8) + 200", "W1375"),
        ("i + 2 ** 63", "W1375"),
        ("2 ** 70 - i", "W1375"),
        ("i > 2 ** 64", "W1375"),
        ("i == -2 ** 63 - 1", "W1375"),
        ("where(x > 0, 2 ** 70, i)", "W1375"),
        ("x * 1e39", "W1375"),
        ("h + 70000", "W1375"),
        ("x ** 10 ** 300", "W1375"),
        ("clip(i, 0, 2 ** 70)", "W0353"),
        ("clip(b, -1, 4)", "W0353"),
        ("full([4], 2 ** 70)", "W0353"),
        ("full([4], 300, dtype=u8)", "W0353"),
        ("full([4], -1, dtype=u8)", "W0353"),
        ("full([4], 1.5, dtype=i64)", "W0353"),
        ("full([4], 1e39)", "W0353"),
        ("full([4], 70000.0, dtype=f16)", "W0353"),
        ("arange(2 ** 63, 2 ** 63 + 4)", "W0353"),
        ("arange(-2 ** 63 - 4, -2 ** 63)", "W0353"),
        ("arange(0, 200, dtype=i8)", "W0353"),
        ("x -> triu(2 ** 63)", "W0353"),
        ("i // 0", "W1376"),
        ("i % 0", "W1376"),
        ("i // tensor([1, 2, 0, 4])", "W1376"),
        ("i ** -1", "W1390"),
        ("2 ** i + i ** tensor([0, 1, -2, 3])", "W1390"),
        ("bce(sigmoid(x[0]), tensor([0.0, 0.5, 1.0, 1.5]))", "W1390"),
    ],
)
def test_a_number_that_the_type_cannot_hold(expression: str, code: str) -> None:
    found = codes(MODEL.replace("EXPRESSION", expression))
    assert [c for c in found if not c.startswith("W10")] == [code]


@pytest.mark.parametrize(
    "expression",
    [
        "b + 255",
        "i + (2 ** 63 - 1) * 0",
        "x + 2 ** 70",
        "x / 0",
        "clip(x, -2 ** 70, 2 ** 70)",
        "full([4], 2 ** 70, dtype=f32) + x",
        "full([4], inf) + x",
        "full([4], -2 ** 63)",
        "arange(0, 128, dtype=i8)",
        "x[:, 0:2 ** 63]",
        "x[:, -2 ** 70:2 ** 70]",
        "x[:, ::2 ** 63]",
    ],
)
def test_a_large_number_that_means_something(expression: str, tmp_path: Path) -> None:
    graph = build(MODEL.replace("EXPRESSION", expression)).graph
    weights = draw_weights(graph)
    path = tmp_path / "net.onnx"
    compile_onnx(graph, weights, path)
    sink = Sink()
    report = verify(
        graph,
        weights,
        torch_module=load(graph, weights),
        onnx_path=path,
        device=Device.CPU,
        sink=sink,
    )
    assert report.passed, [m.text.title for m in sink.messages]


def test_types_are_judged_before_divisors() -> None:
    found = codes(
        "model M {\n    input x: f32[]\n    input i: i64[]\n    output y = cross_entropy(x, i)\n}\n"
    )
    assert found == ["W0380"]
