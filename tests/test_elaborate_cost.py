"""Elaboration of deep networks is fast, and its cost grows with their depth, not faster."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from compiler.driver import check_source
from compiler.elaborate.api import open_file
from compiler.elaborate.evaluate import expressions
from compiler.elaborate.scopes.resolve import resolve_name
from compiler.elaborate.values.parts import strip_hints
from compiler.elaborate.values.values import Val
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.text.parse import parse
from tests.elaborating import build, elaborate, elaborate_file

PROGRAMS = Path(__file__).parent / "good" / "programs"


def deep(layers: int) -> str:
    return (
        "use std.vision\nmodel M {\n    input image: f32[batch, 16, h, w]\n    x = image\n"
        f"    for i in 0..{layers} {{ x = x -> basic_block(16) as layer[i] }}\n"
        "    output y = x\n}\n"
    )


def seconds(layers: int) -> float:
    start = time.process_time()
    net = build(deep(layers))
    assert len(net.graph.nodes) == 7 * layers
    return time.process_time() - start


@pytest.mark.timed
def test_cost_grows_with_depth() -> None:
    seconds(20)
    short, long = min(seconds(50) for _ in range(3)), seconds(500)
    assert long < 20 * short
    assert long < 3  # a 1,001-layer network has 500 of these blocks


def test_exponential_recursion_is_given_up() -> None:
    text = (
        "block f(x) { return (x -> f) + (x -> f) }\n"
        "model M {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    assert [m.code for m in elaborate(text)[1]] == ["W0402"]


@pytest.mark.parametrize(
    ("loop", "code"),
    [
        ("for i in 0..10_000_000_000_000_000_000_000 { x = x -> relu }", "W0401"),
        ("z = sum([i for i in 0..100_000_000])", "W0401"),
        ("x = x -> 100_000_000 * relu", "W0401"),
        ("x = x -> 100_000 * relu", "W0401"),
        ("z = 9 ** 9 ** 9", "W0403"),
        ("for i in 0..2000 { for j in 0..2000 { z = i * j } }", "W0401"),
    ],
)
def test_endless_work_is_refused(loop: str, code: str) -> None:
    text = f"model M {{\n    input x: f32[batch, 8]\n    {loop}\n    output y = x\n}}\n"
    assert [m.code for m in elaborate(text)[1]] == [code]


@pytest.mark.parametrize(
    ("program", "model", "parameters"),
    [
        ("resnet50", "ResNet50", 25_557_032),
        ("mobilenet_v2", "MobileNetV2", 3_504_872),
        ("unet", "UNet", 31_030_658),
        ("digits", "DigitNet", 10_026),
        ("wgan_gp", "Critic", 661_697),
        ("wgan_gp", "Generator", 3_682_049),
        ("llama3", "Llama", 8_030_261_248),
        ("peephole_lstm", "Tagger", 2_828_305),
    ],
)
def test_published_programs(program: str, model: str, parameters: int) -> None:
    graph = elaborate_file(PROGRAMS / f"{program}.weft")[0][model].graph
    sizes = [p.value.type.size.known or 0 for p in graph.parameters if p.trainable]
    assert sum(sizes) == parameters


NAMES = ", ".join(f"a{i}" for i in range(30))
PRODUCT = " * ".join(f"(a{i} + 1)" for i in range(30))


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        ("z = [1]\n    for i in 0..60 { z = z + z }", "W0401"),
        ("z = [1]\n    for i in 0..60 { z = [z, z] }", "W0401"),
        ("z = (1, 2)\n    for i in 0..60 { z = (z, z) }", "W0401"),
        ("z = [1]\n    for i in 0..60 { z = zip(z, z) }", "W0401"),
        ("z = [1]\n    for i in 0..1_000 { z = [z] }", "W0113"),
        ('z = "ab"\n    for i in 0..60 { z = z + z }', "W0401"),
        ('z = "ab"\n    for i in 0..60 { z = "{z}{z}" }', "W0401"),
        ("z = 1\n    for i in 1..1_000 { z = z * i }", "W0403"),
        ("z = 1\n    for i in 1..2_000 { z = z + z }", "W0403"),
        ("z = batch + 1\n    for i in 0..30 { z = z * z }", "W0403"),
        ("z = batch\n    for i in 0..500 { z = (z * batch + i) % (z + 1) }", "W0403"),
        ("z = relu\n    for i in 0..60 { z = z -> z }", "W0401"),
        ("z = relu\n    for i in 0..10_000 { z = z -> relu }", "W0401"),
        ("z = relu\n    for i in 0..10_000 { z = z as deep }", "W0113"),
        ("z = relu\n    for i in 0..10_000 { z = 1 * z }", "W0113"),
        ("z = zeros([10 ** 10, 10 ** 10])", "W1320"),
        ("z = arange(10 ** 30)", "W0353"),
        ("z = x -> dense(10 ** 15) -> dense(10 ** 15)", "W1320"),
        (f"z = zeros([{', '.join(['1'] * 65)}])", "W1320"),
    ],
)
def test_what_grows_without_end_is_refused(statements: str, code: str) -> None:
    text = f"model M {{\n    input x: f32[batch, 8]\n    {statements}\n    output y = x\n}}\n"
    start = time.process_time()
    assert [m.code for m in elaborate(text)[1]] == [code]
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ("unbind(x, axis=1)", "1,000,000,000,000"),
        ("split(x, 7, axis=1)", "142,857,142,858"),
        ("chunk(x, 10_001, axis=1)", "10,001"),
    ],
)
def test_more_tensors_than_a_graph_holds_are_refused(parts: str, count: str) -> None:
    text = (
        "model M {\n    input x: f32[batch, 1_000_000_000_000]\n"
        f"    p = {parts}\n    output y = p[0]\n}}\n"
    )
    (found,) = elaborate(text)[1]
    assert found.code == "W1670"
    assert f"would make {count} tensors" in found.text.title


def test_the_tensors_of_many_calls_are_counted() -> None:
    text = (
        "model M {\n    input x: f32[batch, 10_000]\n"
        "    for i in 0..10_000 { p = unbind(x, axis=1) }\n    output y = p[0]\n}\n"
    )
    assert [m.code for m in elaborate(text)[1]] == ["W0401"]


def test_a_size_of_thousands_of_terms_is_refused() -> None:
    text = f"model M {{\n    input x: f32[{NAMES}]\n    output y = x -> reshape([{PRODUCT}])\n}}\n"
    assert [m.code for m in elaborate(text)[1]] == ["W0403"]
    grown = [f"    x = concat([x, x[{':, ' * axis}:1]], axis={axis})\n" for axis in range(20)]
    text = f"model M {{\n    input x: f32[{NAMES}]\n{''.join(grown)}    output y = x\n}}\n"
    assert "W1320" in [m.code for m in elaborate(text)[1]]


@pytest.mark.timed
def test_calls_cost_more_than_what_stands_in_them() -> None:
    text = (
        "block ackermann(m: int, n: int) {\n    if m == 0 { return n + 1 }\n"
        "    if n == 0 { return ackermann(m - 1, 1) }\n"
        "    return ackermann(m - 1, ackermann(m, n - 1))\n}\n"
        "model M {\n    input x: f32[batch, 8]\n    output y = x -> dense(ackermann(4, 4))\n}\n"
    )
    start = time.process_time()
    assert [m.code for m in elaborate(text)[1]] == ["W0401"]
    assert time.process_time() - start < 5


def test_all_items_together_are_bounded() -> None:
    model = "    input x: f32[batch, 8]\n    for i in 0..3000 { x = x -> relu }\n    output y = x\n"
    text = "".join(f"model M{i} {{\n{model}}}\n" for i in range(50))
    start = time.process_time()
    assert [m.code for m in elaborate(text)[1]] == ["W0401"]
    assert time.process_time() - start < 10


def test_errors_come_to_an_end() -> None:
    sink = Sink()
    text = "".join(f"let a{i} = missing\n" for i in range(2000))
    check_source(Source("spec.weft", text), sink=sink)
    assert [m.code for m in sink.messages] == ["W0201"] * 200 + ["W1322"]


# --- arithmetic that a comprehension repeats ----------------------------------------------------

POSITIONS = (
    "(k // w ** 2 // w - k % w ** 2 // w + w - 1) * (2 * w - 1) + k // w ** 2 % w - k % w + w - 1"
)


def find_let(text: str, name: str) -> Val | None:
    """The value of a `let`."""
    sink = Sink()
    scope = open_file(parse(Source("spec.weft", text), sink), sink)
    found = resolve_name(scope, name, scope.entries[name].span, None)
    assert not sink.messages
    return found


@pytest.mark.parametrize(
    "element",
    [
        POSITIONS,
        "k",
        "-k",
        "k / 3",
        "k ** 2 - 2 ** (k - 20)",
        "if k > 20 then (k - 20) ** 0.5 else 7",
        "k == 4",
        "not (k == 4 and k < 9 or k > 30)",
        "if k % 2 == 0 then k * 0.5 else true == false",
        "w > 3 and k > 2",
        "k * 10 ** 300",
        "-2.5 // (k + 1) % 3",
    ],
)
def test_it_gives_what_the_full_evaluation_gives(
    element: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"let w = 7\nlet all = [{element} for k in 0..40]\n"
    fast = find_let(text, "all")
    monkeypatch.setattr(expressions, "MANY", 1000)
    full = find_let(text, "all")
    assert fast is not None
    assert full is not None
    assert strip_hints(fast) == strip_hints(full)


def test_faults_are_found_where_they_are() -> None:
    text = "let all = [10 // (k - 30) for k in 0..40]\n"
    (message,) = elaborate(text)[1]
    assert message.code == "W0403"
    assert message.text.label == "10 // 0 divides by zero"


@pytest.mark.timed
def test_thousands_of_numbers_take_no_time() -> None:
    text = f"let w = 7\nlet all = [{POSITIONS} for k in 0..20_000]\n"
    start = time.process_time()
    assert not elaborate(text)[1]
    assert time.process_time() - start < 1.5
