"""What went wrong, or could, when flat graphs were folded back into classes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backends.pytorch.classes.bounds import find_checked
from backends.pytorch.classes.fold import fold_graphs
from backends.pytorch.classes.paths import Paths
from backends.pytorch.modules import (
    constructor_arguments,
    constructor_call,
    emit_module,
    root_class,
)
from backends.pytorch.print.reading import Reading
from backends.pytorch.print.statements import Statements
from backends.pytorch.run.load import assign_weights, load_module, run_source
from backends.pytorch.terms.expressions import Expressions
from backends.pytorch.terms.terms import Form, Part, Tree, name
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.hint import HintBinary, HintConst, HintName
from tests.elaborating import build, elaborate
from tests.pytorch_compare import (
    assert_arguments_mean_the_same,
    assert_means_the_same,
    draw_inputs,
    draw_lively,
    run,
)
from tests.pytorch_sketch import Sketch, Sym, block, size

ROOT = Path(__file__).resolve().parents[1]


# --- hints and arguments ----------------------------------------------------------------------


@block({"x": "n d"})
def misled(sketch: Sketch, x, width):
    wrong = Sym(int(width), HintBinary("+", HintName("width"), HintConst(1)))
    return sketch.dense(x, out=wrong, name="fc")


def test_hints_that_do_not_hold_are_not_printed() -> None:
    sketch = Sketch("Misled")
    x = sketch.input("x", "batch", 4)
    for number, width in enumerate((6, 9)):
        x = misled(sketch, x, width, name=f"part{number}")
    sketch.output("y", x)
    text = assert_means_the_same(sketch.graph(), {"batch": 2})
    assert "width + 1" not in text


HONEST = {
    "digits": (
        """
model M(classes: int = 10, width: int = 4) {
    input image: f32[batch, 1, 8, 8]
    x = image -> conv(width, kernel=3, padding="same") -> batch_norm -> relu -> max_pool(2)
    output logits = x -> flatten -> dropout(25%) -> dense(classes) as head
}
""",
        {"width": 7, "classes": 3},
    ),
    "dense": (
        """
block layer(x: f32[n, c, h, w], growth: int) {
    return concat([x, x -> relu -> conv(growth, kernel=3, padding=1) as conv], axis=1)
}
model M(growth: int = 4, count: int = 3) {
    input image: f32[batch, 3, 8, 8]
    x = image -> conv(2 * growth, kernel=1) as stem -> count * layer(growth) as stage
    output y = x -> global_avg_pool -> dense(5) as head
}
""",
        {"growth": 6},
    ),
    "transformer": (
        """
use std.transformer
model M(d: int = 16, heads: int = 4, hidden: int = 24, classes: int = 5, size: int = 12) {
    input image: f32[batch, 3, size, size]
    param position: f32[1, (size / 4) ** 2, d] = normal(0.02)
    x = image -> conv(d, kernel=4, stride=4) as patches -> flatten(2) -> transpose(1, 2)
    x = x + position
    x = x -> 2 * encoder_block(heads, hidden) as blocks
    output logits = mean(x, axis=1) -> dense(classes) as head
}
""",
        {"d": 24, "heads": 3, "hidden": 20, "classes": 2, "size": 16},
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_arguments_of_a_class_are_honoured_for_other_values(name: str) -> None:
    """The class that is printed for the defaults, made with other arguments, is the network that
    the spec gives for them."""
    text, others = HONEST[name]
    graph = build(text).graph
    module = run_source(emit_module([graph], title="x."))
    given = ", ".join(f"{key}={value}" for key, value in others.items())
    wanted = elaborate(f"{text}\nnet other = M({given})")[0]["other"].graph
    made = getattr(module, root_class(graph))(**others)
    shapes = {p.path: p.value.type.known_shape for p in wanted.parameters}
    found = {path: tuple(t.shape) for path, t in made.state_dict().items()}
    assert {p: s for p, s in found.items() if "num_batches" not in p} == shapes
    inputs = draw_inputs(wanted, {"batch": 2})
    weights = draw_lively(wanted)
    assign_weights(made.eval(), weights)
    (expected,) = evaluate(wanted, weights, inputs).values()
    np.testing.assert_allclose(run(made, inputs)[0], expected, atol=1e-5)


def test_arguments_that_cannot_be_honoured_are_not_offered() -> None:
    graph = build(
        """
