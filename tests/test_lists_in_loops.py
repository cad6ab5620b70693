"""Lists of tensors that loops collect: a generated class keeps them, for every argument."""

from __future__ import annotations

import inspect
from typing import NamedTuple

import pytest

from backends.pytorch.modules import emit_module, root_class
from backends.pytorch.run.load import run_source
from compiler.compression.base import CompressionContext
from compiler.compression.copying import copy_graph
from compiler.compression.pruning.prune import Prune
from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.registry import load_ops
from compiler.program.train import TrainedNet
from tests.elaborating import build
from tests.pytorch_compare import assert_means_the_same, draw_lively
from tests.test_arguments_other_values import (
    Values,
    assert_same,
    find_nets,
    make_class,
    write_other,
)

DEPTHS: list[Values] = [{"depth": depth} for depth in (1, 2, 3, 4)]
WIDTHS: list[Values] = [{"width": 2}, {"width": 5}]
DOWN = "x = x -> dense(width + i) as down[i]"
EVEN = "x = x -> dense(width) as down[i]"


class Case(NamedTuple):
    """The parameters of a model, its body, and arguments to try."""

    parameters: str
    body: tuple[str, ...]
    values: list[Values]


def write(case: Case, depth: int = 3) -> str:
    """The spec of a case, with a default depth."""
    parameters = case.parameters.format(depth=depth)
    lines = "\n".join(f"    {line}" for line in case.body)
    return f"{BLOCKS}model M({parameters}) {{\n    input x: f32[batch, 6]\n{lines}\n}}\n"


