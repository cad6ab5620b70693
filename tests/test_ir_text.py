"""Graphs as text: what is printed reads back as the same graph."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from compiler.ir.cost import summarize
from compiler.ir.drawing import draw_graph
from compiler.ir.evaluate import InputError, evaluate
from compiler.ir.graph import Graph
from compiler.ir.literals import GraphSyntaxError
from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ir.verify import InvalidGraph, verify_graph
from compiler.ir.weights import draw_weights
from compiler.ops.registry import load_ops
from tests.elaborating import build, elaborate_file

MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"

NET = """
## A "net" with everything: nested blocks, hints, guards, docs.
block unit(x: f32[n, c, h, w], width: int, skip: bool = true) {
    y = x -> conv(2 * width, kernel=3, padding=1) as first -> batch_norm -> relu
    if skip { y = y + (x -> conv(2 * width, kernel=1) as side) }
    return y
}
model M(width: int = 4, classes: int = 3) {
    ## Pictures.
    input image: f32[batch, 3, h, w]
    param scale: f32[1, 2 * width, 1, 1] = normal(0.5)
    buffer shift: f32[] = 0.25
    x = image -> unit(width) as a -> 2 * unit(width, skip=false) as rest
    x = where(x > 0, x * scale, x - shift)[:, :, ::2, none] -> flatten(2)
    output logits: f32[batch, classes] = mean(x, axis=-1) -> dense(classes) as head
}
"""

SCAN = """
model M(hidden: int = 5) {
    input x: f32[batch, t, 3]
    h = zeros([batch, hidden])
    scan x_t in x, axis=1 {
        h = concat([x_t, h], axis=-1) -> dense(hidden) as cell -> tanh
        emit states = h
    }
    output last = h
    output all = states
}
"""


OWN = {"everything": NET, "scan": SCAN}


def find_names() -> list[str]:
    """Those here, and the published networks that are called like their file."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(MODELS.glob("*.weft"))}
    called = (name for name, text in texts.items() if re.search(rf"^net {name}\b", text, re.M))
    return [*OWN, *called]


@cache
def find_graph(name: str) -> Graph:
    if name in OWN:
        return build(OWN[name]).graph
    nets, _ = elaborate_file(MODELS / f"{name}.weft")
    return nets[name].graph


@pytest.mark.parametrize("name", find_names())
def test_reads_what_it_prints(name: str) -> None:
    graph = find_graph(name)
    text = print_graph(graph)
    assert graph.frame.origin is not None
    spans = [graph.frame.origin, *(n.origin.span for n in graph.nodes)]
    spans += [parameter.origin for parameter in graph.parameters]
    sources = dict.fromkeys(span.source for span in spans if span is not None)
    again = read_graph(text, load_ops(), *sources)
    verify_graph(again)
    assert print_graph(again).splitlines() == text.splitlines()
    if not any(
        n.op.name == "scan" for n in graph.nodes
    ):  # a loop's body is a graph, and graphs have frames, which are themselves
        assert [n.op for n in again.nodes] == [n.op for n in graph.nodes]
    assert again.inputs == graph.inputs
    assert again.outputs == graph.outputs
    assert again.parameters == graph.parameters
    assert again.conditions == graph.conditions


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("everything", {"image": (2, 3, 6, 5)}),
        ("scan", {"x": (2, 4, 3)}),
        ("lenet5", {"image": (2, 1, 28, 28)}),
    ],
)
def test_the_graph_read_computes_the_same(name: str, inputs: dict[str, tuple[int, ...]]) -> None:
    graph = find_graph(name)
    draw = np.random.default_rng(0)
    arrays = {n: draw.standard_normal(s).astype(np.float32) for n, s in inputs.items()}
    weights = draw_weights(graph)
    expected = evaluate(graph, weights, arrays)
    found = evaluate(read_graph(print_graph(graph), load_ops()), weights, arrays)
    assert found.keys() == expected.keys()
    for output, array in expected.items():
        assert array.size
        assert np.array_equal(found[output], array)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("graph", "unexpected"),
        ('graph "g" { }', "needs a frame"),
        (
            'graph "g" { @0 = "g" in none path="" call=0 %x: f32[1] = nosuch() in @0 }',
            "no op nosuch",
        ),
        ('graph "g" { @0 = "g" in none path="" call=0 output "y" = %x }', "before it is made"),
        (
            'graph "g" { @0 = "g" in none path="" call=0 input %a: f32[1] '
            "%x: f32[1] = relu(%a) {size=3} in @0 }",
            "no field size",
        ),
    ],
)
def test_refuses_what_is_no_graph(text: str, fault: str) -> None:
    with pytest.raises(GraphSyntaxError, match=fault):
        read_graph(text, load_ops())


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("%y: f32[9] = relu(%a) in @0", "has types"),
        ("%a: f32[1] = relu(%a) in @0", "made 2 times"),
        ("%y: f32[1] = conv(%a) {out=3, kernel=3} in @0", "refuses its inputs"),
    ],
)
def test_verify_finds_what_is_broken(line: str, fault: str) -> None:
    head = '@0 = "g" in none path="" call=0 input %a: f32[1]'
    with pytest.raises(InvalidGraph, match=fault):
        verify_graph(read_graph(f'graph "g" {{ {head} {line} }}', load_ops()))


def test_inputs_that_do_not_fit_are_refused() -> None:
    graph = find_graph("everything")
    weights = draw_weights(graph)
    with pytest.raises(InputError, match="image is missing"):
        evaluate(graph, weights, {})
    with pytest.raises(InputError, match="not"):
        evaluate(graph, weights, {"image": np.zeros((1, 4, 8, 8), np.float32)})


def test_costs_add_up() -> None:
    graph = find_graph("resnet18")
    summary = summarize(graph)
    assert summary.parameters == 11_689_512
    sizes = {"batch": 1, "h": 224, "w": 224}
    # 1.814 G multiply-adds at 224 x 224: the figure of torchvision's documentation (1.81 GFLOPS).
    assert abs(summary.multiply_adds.evaluate(sizes) - 1.814e9) < 5e6
    assert sum(child.parameters for child in summary.children) == summary.parameters
    assert [c.path for c in summary.children if not c.is_op][:2] == ["layer1.0", "layer1.1"]


def test_a_drawing_shows_blocks_and_ops() -> None:
    graph = find_graph("everything")
    closed, opened = draw_graph(graph, depth=1), draw_graph(graph, depth=2)
    assert closed.startswith("<svg ")
    assert "a: unit" in closed
    assert "a.first" not in closed
    assert "first: conv" in opened
    assert closed.count("<path ") >= len(graph.inputs) + len(graph.outputs)


def test_lines_that_pass_boxes_run_beside_them() -> None:
    drawing = draw_graph(find_graph("resnet18"), depth=2)
    left = min(int(x) for x in re.findall(r'<rect x="(\d+)"', drawing))
    lanes = re.findall(r"M \d+ (\d+) H \d+ Q (\d+) .* V (\d+) Q", drawing)
    assert len(lanes) >= 8, "a shortcut of every block"
    for top, lane, bottom in lanes:
        assert int(lane) < left
        others = [(t, b) for t, other, b in lanes if other == lane and (t, b) != (top, bottom)]
        assert all(int(b) < int(top) or int(bottom) < int(t) for t, b in others)
