"""Which channels prune finds to belong together, and which it leaves alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.compression.pruning.cutting import cut_net
from compiler.compression.pruning.groups import Channels, find_channels
from compiler.driver import check
from compiler.ir.coupling import factor_shapes, inner, result
from compiler.ir.graph import Graph
from compiler.ir.inputs import NodeInput
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.ops.attention import ScaledDotProductAttention
from compiler.ops.convolution import Conv
from compiler.ops.group_normalization import GroupNorm
from compiler.ops.indexing import Index
from compiler.ops.items import SliceItem
from compiler.ops.joining import Chunk, Split
from compiler.ops.padding import Pad
from compiler.report.diagnostics import Severity, Sink
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from tests.elaborating import build, elaborate_file

PROGRAMS = Path(__file__).parent / "good" / "programs"
IMAGE = "    input image: f32[batch, 3, 8, 8]\n"
TOKENS = "    input tokens: i64[batch, 6]\n"


def image_graph(body: str) -> Graph:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return build(f"model M() {{\n{IMAGE}{lines}\n}}\n").graph


def token_graph(body: str) -> Graph:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return build(f"model M() {{\n{TOKENS}{lines}\n}}\n").graph


def describe(graph: Graph) -> dict[tuple[str, ...], int]:
    """The size of each group by the layers that make it."""
    return {group.makers: group.size for group in find_channels(graph).groups}


def cut_half(graph: Graph) -> Graph:
    """The graph once the last half of each group is gone."""
    channels = find_channels(graph)
    choices = [np.arange(g.size) >= (g.size + 1) // 2 for g in channels.groups]
    net = WeightedNet(graph, draw_weights(graph))
    return cut_net(net, channels, channels.mark(choices)).graph


def ops_of(graph: Graph, kind: type) -> list[object]:
    return [node.op for node in graph.nodes if isinstance(node.op, kind)]


def test_chain_without_ties() -> None:
    graph = image_graph(
        "x = image -> conv(8, kernel=3) as a -> relu -> conv(6, kernel=3) as b -> batch_norm as n\n"
        "output y = x -> global_avg_pool -> dense(10) as head"
    )
    assert describe(graph) == {("a",): 8, ("b",): 6}
    channels = find_channels(graph)
    assert channels.obstacles == {"head": "an output of the net"}
    found = {(m.path, m.axis) for m in channels.groups[1].members}
    norms = {(f"n.{name}", 0) for name in ("weight", "bias", "running_mean", "running_var")}
    assert found == {("b.weight", 0), ("b.bias", 0), ("head.weight", 1)} | norms


def test_residual_sums_tie_what_they_add() -> None:
    graph = image_graph(
        "x = image -> conv(8, kernel=1) as a\ny = x -> conv(4, kernel=1) as b -> relu\n"
        "x = x + (y -> conv(8, kernel=1) as c)\noutput y = x -> global_avg_pool -> dense(2) as h"
    )
    assert describe(graph) == {("b",): 4, ("a", "c"): 8}


def test_concat_keeps_its_pieces_apart() -> None:
    graph = image_graph(
        "a = image -> conv(4, kernel=1) as a\nb = image -> conv(6, kernel=1) as b\n"
        "x = concat([a, b], axis=1) -> batch_norm as n\n"
        "output y = x -> global_avg_pool -> dense(2) as h"
    )
    channels = find_channels(graph)
    assert {g.makers: g.size for g in channels.groups} == {("a",): 4, ("b",): 6}
    (second,) = [g for g in channels.groups if g.makers == ("b",)]
    places = {m.path: m.entries.ravel().tolist() for m in second.members}
    assert places["n.weight"] == places["h.weight"] == [4, 5, 6, 7, 8, 9]


def test_flatten_spreads_a_channel_over_space() -> None:
    graph = image_graph(
        "x = image -> conv(4, kernel=3) as a -> max_pool(2) -> flatten\n"
        "output y = x -> dense(2) as h"
    )
    (group,) = find_channels(graph).groups
    (head,) = [m for m in group.members if m.path == "h.weight"]
    assert head.entries.shape == (4, 9)
    assert head.entries[1].tolist() == list(range(9, 18))


def test_depthwise_groups_go_with_their_channels() -> None:
    graph = image_graph(
        "x = image -> conv(8, kernel=1) as a -> conv(16, kernel=3, groups=8) as d -> relu\n"
        "output y = x -> conv(5, kernel=1) as b -> global_avg_pool"
    )
    assert describe(graph) == {("a", "d"): 8}
    made = cut_half(graph)
    assert [op.groups for op in ops_of(made, Conv) if isinstance(op, Conv)] == [1, 4, 1]


def test_few_large_groups_lose_alike() -> None:
    graph = image_graph(
        "x = image -> conv(8, kernel=1) as a -> conv(12, kernel=1, groups=2) as g\n"
        "output y = x -> conv(5, kernel=1) as b -> global_avg_pool"
    )
    channels = find_channels(graph)
    assert {g.makers: (g.size, g.widths) for g in channels.groups} == {
        ("a",): (4, (2, 1)),
        ("g",): (6, (2, 1)),
    }
    grouped = cut_half(graph).nodes[1]
    assert isinstance(grouped.op, Conv)
    assert (grouped.op.groups, grouped.op.out) == (2, 6)


@pytest.mark.parametrize(("groups", "left"), [(1, 1), (2, 2), (4, 2), (8, 4)])
def test_group_norm(groups: int, left: int) -> None:
    graph = image_graph(
        f"x = image -> conv(8, kernel=1) as a -> group_norm({groups}) as n\n"
        "output y = x -> conv(5, kernel=1) as b -> global_avg_pool"
    )
    (op,) = ops_of(cut_half(graph), GroupNorm)
    assert isinstance(op, GroupNorm)
    assert op.groups == left


HEADS = (
    "x = tokens -> embedding(9, 8) as embed\n"
    "q, k, v = x -> dense(24) as qkv -> chunk(3, axis=-1)\n"
    "split = reshape([batch, 6, 4, 2]) -> transpose(1, 2)\n"
    "y = (q -> split, k -> split, v -> split) -> scaled_dot_product_attention\n"
    "output y = y -> transpose(1, 2) -> flatten(2) -> dense(3) as out"
)


def test_attention_loses_whole_heads() -> None:
    graph = token_graph(HEADS)
    channels = find_channels(graph)
    (heads,) = [g for g in channels.groups if g.makers == ("qkv",)]
    entries = {m.path: m.entries for m in heads.members}
    assert entries["qkv.weight"].shape == (4, 6)
    assert entries["qkv.weight"][1].tolist() == [2, 3, 10, 11, 18, 19]
    assert entries["out.weight"][3].tolist() == [6, 7]
    made = cut_half(graph)
    (attention,) = [n for n in made.nodes if isinstance(n.op, ScaledDotProductAttention)]
    assert attention.output.type.shape[1:] == (Dim.of(2), Dim.of(6), Dim.of(2))
    assert attention.op == ScaledDotProductAttention(), "the size of a head is what it was"


def test_a_single_head_keeps_its_scale() -> None:
    graph = token_graph(
        "x = tokens -> embedding(9, 8) as embed\n"
        "y = (x -> dense(4) as q, x -> dense(4) as k, x -> dense(6) as v)"
        " -> scaled_dot_product_attention\noutput y = y -> dense(3) as out"
    )
    assert describe(graph) == {("embed",): 8, ("q", "k"): 4, ("v",): 6}
    (op,) = ops_of(cut_half(graph), ScaledDotProductAttention)
    assert op == ScaledDotProductAttention(scale=0.5)


def test_grouped_heads_go_with_their_key() -> None:
    graph = token_graph(
        "x = tokens -> embedding(9, 8) as embed\n"
        "q = x -> dense(24) as q -> reshape([batch, 6, 8, 3]) -> transpose(1, 2)\n"
        "k = x -> dense(12) as k -> reshape([batch, 6, 4, 3]) -> transpose(1, 2)\n"
        "y = (q, k, k) -> scaled_dot_product_attention(grouped=true)\n"
        "output y = y -> transpose(1, 2) -> flatten(2) -> dense(3) as out"
    )
    channels = find_channels(graph)
    (group,) = [g for g in channels.groups if "q" in g.makers]
    assert (group.makers, group.size) == (("q", "k"), 4)
    entries = {m.path: m.entries.shape[1] for m in group.members}
    assert entries == {"q.weight": 6, "q.bias": 6, "k.weight": 3, "k.bias": 3, "out.weight": 6}


def test_tied_weights_are_one_parameter() -> None:
    graph = token_graph(
        "net embed = embedding(9, 8)\nx = embed(tokens)\nx = x -> dense(8) as mix -> relu\n"
        "x = x -> dense(8) as back\n"
        "output y = x -> dense(9, bias=false, weight=embed.weight)"
    )
    assert describe(graph) == {("embed", "back"): 8, ("mix",): 8}


def test_gates_of_a_loop_go_with_its_state() -> None:
    (net, *_), messages = elaborate_file(PROGRAMS / "peephole_lstm.weft")
    assert net == "Tagger"
    assert not messages
    nets, _ = elaborate_file(PROGRAMS / "peephole_lstm.weft")
    channels = find_channels(nets["Tagger"].graph)
    sizes = {g.makers: g.size for g in channels.groups}
    assert sizes == {("embed",): 128, ("forward.gates",): 128, ("backward.gates",): 128}
    (forward,) = [g for g in channels.groups if g.makers == ("forward.gates",)]
    entries = {(m.path, m.axis): m.entries[1].tolist() for m in forward.members}
    assert entries["forward.gates.weight", 0] == [1, 129, 257, 385]
    assert entries["forward.gates.weight", 1] == [129]
    assert entries["forward.peep", 1] == [1]
    assert entries["head.weight", 1] == [1]


def test_pieces_cut_unequally_become_a_split() -> None:
    graph = image_graph(
        "a, b = image -> conv(8, kernel=1) as c -> chunk(2, axis=1)\n"
        "output y = concat([relu(b), a], axis=1) -> global_avg_pool -> dense(2) as h"
    )
    channels = find_channels(graph)
    assert [g.size for g in channels.groups] == [4, 4]
    choices = [np.array([True, False, False, False]), np.array([True, True, False, False])]
    net = WeightedNet(graph, draw_weights(graph))
    made = cut_net(net, channels, channels.mark(choices)).graph
    assert not ops_of(made, Chunk)
    assert ops_of(made, Split) == [Split((3, 2), axis=1)]


def test_padded_and_sliced_channels() -> None:
    graph = image_graph(
        "x = image -> conv(4, kernel=1) as a\ny = image -> conv(10, kernel=1) as b\n"
        "x = y + (x -> pad([0, 0, 0, 0, 2, 4]))\n"
        "output y = x[:, 1:-3] -> global_avg_pool -> dense(2) as h"
    )
    channels = find_channels(graph)
    gone = [np.zeros(g.size, bool) for g in channels.groups]
    for place, group in enumerate(channels.groups):
        if group.size > 1:
            gone[place][0] = True
    net = WeightedNet(graph, draw_weights(graph))
    made = cut_net(net, channels, channels.mark(gone)).graph
    (pad,) = ops_of(made, Pad)
    assert isinstance(pad, Pad)
    assert sum(int(w) for w in pad.widths if isinstance(w, int)) < 6
    (cut,) = ops_of(made, Index)
    assert isinstance(cut, Index)
    assert isinstance(cut.items[1], SliceItem)


def test_what_an_op_needs_whole_is_named() -> None:
    graph = image_graph(
        "x = image -> conv(4, kernel=1) as a -> softmax(axis=1)\n"
        "output y = x -> global_avg_pool -> dense(2) as h"
    )
    assert find_channels(graph).obstacles["a"] == "`softmax` needs all of it"


def test_inputs_and_positions_are_never_cut() -> None:
    nets, _ = elaborate_file(PROGRAMS.parents[2] / "specs" / "models" / "vit_b_16.weft")
    channels = find_channels(nets["vit_b_16"].graph)
    members = {(m.path, m.axis) for g in channels.groups for m in g.members}
    assert ("pos_embedding", 2) in members
    assert not members & {("pos_embedding", 1), ("class_token", 1), ("conv_proj.weight", 1)}
    assert {g.size for g in channels.groups} == {12, 768, 3072}


@pytest.mark.parametrize("name", ["unet", "clip", "vae", "particle_transformer", "mobilenet_v2"])
def test_programs_are_cut_in_half(name: str) -> None:
    nets, _ = elaborate_file(PROGRAMS / f"{name}.weft")
    for net in nets.values():
        if sum(p.value.type.size.known or 0 for p in net.graph.parameters) < 50_000_000:
            made = cut_half(net.graph)
            assert [o.value.type for o in made.outputs] == [o.value.type for o in net.graph.outputs]


def test_shapes_are_factored() -> None:
    def dims(*sizes: int | str) -> tuple[Dim, ...]:
        return tuple(Dim.of(size) for size in sizes)

    def made(*sizes: int | str) -> NodeInput:
        return NodeInput(0, TensorType(DType.F32, dims(*sizes)))

    x = made("n", 12, 5)
    ties, factors = factor_shapes(x, dims("n", 3, 4, 5))
    assert (x.axis(2), inner(2, 5)) in ties
    assert (result(3), inner(2, 5)) in ties
    assert factors[0].whole == x.axis(1)
    assert [port.axis for port in factors[0].factors] == [3, 4]
    assert factor_shapes(made(4, 6), dims(6, 4)) == ((), ()), "they do not interlock"
    assert factor_shapes(made("n", 4), dims(4, "n")) == ((), ())


def test_channels_of_nothing() -> None:
    graph = token_graph("output y = tokens + 1")
    channels: Channels = find_channels(graph)
    assert not channels.groups
    assert not channels.obstacles


@pytest.mark.parametrize(
    ("width", "requirement", "codes"),
    [
        ("4", "", ["W1350"]),
        ("1_000_000_000_000", "", []),
        ("1_000_000_000_000", "require params <= 10", []),
    ],
)
def test_a_check_does_not_count_the_channels_of_a_vast_net(
    width: str, requirement: str, codes: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "spec.weft"
    path.write_text(
        f"model Net {{\n    input image: f32[batch, 8, 8]\n"
        f"    output logits = image -> flatten -> dense({width}) -> relu -> dense(10)\n}}\n"
        'data digits {\n    source sklearn("digits")\n    image = image / 16\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
        "train fit of Net on digits {\n"
        "    minimize cross_entropy(logits, label) with adamw(lr=1e-3)\n    batch 8  epochs 1\n}\n"
        f"variant tiny of fit {{ apply prune(channels=1%) {requirement} }}\n",
        encoding="utf-8",
    )
    check(path, sink=(sink := Sink()))
    assert [m.code for m in sink.messages if m.severity is Severity.ERROR] == codes
