"""What prune takes first, and how much of each group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext, CompressionPass
from compiler.compression.pruning.groups import find_channels
from compiler.compression.pruning.importance import (
    IMPORTANCES,
    L1,
    L2,
    Activation,
    BatchNormScale,
    Importance,
    Taylor,
    score_channels,
)
from compiler.compression.pruning.prune import Prune
from compiler.compression.pruning.widths import (
    choose_by_trial,
    choose_global,
    choose_uniform,
    round_widths,
)
from compiler.compression.quantization.base import Quantize, Scheme
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.stored import Stored8
from compiler.compression.registry import load_compression
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import CompileError, Fault
from compiler.report.messages.pruning import no_rows_to_judge_by, nothing_to_cut
from tests.elaborating import build
from tests.pruning_contexts import TEXT, Evaluator, Rows, Trainer, make_net

Array = NDArray[Any]


def score_of(
    importance: Importance, net: WeightedNet, maker: str, context: CompressionContext
) -> Array:
    channels = find_channels(net.graph)
    for group, scores in zip(
        channels.groups, score_channels(importance, net, channels, context), strict=True
    ):
        if maker in group.makers:
            assert scores is not None
            return scores
    raise AssertionError(maker)


@pytest.mark.parametrize("power", [1, 2])
def test_norms_sum_over_all_members(power: int) -> None:
    net = make_net()
    w = {path: np.abs(np.asarray(a, np.float64)) ** power for path, a in net.weights.items()}
    total = w["a.weight"].sum((1, 2, 3)) + w["a.bias"] + w["b.weight"].sum((0, 2, 3))
    total = (total + w["an.weight"] + w["an.bias"]) ** (1 / power)
    scores = score_of(L1() if power == 1 else L2(), net, "a", CompressionContext())
    np.testing.assert_allclose(scores, total / total.mean())


def test_taylor_needs_a_train_and_counts_gradients() -> None:
    net = make_net()
    scores = score_of(Taylor(), net, "a", CompressionContext(trainer=Trainer()))
    assert set(np.flatnonzero(scores)) == {0, 5}
    wanted = net.weights["a.weight"][[0, 5]].sum((1, 2, 3), dtype=np.float64) ** 2
    np.testing.assert_allclose(scores[[0, 5]] / scores[0], wanted / wanted[0], rtol=1e-4)
    with pytest.raises(CompileError) as caught:
        Prune(channels=0.5, importance=Taylor()).run(net, CompressionContext())
    assert [m.code for m in caught.value.messages] == ["W1101"]


def test_batch_norm_scale_leaves_other_groups_alone() -> None:
    net, context = make_net(), CompressionContext()
    made = Prune(channels=0.5, importance=BatchNormScale()).run(net, context)
    order = np.argsort(np.abs(net.weights["an.weight"]))
    kept = np.sort(order[4:])
    np.testing.assert_array_equal(made.weights["a.weight"], net.weights["a.weight"][kept])
    assert made.weights["b.weight"].shape == (8, 4, 1, 1)
    assert {n.path: n.done for n in context.journal} == {
        "a": "8 -> 4 channels",
        "b": "",
        "c": "",
        "head": "",
    }


def test_nothing_with_a_batch_norm_is_said_of_each_layer() -> None:
    text = TEXT.replace(" -> batch_norm as an", "")
    with pytest.raises(CompileError) as caught:
        Prune(channels=0.5, importance=BatchNormScale()).run(make_net(text), CompressionContext())
    (message,) = caught.value.messages
    assert message.text.label.startswith("`a`: `batch_norm` says nothing about its channels; `b`:")
    context = CompressionContext()
    Prune(channels=0.5, importance=BatchNormScale()).run(make_net(), context)
    reasons = {n.path: n.reason for n in context.journal}
    assert reasons["b"] == "`batch_norm` says nothing about its channels"


def test_a_pattern_that_fits_nowhere_says_why() -> None:
    net = make_net()
    with pytest.raises(CompileError) as caught:
        Prune(pattern="2:4", only=("a",)).run(net, CompressionContext())
    (message,) = caught.value.messages
    assert "`a.weight`: the number of its inputs, 3, is not a multiple of 4" in message.text.label
    context = CompressionContext()
    Prune(pattern="2:4", except_=("c",)).run(net, context)
    reasons = {n.path: n.reason for n in context.journal}
    assert reasons["a.weight"] == "the number of its inputs, 3, is not a multiple of 4"
    assert reasons["c.weight"] == "`only` or `except` says so"


@pytest.mark.parametrize("step", [Prune(channels=0.5), Prune(weights=0.5)])
@pytest.mark.parametrize("scheme", [Int8(placement="all"), Stored8()])
def test_pruning_after_quantizing_says_in_which_order(step: Prune, scheme: Scheme) -> None:
    context = CompressionContext(samples=Rows())
    net = Quantize(scheme).run(make_net(), context)
    with pytest.raises(CompileError) as caught:
        step.run(net, context)
    (message,) = caught.value.messages
    assert "it is quantized already: `prune` goes before `quantize`" in message.text.label


def test_activation_weighs_what_is_read() -> None:
    net = make_net()
    rows = Rows()
    scores = score_of(Activation(rows=8), net, "b", CompressionContext(samples=rows))
    assert rows.asked == [8]
    relu = np.concatenate([hidden(net, batch["image"]) for batch in Rows().batches(8)])
    means = np.square(relu, dtype=np.float64).mean(axis=0).reshape(-1)
    weight = np.square(net.weights["c.weight"], dtype=np.float64) * means
    wanted = np.sqrt(weight.reshape(12, 8, 36).sum((0, 2)))
    np.testing.assert_allclose(scores, wanted / wanted.mean(), rtol=1e-4)


def hidden(net: WeightedNet, image: Array) -> Array:
    found: list[Array] = []
    graph = net.graph
    last = [n for n in graph.nodes if n.op.name == "relu"][1]
    evaluate(
        graph,
        net.weights,
        {"image": image},
        watch=lambda node, made: found.extend(made) if node is last else None,
    )
    return found[0]


def test_what_has_no_rows_refuses() -> None:
    for step, better in (
        (Prune(channels=0.5, importance=Activation()), "importance=l2"),
        (Prune(channels=0.5, ranking="layer"), 'ranking="global"'),
    ):
        with pytest.raises(CompileError) as caught:
            step.run(make_net(), CompressionContext())
        (message,) = caught.value.messages
        assert message.kind is no_rows_to_judge_by
        assert (message.text.help or "").endswith(f"`{better}`")


def test_a_net_without_batch_norms_is_told_of_another_importance() -> None:
    text = """model M() {
        input x: f32[batch, 8]
        output y = x -> dense(16) as a -> relu -> dense(4) as b
    }"""
    graph = build(text).graph
    net = WeightedNet(graph, draw_weights(graph, 0))
    with pytest.raises(CompileError) as caught:
        Prune(channels=0.5, importance=BatchNormScale()).run(net, CompressionContext())
    (message,) = caught.value.messages
    assert message.kind is nothing_to_cut
    assert message.text.help == "judge by weights, of which every layer has some: `importance=l2`"


def test_ranking_by_trial_spares_what_the_loss_needs() -> None:
    net, told = make_net(), []
    context = CompressionContext(evaluator=Evaluator(), progress=lambda *step: told.append(step))
    made = Prune(channels=0.4, ranking="layer").run(net, context)
    assert made.weights["c.weight"].shape[0] == 12
    assert made.weights["a.weight"].shape[0] + made.weights["b.weight"].shape[0] == 16 - 11
    assert told


def test_uniform_and_global_widths() -> None:
    assert choose_uniform([8, 3, 1], 0.5) == [4, 1, 0]
    assert choose_uniform([64, 64], 0.3) == [19, 19]
    scores = [np.array([0.1, 0.2, 0.3, 9.0]), np.array([1.0, 2.0, 3.0, 4.0])]
    assert choose_global(scores, 0.5, 0.9) == [3, 1]
    assert choose_global(scores, 0.5, 0.5) == [2, 2]
    assert choose_global(scores, 0.0, 0.9) == [0, 0]


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), share=st.floats(0, 0.99))
def test_a_channel_of_each_group_stays(*, sizes: list[int], share: float) -> None:
    rng = np.random.default_rng(len(sizes))
    for gone in (
        choose_uniform(sizes, share),
        choose_global([rng.random(n) for n in sizes], share, 0.99),
        choose_by_trial(sizes, share, 0.9, lambda i, n: n * (i + 1.0)),
    ):
        assert all(0 <= n < size for n, size in zip(gone, sizes, strict=True))
        assert sum(gone) <= max(1, round(share * sum(sizes))) + len(sizes)


def test_the_net_as_it_is_is_tried_once() -> None:
    tried: list[tuple[int, int]] = []

    def judge(group: int, count: int) -> float:
        tried.append((group, count))
        return float(count)

    choose_by_trial([8, 8, 8], 0.5, 0.9, judge)
    assert sum(count == 0 for _, count in tried) == 1
    assert len(tried) == 1 + 3 * 4


@given(gone=st.integers(0, 7), multiple=st.integers(1, 8))
def test_widths_are_rounded(*, gone: int, multiple: int) -> None:
    (group,) = [g for g in find_channels(make_net().graph).groups if g.makers == ("a",)]
    (rounded,) = round_widths([group], [gone], multiple)
    kept = 8 - rounded
    assert kept >= 1
    assert rounded == 0 or kept % multiple == 0
    assert (rounded == 0) or (gone > 0)
    assert abs(kept - (8 - gone)) <= multiple or kept == 8


def test_patterns_restrict() -> None:
    net, context = make_net(), CompressionContext()
    made = Prune(channels=0.5, only=("a", "b"), except_=("b",)).run(net, context)
    shapes = {path: a.shape[0] for path, a in made.weights.items() if path.endswith(".weight")}
    assert shapes == {
        "a.weight": 4,
        "an.weight": 4,
        "b.weight": 8,
        "c.weight": 12,
        "head.weight": 4,
    }
    reasons = {n.path: n.reason for n in context.journal}
    assert reasons["b"] == "`only` or `except` says so"
    assert reasons["head"] == "an output of the net"
    with pytest.raises(CompileError) as caught:
        Prune(channels=0.5, only=("head",)).run(net, CompressionContext())
    (message,) = caught.value.messages
    assert message.kind is nothing_to_cut
    assert message.text.label == "`head`: an output of the net"


def test_a_tied_layer_says_with_which() -> None:
    text = TEXT.replace("conv(8, kernel=1) as b -> relu", "conv(8, kernel=1) as b -> add(x)")
    context = CompressionContext()
    Prune(channels=0.5, except_=("a",)).run(make_net(text), context)
    reasons = {n.path: n.reason for n in context.journal}
    assert reasons["b"] == "its channels are also those of `a`, which may not be touched"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"channels": 0.5, "weights": 0.5},
        {"channels": 1.0},
        {"weights": -0.1},
        {"pattern": "4:2"},
        {"channels": 0.5, "round_to": 0},
        {"channels": 0.5, "most": 1.0},
        {"zeros": True, "tolerance": -1.0},
        {"weights": 0.5, "importance": BatchNormScale()},
        {"weights": 0.5, "ranking": "layer"},
    ],
)
def test_settings_that_mean_nothing(settings: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        Prune(**settings)


def test_importances_are_described() -> None:
    load_compression()
    assert IMPORTANCES.names() == ["activation", "batch_norm", "l1", "l2", "taylor"]
    assert all(cls.summary() for cls in IMPORTANCES.classes())
    assert issubclass(Prune, CompressionPass)
    with pytest.raises(Fault):
        Taylor(rows=0)


@settings(max_examples=10, deadline=None)
@given(multiple=st.sampled_from((1, 2, 4, 8)), share=st.floats(0.1, 0.8))
def test_rounded_nets_have_round_widths(*, multiple: int, share: float) -> None:
    graph: Graph = make_net().graph
    made = Prune(channels=share, round_to=multiple).run(make_net(), CompressionContext()).graph
    for before, after in zip(graph.parameters, made.parameters, strict=True):
        for old, new in zip(before.value.type.shape, after.value.type.shape, strict=True):
            assert old == new or (new.known or 0) % multiple == 0
