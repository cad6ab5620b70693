"""Calls of blocks that are made again from an earlier call are what elaborating them anew gives."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from backends.pytorch.modules import emit_module
from compiler.describe import describe_graphs, describe_program
from compiler.driver import check, check_source
from compiler.elaborate.calls import blocks
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from tests.elaborating import elaborate
from tests.fuzz.programs import make_program

ROOT = Path(__file__).resolve().parents[1]

BLOCKS = """
use std.vision

## A layer with a weight of its own.
block unit(
    x: f32[n, d], width: int = d, act: str = "relu", bias: bool = true, factor: float = 1.0
) {
    param scale: f32[d] = normal(0.1)
    y = (x * scale * factor) -> dense(width, bias=bias) as first -> dense(d) as second
    if act == "relu" {
        y = relu(y)
    } else {
        y = tanh(y)
    }
    return x + y
}
block pair(x: f32[n, d], other: f32[n, d]) {
    a = x -> unit as left
    b = other -> unit(2 * d) as right
    return total=a + b, rest=b
}
block passing(x: f32[n, d]) {
    y = x -> dense(d) as layer
    return x, y
}
block looping(x: f32[n, d], depth: int) {
    for i in 0..depth {
        x = x -> unit(factor=i + 1.0) as unit[i]
    }
    return x -> dropout(10%)
}
block sized(x: f32[n, d], half: int = d / 2) {
    y = x -> dense(half) as down
    return y -> dense(x.shape[1]) as up
}
block scanning(x: f32[n, d]) {
    h = zeros([n, 3])
    scan v in stack([x, 2 * x], axis=1), axis=1 {
        h = tanh(concat([v, h], axis=-1) -> dense(3) as cell)
    }
    return h -> dense(d) as out
}
block inner_net(x: f32[n, d]) {
    net shared = Shared(d=d)
    return shared(x) + shared(2 * x)
}
model Shared(d: int = 8) {
    input x: f32[batch, d]
    output y = x -> dense(d) as layer
}
block acting(x: f32[n, d], act: layer = relu, norm: layer = none) {
    y = x -> dense(d) as layer -> act
    return if norm == none then y else (y -> norm as normed)
}
block listing(x: f32[n, d]) {
    parts = []
    for i in 0..3 {
        parts = parts + [x -> dense(d) as part[i]]
    }
    return concat(parts, axis=-1) -> dense(d) as join
}
"""


def model(body: str) -> str:
    lines = "\n".join(f"    {line.strip()}" for line in body.split("|"))
    inputs = "    input x: f32[batch, 8]\n    input z: f32[batch, 8]"
    return f"{BLOCKS}\nmodel M {{\n{inputs}\n{lines}\n}}\n"


BODIES = {
    "equal": "for i in 0..4 { x = x -> unit as layer[i] } | output y = x + z",
    "unnamed": "for i in 0..4 { x = x -> unit } | output y = x + z",
    "composed": "output y = (x + z) -> 3 * unit as layers",
    "options": (
        'x = x -> unit(4) -> unit(4) -> unit(4, act="tanh") -> unit(4, bias=false)'
        " | output y = (x + z) -> unit(width=4) -> unit(2 + 2)"
    ),
    "written in another way": "let_ = 4 | output y = (x + z) -> unit(4) -> unit(let_) -> unit(8)",
    "layers": (
        "x = x -> acting as a -> acting as b -> acting(tanh) as c -> acting(tanh) as d"
        "| x = x -> acting(leaky_relu(0.1)) as e -> acting(leaky_relu(0.2)) as f"
        "| x = x -> acting(leaky_relu(0.2)) as g -> acting(norm=layer_norm) as h"
        "| k = leaky_relu(0.3) | for i in 0..3 { x = x -> acting(k, unit) as i_[i] }"
        "| for i in 0..3 { x = x -> acting(leaky_relu(0.1 * i)) as j[i] } | output y = x + z"
    ),
    "numbers of another type": "output y = (x + z) -> unit(factor=1.0) -> unit(factor=1) -> unit",
    "two tensors": "a, b = pair(x, z) as one | c, d = pair(b, a) as two | output y = c + d",
    "one tensor twice": "a, b = pair(x, z) as p | c, d = pair(a, a) as q | output y = b + c + d",
    "the other way": "a, b = pair(x, x) as one | c, d = pair(a, z) as two | output y = b + c + d",
    "handed back": "a, b = passing(x) as p | c, d = passing(z) as q | output y = a + b + c + d",
    "loops inside": "for i in 0..3 { x = x -> looping(2) as stage[i] } | output y = x + z",
    "deep": "x = x -> looping(3) as a -> looping(3) as b -> looping(2) as c | output y = x + z",
    "sizes": "x = x -> sized as a -> sized as b -> sized as c | output y = x + z",
    "scans": "x = x -> scanning as a -> scanning as b | output y = x + z",
    "nets": "x = x -> inner_net as a -> inner_net as b | output y = x + z",
    "lists": "x = x -> listing as a -> listing as b -> listing as c | output y = x + z",
    "named alike": "x = x -> unit as layer | y = x -> unit as layer_2 -> unit | output y = y + z",
    "a path that is taken": "x = x -> unit as a | x = x -> unit as a | output y = x + z",
    "a path inside another": (
        'w = z -> dense(8) as "b.first" | x = x -> unit as a -> unit as b | output y = x + w'
    ),
    "a constant": "a = zeros([3, 8]) -> unit as a | b = zeros([3, 8]) -> unit as b"
    " | output y = x + z | output w = a + b",
    "another type": (
        "w = stack([x, z]) -> flatten(0, 1) -> unit as w | output y = (x + z) -> unit as v"
        " | output w = w"
    ),
    "an error inside": "x = x -> unit(0) as a -> unit(0) as b | output y = x + z",
}


def describe(text: str) -> list[str]:
    """Everything that elaboration says of a spec: graphs, programs, messages, generated code."""
    sink = Sink()
    program = check_source(Source("spec.weft", text), sink=sink)
    found = [f"{m.code} {m.span} {m.text} {m.calls}" for m in sink.messages]
    if program is None:
        return found
    found += [describe_graphs(program), describe_program(program)]
    return found + [emit_module([n.graph], title="M") for n in program.models.values()]


def without_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "begin", lambda body: None)


@pytest.mark.parametrize("name", BODIES)
def test_what_is_made_again_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = model(BODIES[name])
    found = describe(text)
    without_repeats(monkeypatch)
    assert found == describe(text)


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_are_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make_program(random.Random(seed))
    found = describe(text)
    without_repeats(monkeypatch)
    assert found == describe(text)


@pytest.mark.parametrize("name", ["llama3_8b", "vit_b_16", "resnet50", "gpt2", "swin_t"])
def test_published_models_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "specs" / "models" / f"{name}.weft"
    first = check(path, sink=Sink())
    without_repeats(monkeypatch)
    again = check(path, sink=Sink())
    assert first is not None
    assert again is not None
    assert describe_graphs(first) == describe_graphs(again)


def test_equal_layers_are_elaborated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    original = blocks.replay
    monkeypatch.setattr(blocks, "replay", lambda *args: (made.append(""), original(*args))[1])
    nets, messages = elaborate(
        model("for i in 0..50 { x = x -> unit as layer[i] } | output y = x + z")
    )
    assert not messages
    assert len(made) == 48  # the first sees an input, the second what an addition made
    assert len(nets["M"].graph.parameters) == 50 * 5