model M(depth: int = 3, kernel: int = 3) {
    input image: f32[batch, 1, 8, 8]
    x = image
    for i in 0..depth { x = x -> conv(4, kernel=3, padding=1) as "c{i}" }
    output y = x -> max_pool(kernel, ceil_mode=true) -> flatten -> dense(5) as head
}
"""
    ).graph
    assert constructor_call(graph) == "M()"
    text = emit_module([graph], title="x.")
    assert "def __init__(self, depth: int = 3) -> None:" in text
    assert "kernel" not in text


def test_calls_show_arguments_that_differ_from_the_default() -> None:
    text = """
model M(width: int = 4, classes: int = 3) {
    input x: f32[batch, 6]
    output y = x -> dense(width) as a -> relu -> dense(classes) as b
}
net wide = M(width=9)
"""
    nets, _ = elaborate(text)
    graphs = [nets["M"].graph, nets["wide"].graph]
    assert [constructor_call(g, graphs) for g in graphs] == ["M()", "M(width=9)"]
    assert constructor_arguments(graphs[1], graphs) == {"width": 9}
    source = emit_module(graphs, title="x.")
    assert source.count("class ") == 1
    for graph in graphs:
        module = load_module(source, graph, graphs)
        weights = draw_lively(graph)
        assign_weights(module, weights)
        inputs = draw_inputs(graph, {"batch": 2})
        (expected,) = evaluate(graph, weights, inputs).values()
        np.testing.assert_allclose(run(module, inputs)[0], expected, atol=1e-5)


def test_an_optional_part_is_tested_as_the_author_wrote_it() -> None:
    graph = build(
        """
block part(x: f32[n, c, h, w], width: int, stride: int, expand: int) {
    y = x
    k = 0
    if expand != 1 {
        y = y -> conv(c * expand, kernel=1) as conv[0]
        k = 1
    }
    y = y -> conv(width, kernel=3, stride=stride, padding=1) as conv[k] -> batch_norm as conv[k + 1]
    return if stride == 1 and c == width then x + y else y
}
model M {
    input image: f32[batch, 3, h, w]
    x = image -> part(8, 2, 1) as a -> part(8, 1, 6) as b -> part(16, 1, 6) as c
    output y = x -> part(16, 1, 6) as d -> part(16, 2, 6) as e
}
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 2, "h": 8, "w": 8})
    assert "        if expand == 1:\n" in text
    assert "        if self.stride == 1 and self.c == self.width:\n            y = x + y\n" in text


# --- structure --------------------------------------------------------------------------------


def test_a_shared_net_is_one_attribute_called_twice() -> None:
    graph = build(
        """
block enc(x: f32[n, d], k: int) { return x -> dense(k) as fc -> tanh }
model M {
    input a: f32[batch, 4]
    input b: f32[batch, 4]
    net e = enc(3)
    output y = e(a) - e(b)
}
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 3})
    assert text.count("self.e = Enc(4, 3)") == 1
    assert "return self.e(a) - self.e(b)" in text


def test_tied_weights_are_read_from_their_owner() -> None:
    graph = build(
        """
model M {
    input ids: i64[batch, t]
    net embed = embedding(20, 8)
    output y = embed(ids) -> dense(20, weight=embed.weight, bias=false) as head
}
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 2, "t": 3})
    assert "F.linear(self.embed(ids), self.embed.weight)" in text


def test_many_optional_parts_become_several_classes() -> None:
    """More than four conditions in one class are harder to read than two classes."""
    body = "\n".join(f"    if p{k} {{ x = x -> dense(d) as l{k} -> relu }}" for k in range(6))
    flags = ", ".join(f"p{k}: bool = false" for k in range(6))
    calls = " -> ".join(f"b(p{k}=true) as a{k}" for k in range(6))
    graph = build(
        f"block b(x: f32[n, d], {flags}) {{\n{body}\n    return x -> dense(d) as out\n}}\n"
        f"model M {{\n    input x: f32[batch, 4]\n    output y = x -> {calls}\n}}\n"
    ).graph
    text = assert_means_the_same(graph, {"batch": 2})
    assert "class B2(nn.Module):" in text