BLOCKS = """
block encode(x: f32[n, k], width: int, depth: int) {
    taken = []
    for i in 0..depth {
        x = x -> dense(width + i) as layers[i] -> relu
        taken = taken + [x]
    }
    return x, taken
}
block waves(x: f32[n, k], count: int) {
    parts = [x]
    for i in 0..count { parts = parts + [sin(2 ** i * x), cos(2 ** i * x)] }
    return concat(parts, axis=-1)
}
block collect(x, taken: list, out: int) { return taken + [x -> dense(out) as fc] }
block climb(x: f32[n, k], taken: list, out: int) {
    for i in 0..len(taken) { x = x + (taken[len(taken) - 1 - i] -> dense(k) as up[i]) }
    return x -> dense(out) as last
}
"""
PLAIN = "width: int = 4, depth: int = {depth}"
KEPT = {
    "read backwards": Case(
        PLAIN,
        (
            "x = x -> dense(width) as stem",
            "skips = []",
            f"for i in 0..depth {{ skips = skips + [x]  {DOWN} }}",
            "for i in 0..depth {",
            "    x = x -> dense(width) as up[i]",
            "    x = concat([skips[depth - 1 - i], x], axis=1) -> dense(width + i) as merge[i]",
            "}",
            "output y = x -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "begun with an item, read forwards": Case(
        PLAIN,
        (
            "kept = [x]",
            f"for i in 0..depth {{ {DOWN}  kept = kept + [x] }}",
            "for i in 0..depth + 1 {",
            "    x = concat([kept[i], x], axis=1) -> dense(width) as merge[i]",
            "}",
            "output y = x -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "ended with an item, read from the end": Case(
        PLAIN,
        (
            "kept = []",
            f"for i in 0..depth {{ {DOWN}  kept = kept + [x] }}",
            "kept = kept + [x -> dense(2) as last]",
            "for i in 0..depth { x = concat([x, kept[-1 - i]], axis=1) -> dense(3) as merge[i] }",
            "output y = concat([kept[-1], kept[0]], axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "one item beside what the loop ends with": Case(
        PLAIN,
        (
            "kept = []",
            f"for i in 0..depth {{ {EVEN}  kept = kept + [x] }}",
            "output y = concat([x, kept[0], kept[depth // 2]], axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "added up": Case(
        PLAIN,
        (
            "kept = []",
            "for i in 0..depth {",
            f"    {EVEN}",
            "    kept = kept + [x -> dense(width + 1) as side[i]]",
            "}",
            "output y = sum(kept) -> relu -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "joined": Case(
        PLAIN,
        (
            "kept = [x]",
            "for i in 0..depth { kept = kept + [x -> dense(width) as side[i], x] }",
            "output y = concat(kept + [x -> dense(2) as last], axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "joined, of different sizes": Case(
        PLAIN,
        (
            "kept = [x]",
            "for i in 0..depth { kept = kept + [x -> dense(width + i) as side[i]] }",
            "output y = concat(kept, axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "stacked": Case(
        PLAIN,
        (
            "kept = []",
            "for i in 0..depth { kept = kept + [x -> dense(width) as side[i]] }",
            "output y = mean(stack(kept, axis=1), axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "joined in each turn": Case(
        PLAIN,
        (
            "kept = [x]",
            "for i in 0..depth {",
            "    y = concat(kept, axis=1) -> dense(width) as layers[i] -> relu",
            "    kept = kept + [y]",
            "}",
            "output y = concat(kept, axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "in loops of loops": Case(
        f"{PLAIN}, inner: int = 2",
        (
            "kept = []",
            "for i in 0..depth { for j in 0..inner {",
            "    x = x -> dense(width) as down[i][j]",
            "    kept = kept + [x]",
            "} }",
            "output y = sum(kept) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS, {"inner": 1}, {"inner": 3}],
    ),
    "older and newer list": Case(
        PLAIN,
        (
            "kept = []",
            f"for i in 0..depth {{ {EVEN}  kept = kept + [x] }}",
            "old = kept",
            "for i in 0..2 { kept = kept + [x -> dense(width) as more[i]] }",
            "output y = concat([sum(kept), sum(old)], axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "two lists": Case(
        PLAIN,
        (
            "a = []",
            "b = [x]",
            "for i in 0..depth {",
            f"    {EVEN}",
            "    a = a + [x]",
            "    b = b + [x -> dense(width) as side[i]]",
            "}",
            "for i in 0..depth { x = x + a[depth - 1 - i] + b[i + 1] }",
            "output y = concat([x, b[0]], axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "read by the items of an argument": Case(
        "width: int = 4, taps: list = [0, 2]",
        (
            "kept = []",
            f"for i in 0..4 {{ {EVEN}  kept = kept + [x] }}",
            "for i, tap in enumerate(taps) { x = x + (kept[tap] -> dense(width) as side[i]) }",
            "output y = x -> dense(3) as head",
        ),
        [*WIDTHS, {"taps": [1]}, {"taps": [3, 1, 0]}],
    ),
    "written out, and read in a loop": Case(
        PLAIN,
        (
            "a = x -> dense(width) as a",
            "b = a -> dense(width + 1) as b",
            "taps = [a, b]",
            "for i in 0..depth { x = concat([x, taps[i % 2]], axis=1) -> dense(width) as up[i] }",
            "output y = x -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "written out, and read by an argument": Case(
        "width: int = 4, tap: int = 1",
        (
            "a = x -> dense(width) as a",
            "b = a -> dense(width) as b",
            "c = [x -> dense(width) as c, a, b][tap]",
            "output y = c -> dense(3 + tap) as fc -> dense(3) as head",
        ),
        [*WIDTHS, {"tap": 0}, {"tap": 2}],
    ),
    "joined in a function": Case(
        PLAIN,
        ("output y = x -> waves(depth) -> dense(width) as fc -> dense(3) as head",),
        [*DEPTHS, *WIDTHS],
    ),
    "and a value from before the loop that one turn reads": Case(
        "width: int = 4, depth: int = 3, skip: int = 1",
        (
            "p = x -> waves(2)",
            "h = p",
            "for i in 0..depth {",
            "    if i == skip { h = concat([p, h], axis=-1) }",
            "    h = h -> dense(width) as layers[i] -> relu",
            "}",
            "output y = h -> dense(3) as head",
        ),
        [*WIDTHS, {"depth": 2}, {"depth": 4}, {"depth": 4, "skip": 0}, {"depth": 4, "skip": 3}],
    ),
    "with a last turn that nobody reads all of": Case(
        PLAIN,
        (
            "kept = []",
            "for i in 0..depth {",
            "    y = x -> dense(width) as down[i] -> relu",
            "    kept = kept + [y -> dense(3) as side[i]]",
            "    x = y + (y -> dense(width) as residual[i])",
            "}",
            "output y = sum(kept)",
        ),
        [*DEPTHS, *WIDTHS],
    ),
}


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("name", KEPT)
def test_classes_follow_arguments_through_lists(name: str, depth: int) -> None:
    spec = write(KEPT[name], depth)
    made = make_class(spec)
    assert {n for values in KEPT[name].values for n in values} <= {
        *inspect.signature(made).parameters
    }
    for values in KEPT[name].values:
        assert_same(spec, made, values)


UNSURE = {
    "a slice": Case(
        PLAIN,
        (
            "kept = []",
            f"for i in 0..depth {{ {EVEN}  kept = kept + [x] }}",
            "some = kept[1:3]",
            "output y = some[1] -> dense(3) as head",
        ),
        [{"depth": 4}, {"depth": 5}],
    ),
    "turned round": Case(
        PLAIN,
        (
            "kept = []",
            f"for i in 0..depth {{ {EVEN}  kept = kept + [x] }}",
            "output y = concat(reversed(kept), axis=1) -> dense(3) as head",
        ),
        [{"depth": 4}, {"depth": 2}],
    ),
    "gone through": Case(
        PLAIN,
        (
            "kept = []",
            f"for i in 0..depth {{ kept = kept + [x]  {DOWN} }}",
            "for i, one in enumerate(reversed(kept)) {",
            "    x = concat([one, x], axis=1) -> dense(width) as merge[i]",
            "}",
            "output y = x -> dense(3) as head",
        ),
        DEPTHS,
    ),
    "returned": Case(
        PLAIN,
        (
            "x, taken = x -> encode(width, depth) as encoder",
            "for i in 0..depth { x = x -> dense(3) as up[i]",
            "    x = concat([x, taken[depth - 1 - i]], axis=1) -> dense(width) as merge[i] }",
            "output y = x -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "made longer by a block": Case(
        PLAIN,
        (
            "taken = []",
            "for i in 0..depth { taken = (collect(x, taken, out=width) as steps[i]) }",
            "output y = concat(taken + [x], axis=1) -> dense(3) as head",
        ),
        [*DEPTHS, *WIDTHS],
    ),
    "given": Case(
        PLAIN,
        (
            "taken = []",
            f"for i in 0..depth {{ {EVEN}  taken = taken + [x] }}",
            "output y = climb(x, taken, out=3) as decoder",
        ),
        [*DEPTHS, *WIDTHS],
    ),
}


@pytest.mark.parametrize(
    ("depth", "name"),
    # a list of one has no second item behind its first
    [(depth, name) for depth in (1, 3) for name in UNSURE if (depth, name) != (1, "a slice")],
)
def test_arguments_are_followed_or_not_there(depth: int, name: str) -> None:
    spec = write(UNSURE[name], depth)
    made = make_class(spec)
    offered = inspect.signature(made).parameters
    assert_same(spec, made, {})
    for values in UNSURE[name].values:
        if offered.keys() >= values.keys() and find_nets(write_other(spec, values)):
            assert_same(spec, made, values)


@pytest.mark.parametrize("name", KEPT)
def test_lists_survive_text_and_copies(name: str) -> None:
    graph = build(write(KEPT[name])).graph
    code = emit_module([graph], title="M")
    assert graph.frame.origin is not None
    text = print_graph(graph)
    again = read_graph(text, load_ops(), graph.frame.origin.source)
    assert print_graph(again) == text
    assert emit_module([again], title="M") == code


@pytest.mark.parametrize("name", KEPT)
def test_pruned_nets_with_lists_mean_what_their_graphs_mean(name: str) -> None:
    graph = build(write(KEPT[name])).graph
    pruned = Prune(channels=0.3).run(WeightedNet(graph, draw_lively(graph)), CompressionContext())
    assert_means_the_same(pruned.graph, {"batch": 3})


def test_a_module_that_nothing_reads_is_made_as_it_is() -> None:
    spec = write(
        Case(
            "width: int = 4",
            (
                "h = x -> dense(width) as fc -> relu",
                "aux = h -> dense(width + 1) as aux -> dense(2) as aux2",
                "output y = h -> dense(3) as head",
            ),
            [],
        )
    )
    text = emit_module([find_nets(spec)["M"].graph], title="M")
    assert "self.aux = nn.Linear(width, width + 1)" in text
    assert "self.aux2 = nn.Linear(width + 1, 2)" in text
    assert "aux" not in text.partition("def forward")[2]
    made = make_class(spec)
    for values in WIDTHS:
        assert_same(spec, made, values)


def test_an_argument_that_an_inner_class_does_not_follow_is_not_there() -> None:
    """The loop carries two values in a ring, so it prints turn by turn, for this depth only."""
    spec = """
block ring(x: f32[n, k], depth: int) {
    a = x
    b = x -> dense(k) as g
    for i in 0..depth {
        c = (a + b) -> relu
        a = b
        b = c -> dense(k) as f[i]
    }
    return b
}
model M(depth: int = 3) {
    input x: f32[batch, 6]
    y = x -> ring(depth) as body
    output z = y -> dense(depth + 1) as fc -> dense(3) as head
}
"""
    made = make_class(spec)
    if "depth" in inspect.signature(made).parameters:
        assert_same(spec, made, {"depth": 4})
    graph = build(spec).graph
    assert root_class(graph) in run_source(emit_module([graph], title="M")).__dict__


def test_names_of_tensors_in_copies_follow() -> None:
    net = build(write(KEPT["read backwards"]))
    copy = copy_graph(TrainedNet("m", net, "m."))
    assert emit_module([copy], title="M") == emit_module([net.graph], title="M")


@pytest.mark.parametrize("skip", [0, 1])
def test_a_value_with_two_names_is_read_by_the_one_that_is_written(skip: int) -> None:
    """In the first turn both names hold one value, in the next ones only one of them does."""
    spec = f"""
model M(width: int = 4, depth: int = 3, skip: int = {skip}) {{
    input x: f32[batch, 6]
    p = x -> dense(width) as stem
    h = p
    for i in 0..depth {{
        if i == skip {{ h = p * h }}
        h = h -> dense(width) as layers[i] -> relu
    }}
    output y = h -> dense(3) as head
}}
"""
    made = make_class(spec)
    offered = inspect.signature(made).parameters
    for name, value in (("width", 3), ("skip", 1 - skip), ("skip", 2), ("depth", 4)):
        if name in offered:
            assert_same(spec, made, {name: value})
    assert "width" in offered
