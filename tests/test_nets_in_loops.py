"""Nets of a list in loops: a generated class goes through them where each is used in one turn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.pytorch.modules import emit_module
from tests.elaborating import build
from tests.pytorch_compare import assert_means_the_same

BLOCKS = """
block two(x, d: int) { return x -> dense(d) as a -> relu -> dense(d) as b }
block run(x, parts: list) {
    for i in 0..len(parts) { x = relu(parts[i](x)) }
    return x
}
model Heads(d: int) {
    input x: f32[batch, d]
    output first: f32[batch, d] = x -> dense(d) as one
    output second: f32[batch, d] = x -> dense(d) as two
}
model Encoder(d: int = 6, depth: int = 3) {
    input x: f32[batch, d]
    net parts = [dense(d) for i in 0..depth]
    net last = dense(2)
    for i in 0..depth { x = relu(parts[i](x)) }
    output y = last(x)
}
"""
NETS = "net parts = [dense(d) for i in 0..depth]"
FOLDED = {
    "one each": (NETS, "for i in 0..depth { x = x + relu(parts[i](x)) }"),
    "one twice in a turn": (NETS, "for i in 0..depth { x = parts[i](relu(parts[i](x))) }"),
    "with a name of its own": (NETS, "for i in 0..depth { f = parts[i]  x = relu(f(x)) }"),
    "of a block": (
        "net parts = [two(d=d) for i in 0..depth]",
        "for i in 0..depth { x = relu(x -> parts[i]) }",
    ),
    "of two lists": (
        "net heads = [Heads(d) for i in 0..depth]",
        NETS,
        "kept = []",
        "for i in 0..depth {",
        "    a, b = heads[i](x)",
        "    x = relu(parts[i](a * b))",
        "    kept = kept + [b]",
        "}",
        "x = x + sum(kept)",
    ),
}
"""Bodies whose loop is one in the class too."""
WRITTEN_OUT = {
    "in two loops": (
        NETS,
        "for i in 0..depth { x = relu(parts[i](x)) }",
        "for i in 0..depth { x = tanh(parts[i](x)) }",
    ),
    "once more behind": (NETS, "for i in 0..depth { x = relu(parts[i](x)) }", "x = parts[1](x)"),
    "once more before": (NETS, "x = parts[1](x)", "for i in 0..depth { x = relu(parts[i](x)) }"),
    "again and again": (
        NETS,
        "for j in 0..2 { for i in 0..depth { x = relu(parts[i](x)) } }",
    ),
    "one in all turns": (NETS, "for i in 0..depth { x = relu(parts[0](parts[i](x))) }"),
    "the next one too": (
        "net parts = [dense(d) for i in 0..4]",
        "for i in 0..depth { x = relu(parts[i + 1](parts[i](x))) }",
    ),
    "the other one too": (
        "net parts = [dense(d) for i in 0..depth]",
        "for i in 0..2 { x = relu(parts[1 - i](parts[i](x))) }",
    ),
    "one alone in all turns": (NETS, "x = parts[1](x)", "for i in 0..2 { x = relu(parts[0](x)) }"),
    "from behind": (NETS, "for i in 0..depth { x = relu(parts[-1 - i](x)) }"),
    "of lists": (
        "net parts = [[dense(d) for i in 0..depth] for j in 0..2]",
        "for j in 0..2 { for i in 0..depth { x = relu(parts[j][i](x)) } }",
    ),
    "handed to a block": (NETS, "x = run(x, parts)"),
    "that differ": (
        "net parts = [dense(d + 2 * k) for k in 0..depth]",
        "for i in 0..depth { x = relu(parts[i](x)) }",
    ),
}
"""Bodies that one module of each path allows only turn by turn, or that nobody can say in short."""


def write(body: tuple[str, ...]) -> str:
    """The spec of a body."""
    lines = "\n".join(f"    {line}" for line in body)
    return (
        f"{BLOCKS}model M(d: int = 6, depth: int = 3) {{\n    input x: f32[batch, 6]\n{lines}\n"
        "    output y = x\n}\n"
    )


@pytest.mark.parametrize("name", FOLDED)
def test_nets_of_a_list_are_gone_through(name: str) -> None:
    net = build(write(FOLDED[name]))
    text = assert_means_the_same(net.graph, {"batch": 5})
    assert "    for " in text.rpartition("def forward")[2]
    if name == "of two lists":
        assert "a, b = self.heads[i](x)" in text, "names are those of the spec"


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_net_that_is_used_elsewhere_too_is_made_once(name: str) -> None:
    net = build(write(WRITTEN_OUT[name]))
    text = assert_means_the_same(net.graph, {"batch": 5})
    assert text.count("nn.Linear(") <= len(net.graph.parameters) // 2


INSIDE = """
model M {
    input x: f32[batch, 6]
    net encoder = Encoder()
    y = encoder(x)
    for i in 0..3 { x = tanh(encoder.parts[i](x)) }
    output z = concat([y, encoder.last(x)], axis=1)
}
"""


def test_nets_inside_a_net_are_made_by_it() -> None:
    text = assert_means_the_same(build(BLOCKS + INSIDE).graph, {"batch": 5})
    assert "for part in self.encoder.parts:" in text
    made = text.partition("class M(")[2].partition("def forward")[0]
    assert "self.encoder = Encoder(6)" in made
    assert "nn." not in made.replace("nn.Module", ""), "nothing is made a second time"


TWICE = """
model M(width: int = 4, depth: int = 3) {
    input x: f32[batch, 6]
    for i in 0..depth { x = x -> two(d=width + i) as down[i] }
    output y = x
}
"""


def test_two_nets_of_one_model_are_one_class() -> None:
    graph = build(BLOCKS + TWICE).graph
    text = emit_module([graph, replace(graph, name="N")], title="Nets.")
    assert text.count("class M(") == 1


BOUNDED = """
model M(context: int = 8) {
    input x: f32[batch, t, 6]
    param place: f32[context, 6] = normal(0.02)
    net parts = [dense(6) for i in 0..3]
    x = x + place[:t]
    for i in 0..3 { x = x + relu(parts[i](x)) }
    output y = x
}
"""


def test_a_promise_before_a_loop_is_checked() -> None:
    text = emit_module([build(BOUNDED).graph], title="Nets.")
    assert "if t > self.context:" in text
    assert "for " in text.rpartition("def forward")[2]


COUNTED = """
model M(context: int = 9) {
    input x: f32[batch, 2]
    input prompt: i64[batch, p]
    x = x + mean(cast(prompt, f32), axis=1, keep=true)
    scan i in p..context { x = x + cast(i, f32)  emit seen = x }
    output y = seen
}
"""


def test_a_loop_up_to_a_number_ends_there() -> None:
    text = assert_means_the_same(build(COUNTED).graph, {"batch": 5, "p": 4})
    assert "for i in torch.arange(p, 9, device=" in text