def test_a_class_for_each_level_of_recursion() -> None:
    graph = build(
        """
block level(x: f32[n, d], depth: int) {
    x = x -> dense(d) as fc
    return if depth > 0 then x -> level(depth - 1) as inner else x
}
model M { input x: f32[batch, 4]  output y = x -> level(2) as top }
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 2})
    assert text.count("(nn.Module):") == 4


def test_functions_that_differ_are_passed() -> None:
    graph = build(
        """
block f(x: f32[n, d], act: layer = relu) { return x -> dense(d) as a -> act }
model M {
    input x: f32[batch, 4]
    output y = x -> f as a -> f(act=gelu) as b -> f(act=leaky_relu(0.2)) as c
}
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 2})
    assert "F_(4, act=F.gelu)" in text
    assert "F_(4, act=nn.LeakyReLU(negative_slope=0.2))" in text


STAGES = """
block stage(x: f32[n, c, h, w], out: int, act: layer = hard_swish) {
    return x -> conv(out, kernel=1) as "0" -> batch_norm as "1" -> act
}
block residual(x: f32[n, c, h, w], hidden: int, act: layer) {
    y = x
    if hidden != c { y = y -> stage(hidden, act=act) as expand }
    y = y -> stage(c, act=act) as project
    return x + y
}
model M(width: int = 4) {
    input x: f32[batch, 3, 5, 5]
    x = x -> stage(width) as stem -> residual(width, relu) as a -> residual(2 * width, silu) as b
    output y = x -> residual(3 * width, leaky_relu(0.2)) as c -> stage(width, act=elu(0.5)) as last
}
"""


def test_modules_that_differ_are_made_from_classes_that_are_passed() -> None:
    text = assert_means_the_same(build(STAGES).graph, {"batch": 2})
    assert text.count("class ") == 3
    assert "act: Callable[[], nn.Module] = nn.Hardswish" in text
    assert "Residual(width, 2 * width, nn.SiLU)" in text
    assert "Residual(width, 3 * width, partial(nn.LeakyReLU, negative_slope=0.2))" in text
    assert "from functools import partial" in text
    assert_arguments_mean_the_same(STAGES, "M", {"width": "6"}, {"batch": 2})


