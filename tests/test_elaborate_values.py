"""What is computed when compiling: numbers, lists, conditions, loops, recursion, functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compiler.ir.evaluate import evaluate
from compiler.ops.creation import Constant
from compiler.types.dims import Dim
from tests.elaborating import build, codes

HEAD = 'let k = 3\nmodel M(n: int = 5, f: float = 0.5, w: list = [8, 16], s: str = "ab") {\n'
USE = "    used = n + f + len(w) + len(s) + k\n    output y = x * used\n}\n"


def value_of(expression: str) -> object:
    """A compile-time expression as the number that meets a tensor."""
    net = build(
        f"{HEAD}    input x: f32[batch, t]\n    v = {expression}\n    output z = x * v\n{USE}"
    )
    constants = [n.op for n in net.graph.nodes if isinstance(n.op, Constant)]
    return constants[0].value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14),
        ("-2 ** 2", -4),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("7 % 3", 1),
        ("7 / 2", 3.5),
        ("8 / 2", 4.0),
        ("2 ** -1", 0.5),
        ("50%", 0.5),
        ("2KiB", 2048),
        ("n * k", 15),
        ("f * n", 2.5),
        ("if n > 3 then 1 else 2", 1),
        ('if s == "ab" and not (n == 4) then 1 else 2', 1),
        ("sum([if k == none then 1 else 2 for k in [none, 3]])", 3),
        ("if 3 in w or 8 in w then 1 else 2", 1),
        ("if 3 not in w then 1 else 2", 1),
        ("len(w + [1, 2])", 4),
        ("w[-1]", 16),
        ("sum(w[1:] + [4])", 20),
        ("len(w[:1])", 1),
        ("sum([i * j for i in 0..3 for j in 0..3 if i != j])", 4),
        ("sum([a * b for a, b in zip(w, [1, 2])])", 40),
        ("sum([i * v for i, v in enumerate(w)])", 16),
        ("len(range(2, 10, 3))", 3),
        ("sum(reversed(0..4))", 6),
        ("reversed(w)[0]", 16),
        ("sorted([3, 1, 2])[0]", 1),
        ("max(3, n, 1)", 5),
        ("min(w)", 8),
        ("abs(-3)", 3),
        ("floor(2.7)", 2),
        ("ceil(2.1)", 3),
        ("round(2.5)", 2),
        ("sqrt(64)", 8.0),
        ("exp(0)", 1.0),
        ("log(1)", 0.0),
        ("pi", math.pi),
        ("inf", math.inf),
        ('len("a{1 + 1}{s}")', 4),
        ("x.rank", 2),
        ("[1, [2, 3]][1][0]", 2),
    ],
)
def test_expressions(expression: str, value: float) -> None:
    found = value_of(expression)
    assert found == value
    assert isinstance(found, type(value))


def test_for_and_if_open_no_scope() -> None:
    net = build(
        "model M(n: int = 3) {\n    input x: f32[batch, 8]\n    k = 0\n"
        "    for i in 0..n {\n        if i != 1 { k = k + 1 } else { last = i }\n    }\n"
        "    output y = x * k * last * i\n}\n"
    )
    values = [n.op.value for n in net.graph.nodes if isinstance(n.op, Constant)]
    assert values == [2, 1, 2]


def test_only_the_branch_taken_is_elaborated() -> None:
    net = build(
        "block f(x, mask = none) {\n    if mask == none { return x -> relu }\n"
        "    return x * mask.missing\n}\n"
        "model M {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    assert [n.op.name for n in net.graph.nodes] == ["relu"]


def test_recursion_builds_levels() -> None:
    net = build(
        "block level(x, widths: list) {\n    x = x -> dense(widths[0]) as down\n"
        "    if len(widths) == 1 { return x }\n    return x -> level(widths[1:]) as inner\n}\n"
        "model M {\n    input x: f32[batch, 8]\n    output y = x -> level([8, 4, 2]) as net\n}\n"
    )
    paths = [p.path for p in net.graph.parameters if p.path.endswith("weight")]
    assert paths == [
        "net.down.weight",
        "net.inner.down.weight",
        "net.inner.inner.down.weight",
    ]


@pytest.mark.parametrize(("depth", "refused"), [(999, []), (1000, ["W0402"])])
def test_recursion_ends_at_a_thousand(depth: int, refused: list[str]) -> None:
    text = (
        "block level(x, n: int) {\n    if n == 1 { return x -> relu }\n"
        "    return x -> level(n - 1)\n}\n"
        "model M {\n    input x: f32[batch, 8]\n"
        f"    output y = (x -> level({depth})) + 1\n}}\n"
    )
    if refused:
        assert codes(text.replace("n == 1", "n == -1")) == refused
    else:
        assert len(build(text).graph.nodes) == 3


def test_sizes_are_exact() -> None:
    net = build(
        "model M {\n    input x: f32[batch, 2, h, w]\n    assert h // 2 * 2 <= h\n"
        "    a = x -> reshape([batch, 2 * h * w])\n"
        "    b = x -> reshape([batch, 2 * h, w]) -> reshape([batch, 2, h, (2 * w) / 2])\n"
        "    output y = b + x\n    output z = a\n}\n"
    )
    assert net.graph.outputs[0].value.type.shape[3] == Dim.of("w")
    assert not net.graph.conditions


def test_float_whole_numbers_are_sizes() -> None:
    net = build(
        "block heads(x: f32[n, t, d], count: int) {\n"
        "    return x -> reshape([n, t, count, d / count])\n}\n"
        "model M {\n    input x: f32[batch, 4, 12]\n    output y = x -> heads(12 / 4)\n}\n"
    )
    assert str(net.graph.outputs[0].value.type) == "f32[batch, 4, 3, 4]"


def test_lets_and_tensors_at_file_level() -> None:
    net = build(
        "let steps = 4\nlet table = linspace(0.0, 1.0, steps)\nlet twice: float = 2 * steps\n"
        "model M {\n    input x: f32[batch, steps]\n    output y = x * table + table * twice\n}\n"
    )
    assert [n.op.name for n in net.graph.nodes].count("linspace") == 1


def test_names_of_a_used_file() -> None:
    net = build(
        "use std.vision as v\nmodel M {\n    input x: f32[batch, 3, 8, 8]\n"
        "    output y = x -> v.conv_bn(4) -> v.squeeze_excite(2) as gate\n}\n"
    )
    assert "gate.fc1.weight" in net.graph.parameter


def test_sizes_meet_tensors() -> None:
    net = build(
        "model M {\n    input x: f32[batch, t, 8]\n"
        "    output y = x * t / (batch + 1) + x.shape[1]\n}\n"
    )
    x = np.random.default_rng(0).random((2, 3, 8)).astype(np.float32)
    found = evaluate(net.graph, {}, {"x": x})["y"]
    np.testing.assert_allclose(found, x + 3, rtol=1e-6)


def test_extremes_beside_tensors_are_taken_element_by_element() -> None:
    net = build(
        "model M {\n    input x: f32[batch, 8]\n    input y: f32[batch, 8]\n"
        "    output low = min(1, 0.5, x) + 0 * max(2, 3)\n"
        "    output high = max(x, y, 0.25)\n"
        "    output listed = max([x, y])\n"
        "    output reduced = max(x, axis=1)\n}\n"
    )
    x, y = np.random.default_rng(0).random((2, 3, 8)).astype(np.float32)
    found = evaluate(net.graph, {}, {"x": x, "y": y})
    np.testing.assert_array_equal(found["low"], np.minimum(x, np.float32(0.5)))
    np.testing.assert_array_equal(found["high"], np.maximum(np.maximum(x, y), np.float32(0.25)))
    np.testing.assert_array_equal(found["listed"], np.maximum(x, y))
    np.testing.assert_array_equal(found["reduced"], x.max(axis=1))
