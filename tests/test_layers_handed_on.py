"""Layers, lists and conditions that go from block to block, in the classes of these blocks."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from backends.pytorch.modules import emit_module, root_class
from backends.pytorch.run.load import run_source
from compiler.ir.hint import HintName
from tests.elaborating import build, elaborate
from tests.pytorch_compare import assert_means_the_same

UNITS = """
block unit(x: f32[n, c], out: int, act: layer = hard_swish) {
    return x -> dense(out) as "0" -> layer_norm as "1" -> act
}
block inverted(x: f32[n, c], hidden: int, excite: bool, act: layer) {
    k = if hidden == c then 0 else 1
    y = x
    if hidden != c { y = y -> unit(hidden, act=act) as block[0] }
    y = y -> unit(hidden, act=act) as block[k]
    if excite { y = y -> dense(hidden) as block[k + 1] }
    return y -> unit(8, act=identity) as block[if excite then k + 2 else k + 1]
}
model M {
    input x: f32[batch, 6]
    y = x
"""


def write_units(*calls: str) -> str:
    lines = "\n".join(f"    y = y -> inverted({call}) as b{i}" for i, call in enumerate(calls))
    return f"{UNITS}{lines}\n    output z = y -> dense(3)\n}}\n"


def make_classes(spec: str) -> dict[str, Any]:
    """What a generated module defines."""
    graph = build(spec).graph
    module = run_source(emit_module([graph], title="M"))
    return {**vars(module), "root": getattr(module, root_class(graph))}


@pytest.mark.parametrize(
    "calls",
    [
        ("6, true, relu", "24, false, relu", "32, false, relu"),
        ("6, true, relu", "24, false, relu", "16, true, hard_swish", "32, true, hard_swish"),
        ("6, false, relu", "24, false, relu", "32, false, hard_swish"),
        ("6, false, identity", "24, false, identity", "24, true, identity"),
    ],
)
def test_a_layer_that_is_handed_on_is_not_the_one_that_a_block_names(
    calls: tuple[str, ...],
) -> None:
    assert_means_the_same(build(write_units(*calls)).graph, {"batch": 3})


def list_activations(module: nn.Module) -> list[str]:
    kinds = (nn.ReLU, nn.Hardswish, nn.Identity, nn.Sigmoid)
    return [type(m).__name__ for m in module.modules() if isinstance(m, kinds)]


def test_every_form_of_a_class_takes_the_layer_that_it_is_given() -> None:
    calls = ("6, false, relu", "24, false, relu", "32, false, hard_swish")
    inverted = make_classes(write_units(*calls))["Inverted"]
    for hidden, count in ((8, 1), (24, 2)):
        made = inverted(c=8, hidden=hidden, act=nn.Sigmoid)
        assert list_activations(made) == ["Sigmoid"] * count + ["Identity"]


def test_conditions_that_came_out_alike_are_not_one() -> None:
    """`hidden == c` and `excite` hold in the same call: no class says one for the other."""
    calls = ("6, true, relu", "24, false, relu", "32, false, relu")
    classes = make_classes(write_units(*calls))
    assert {"Inverted", "Inverted2"} <= classes.keys()


def test_a_frame_knows_which_argument_a_layer_came_from() -> None:
    graph = build(write_units("6, true, relu")).graph
    frames = {node.scope.path: node.scope for node in graph.nodes}
    hints = {
        path: argument.hint
        for path, frame in frames.items()
        for argument in frame.arguments
        if argument.name == "act"
    }
    assert hints == {"b0": None, "b0.block.0": HintName("act"), "b0.block.2": None}


LEVELS = """
block level(x: f32[n, c], widths: list) {
    width = widths[0]
    y = x -> dense(width) as "model.0"
    if len(widths) > 1 { y = y -> level(widths[1:]) as "model.1" }
    return y -> dense(c) as "model.2"
}
model M(widths: list = [4, 5, 6], size: int = 8) {
    input x: f32[batch, size]
    output y = x -> dense(widths[0]) as "net.0" -> level(widths[1:]) as "net.1"
}
"""
LISTS = """
block stack_of(x: f32[n, c], widths: list) {
    for i in 0..len(widths) { x = x -> dense(widths[i]) as layers[i] }
    for i in 0..len(widths) { x = x + widths[i] }
    return x
}
model M(wide: list = [4, 5], last: int = 3) {
    input x: f32[batch, 8]
    output y = x -> dense(wide[0]) as first -> stack_of(LIST) as s -> dense(last) as head
}
"""


def test_lists_that_inner_levels_read_are_offered_to_none() -> None:
    """What an inner class was made for one value of is no argument of the one around it."""
    assert "widths" not in inspect.signature(make_classes(LEVELS)["root"]).parameters


@pytest.mark.parametrize(
    "written", ["wide + [last]", "[last] + wide", "wide + wide", "[2] + [last]"]
)
def test_lists_that_were_joined_are_followed_or_not_offered(written: str) -> None:
    made = make_classes(LISTS.replace("LIST", written))["root"]
    offered = inspect.signature(made).parameters
    assert not any(name in offered for name in ("wide", "last") if name in written)


def test_a_list_that_is_read_backwards_is_a_list() -> None:
    made = make_classes(LISTS.replace("LIST", "reversed(wide)"))["root"]
    module = made(wide=[3, 6, 2])
    assert [layer.out_features for layer in module.s.layers] == [2, 6, 3]
    assert module.s.widths == [2, 6, 3]
    assert module(torch.zeros(5, 8)).shape == (5, 3)


def test_tensors_called_like_modules_import_none() -> None:
    spec = """
model M {
    input time: f32[batch, 8]
    math = time -> dense(4)
    output y = relu(math) + math
}
"""
    code = emit_module([build(spec).graph], title="M")
    assert "import time" not in code
    assert "import math" not in code


GIVEN = """
model M {
    input x: f32[batch, 4, 8]
    param w: f32[6, 8] = xavier_uniform()
    param b: f32[6] = normal(1.0)
    output y = x -> dense(6, weight=w, bias=b)
    output z = x -> conv(6, kernel=3, bias=b)
}
"""


def test_a_bias_can_be_given() -> None:
    graph = build(GIVEN).graph
    assert_means_the_same(graph, {"batch": 3})
    assert "F.linear(x, self.w, self.b)" in emit_module([graph], title="M")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("x -> dense(5, bias=b)", "W0355"),
        ("x -> lstm(6, bias=b)", "`bias` of `lstm` is true or false"),
        ("x -> dense(6, bias=3)", "`bias` of `dense` is true or false"),
    ],
)
def test_a_bias_that_does_not_fit_is_refused(call: str, message: str) -> None:
    lines = GIVEN.splitlines()
    spec = "\n".join([*lines[:5], f"    output y = {call}", "}"])
    found = [f"{m.code} {m.text.title}" for m in elaborate(spec)[1]]
    assert len(found) == 1
    assert message in found[0]


def test_docstrings_keep_paragraphs_and_what_is_indented() -> None:
    spec = """
## Doubles, as the formula says:
##
##     y = 2 x
##
## and nothing else.
model M {
    input x: f32[n, 4]
    output y = 2 * x
}
"""
    code = emit_module([build(spec).graph], title="M")
    doc = ["Doubles, as the formula says:", "", "    y = 2 x", "", "and nothing else.", ""]
    assert inspect.getdoc(make_classes(spec)["root"]) == "\n".join(doc[:-1])
    assert '    """Doubles, as the formula says:\n\n        y = 2 x\n\n    and nothing' in code


def test_weights_of_a_branch_are_drawn_in_it() -> None:
    spec = """
block unit(x: f32[n, c], norm: bool = true) {
    y = x -> dense(4) as linear
    return if norm then y -> layer_norm(init=normal(0.02, mean=1)) as norm else y
}
model M {
    input x: f32[batch, 8]
    output y = x -> unit as a -> unit(norm=false) as b
}
"""
    code = emit_module([build(spec).graph], title="M")
    assert code.count("if norm:") == 1
    assert_means_the_same(build(spec).graph, {"batch": 3})