def test_a_block_without_state_is_a_function() -> None:
    graph = build(
        """
block rotate(x: f32[n, t, d], base: float = 100.0) {
    angle = cast(arange(t), f32)[:, none] / base
    return x * cos(angle) + x * sin(angle)
}
model M { input x: f32[batch, t, 4]  output y = x -> rotate -> rotate(base=7.0) }
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 2, "t": 5})
    assert "def rotate(x: Tensor, base: float = 100.0) -> Tensor:" in text
    assert "base=7.0" in text


# --- cost ---------------------------------------------------------------------------------------


def make_deep(depth: int) -> Graph:
    sketch = Sketch("Deep")
    x = sketch.input("x", "batch", 4, 8, 8)
    for _ in range(depth):
        y = sketch.relu(sketch.batch_norm(sketch.conv(x, out=4, kernel=3, padding=1)))
        x = sketch.add(x, y, into=["x"])
    sketch.output("y", x)
    return sketch.graph()


@pytest.mark.timed
def test_deep_networks_cost_as_much_per_layer_as_shallow_ones() -> None:
    def measure(depth: int) -> float:
        graph = make_deep(depth)
        start = time.process_time()
        emit_module([graph], title="x.")
        return time.process_time() - start

    measure(20)
    shallow = min(measure(100) for _ in range(3))
    assert min(measure(1000) for _ in range(2)) < 25 * shallow


@block({"x": "n c h w"})
def unit(sketch: Sketch, x, width):
    c = size(x, 1, "c")
    y = sketch.conv(x, out=width, kernel=3, padding=1, name="conv")
    return y if c != width else sketch.add(x, y)


def test_a_thousand_blocks_are_one_class() -> None:
    sketch = Sketch("Tower")
    x = sketch.input("x", "batch", 3, 4, 4)
    for number in range(1001):
        x = unit(sketch, x, 4, name=f"blocks.{number}")
    sketch.output("y", x)
    text = emit_module([sketch.graph()], title="x.")
    assert len(text.splitlines()) < 50
    assert "for _ in range(1000)" in text


def test_the_text_is_the_same_every_time() -> None:
    script = (
        "from pathlib import Path\n"
        "from tests.elaborating import elaborate_file\n"
        "from tests.pytorch_random import make_network\n"
        "from backends.pytorch.modules import emit_module\n"
        "import sys\n"
        "nets, _ = elaborate_file(Path('tests/good/elaborate/loop.weft'))\n"
        "graphs = [nets['Tagger'].graph, *map(make_network, range(8))]\n"
        "print(''.join(emit_module([graph], title='x.') for graph in graphs))\n"
        "assert 'torch' not in sys.modules, 'printing needs no torch'\n"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(texts) == 1


# --- ops that leave their operand as it is ----------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "output z = x -> reshape([batch, 4])",
        "output z = x -> reshape([batch, -1])",
        "output z = expand(x, [batch, 4])",
        "output z = x[:]",
        "output z = x  output y = x -> reshape([batch, 4])",
        "y = x -> reshape([batch, 4])  output a = y  output b = relu(y)  output c = y[:]",
        "output z = (x -> relu) -> reshape([batch, -1])",
        "y = (x -> relu -> dense(3)) -> reshape([batch, 3])  output z = y[:]  output a = 2 * y",
        "output z = x -> reshape([batch, 4]) -> dense(3)",
        "param p: f32[4] = normal(0.02)  output z = p[:]  output y = x + p",
        "output z = tensor([1.0, 2.0]) -> reshape([2])  output y = x[:]",
        "output z = x -> dropout(10%) -> reshape([batch, 4])",
        "h = zeros([batch])  scan t in x, axis=1 { h = h + (t -> reshape([batch]))  emit s = t[:] }"
        "  output z = s -> reshape([batch, 4])  output y = h[:]",
    ],
)
def test_what_changes_nothing_is_no_code(body: str) -> None:
    graph = build(f"model M {{ input x: f32[batch, 4]\n{body} }}").graph
    assert_means_the_same(graph, {"batch": 3})


def test_a_block_whose_reshape_acts_in_one_call_only() -> None:
    graph = build(
        "block flat(x: f32[n, a, b]) { return x -> reshape([n, 6]) -> dense(6) }\n"
        "block part(x: f32[n, ...]) { return x -> reshape([n, 6]) -> dense(6) }\n"
        "model M {\n    input x: f32[batch, 2, 3]\n    input y: f32[batch, 6]\n"
        "    output z = part(x) + part(y) + flat(x)\n}\n"
    ).graph
    assert_means_the_same(graph, {"batch": 3})


# --- long expressions -------------------------------------------------------------------------


def test_parts_of_a_long_expression_overwrite_nothing_that_the_rest_reads() -> None:
    source = "model M { input x: f32[batch, 4]\n output y = x -> dense(4) as fc -> relu }"
    target = fold_graphs([build(source).graph]).classes[-1]
    expressions = Expressions(Paths(target).read)
    out = Statements(target, Reading(target, find_checked(target)), expressions, 0)
    longer = {f"{letter * 30}": 3.0 + number for number, letter in enumerate("abcdef")}
    values = {"x": 2.0, "y": 5.0, "z": 7.0, **longer}

    def chain(sign: str, *parts: Part) -> Tree:
        whole, *rest = parts
        for part in rest:
            whole = Tree(Form.INFIX, sign, (whole, part))
        assert isinstance(whole, Tree)
        return whole

    a, b, c, d, e, f = map(name, longer)
    above = chain("+", chain("*", a, b, name("x")), chain("*", c, d), name("y"))
    below = chain("-", chain("*", d, e, name("z")), chain("*", f, a), name("x"))
    tree = chain("/", above, below)
    expected = eval(out.text(tree), dict(values))
    out.put("result", tree)
    assert len(out.lines) > 3
    exec("\n".join(out.lines), values)
    assert values["result"] == expected
