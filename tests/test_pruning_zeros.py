"""Zeros in weights, and channels that add nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.pruning.dead import remove_dead_neurons
from compiler.compression.pruning.importance import (
    L1,
    L2,
    Activation,
    Importance,
    Taylor,
)
from compiler.compression.pruning.prune import Prune
from compiler.compression.pruning.unstructured import drop_least, keep_pattern, read_pattern
from compiler.compression.tuning.masks import find_zero_masks
from compiler.ir.weighted_net import WeightedNet
from compiler.report.diagnostics import CompileError
from compiler.report.messages.pruning import nothing_to_cut
from tests.pruning_contexts import IMAGE, TEXT, Rows, Trainer, make_net, run

Array = NDArray[Any]


@pytest.mark.parametrize("ranking", ["uniform", "global"])
@pytest.mark.parametrize("importance", [L1(), L2(), Taylor(), Activation()])
def test_weights_become_zero(importance: Importance, ranking: Any) -> None:
    net = make_net()
    context = CompressionContext(samples=Rows(), trainer=Trainer())
    made = Prune(weights=0.8, importance=importance, ranking=ranking).run(net, context)
    assert made.graph is net.graph
    names = [f"{layer}.weight" for layer in ("a", "b", "c", "head")]
    assert [n.path for n in context.journal] == names
    numbers = np.concatenate([made.weights[name].ravel() for name in names])
    assert abs(float((numbers == 0).mean()) - 0.8) < 0.02
    for path, array in made.weights.items():
        kept = array != 0
        np.testing.assert_array_equal(array[kept], net.weights[path][kept])
        assert kept.any()
    if ranking == "uniform" or not isinstance(importance, Taylor):
        assert find_zero_masks(made).keys() == set(names), "a trainer finds what stays zero"


def test_the_least_go_first() -> None:
    figures = {"a": np.array([[1.0, 4.0], [3.0, 2.0]]), "b": np.array([[10.0, 0.1], [0.2, 9.7]])}
    even = drop_least(figures, 0.5, globally=False)
    assert even["a"].tolist() == [[False, True], [True, False]]
    assert even["b"].tolist() == [[True, False], [False, True]]
    pooled = drop_least(figures, 0.5, globally=True)
    assert pooled["a"].tolist() == [[False, True], [True, False]]
    assert drop_least(figures, 0.0, globally=True)["b"].all()
    assert drop_least({}, 0.5, globally=True) == {}
    ties = drop_least({"a": np.ones((4, 5))}, 0.9, globally=False)
    assert ties["a"].sum() == 2


@pytest.mark.parametrize("ranking", ["uniform", "global"])
def test_no_weight_that_may_go_is_said(ranking: Any) -> None:
    with pytest.raises(CompileError) as caught:
        Prune(weights=0.5, ranking=ranking, except_=("*",)).run(make_net(), CompressionContext())
    (message,) = caught.value.messages
    assert message.kind is nothing_to_cut
    assert message.text.label.startswith("`a.weight`: `only` or `except` says so")


def test_two_of_four() -> None:
    net, context = make_net(), CompressionContext()
    made = Prune(pattern="2:4").run(net, context)
    for name in ("b", "c", "head"):
        weight = made.weights[f"{name}.weight"]
        blocks = np.moveaxis(weight, 1, -1).reshape(-1, 4)
        assert ((blocks != 0).sum(axis=1) == 2).all()
        old = np.abs(np.moveaxis(net.weights[f"{name}.weight"], 1, -1).reshape(-1, 4))
        assert np.abs(blocks).sum() == pytest.approx(np.sort(old, axis=1)[:, 2:].sum(), rel=1e-5)
    np.testing.assert_array_equal(made.weights["a.weight"], net.weights["a.weight"])
    reasons = {n.path: n.reason for n in context.journal}
    assert reasons["a.weight"] == "the number of its inputs, 3, is not a multiple of 4"
    assert keep_pattern(np.ones((2, 6)), 1, 2, 4) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("2:4", (2, 4)), ("1:16", (1, 16)), ("4:4", None), ("0:4", None), ("2", None)],
)
def test_patterns_are_read(text: str, found: tuple[int, int] | None) -> None:
    assert read_pattern(text) == found


def test_columns_of_zeros_are_removed() -> None:
    """What group lasso leaves: neurons of which all weights behind, or before, are zero."""
    net = make_net()
    weights = {path: np.array(a) for path, a in net.weights.items()}
    weights["head.weight"][:, [1, 4, 7]] = 0  # nothing reads them
    weights["b.weight"][[2, 3]] = 0  # and these are zero themselves
    weights["b.bias"][[2, 3]] = 0
    weights["an.weight"][6], weights["an.bias"][6] = 0, 0  # a batch norm that makes zeros
    zeroed = WeightedNet(net.graph, weights)
    made = Prune(zeros=True).run(zeroed, CompressionContext())
    widths = {path: a.shape[0] for path, a in made.weights.items() if path.endswith(".weight")}
    assert widths == {"a.weight": 7, "an.weight": 7, "b.weight": 6, "c.weight": 9, "head.weight": 4}
    np.testing.assert_allclose(run(made, IMAGE), run(zeroed, IMAGE), atol=1e-5)


def test_a_layer_beside_its_own_shortcut() -> None:
    """A channel that one layer does not read is made by it all the same."""
    text = TEXT.replace(
        "conv(8, kernel=1) as b -> relu", "conv(8, kernel=1, bias=false) as b -> add(x)"
    )
    net = make_net(text)
    weights = {path: np.array(a) for path, a in net.weights.items()}
    weights["b.weight"][:, 3] = 0  # not read by b, but made by it, and read by c
    weights["a.weight"][3], weights["a.bias"][3] = 0, 0
    weights["an.weight"][3], weights["an.bias"][3] = 0, 0
    zeroed = WeightedNet(net.graph, weights)
    assert remove_dead_neurons(zeroed) is zeroed
    weights["b.weight"][3] = 0  # now nothing makes it
    made = remove_dead_neurons(zeroed)
    assert made.weights["b.weight"].shape[0] == 7
    np.testing.assert_allclose(run(made, IMAGE), run(zeroed, IMAGE), atol=1e-5)


def test_a_bias_keeps_a_neuron_alive() -> None:
    net = make_net()
    weights = {path: np.array(a) for path, a in net.weights.items()}
    weights["c.weight"][3] = 0
    weights["c.bias"][3] = 0.5
    alive = WeightedNet(net.graph, weights)
    assert remove_dead_neurons(alive) is alive
    weights["c.bias"][3] = 1e-4
    made = remove_dead_neurons(alive, tolerance=1e-3)
    assert made.weights["c.weight"].shape[0] == 11


def test_what_fed_the_dead_dies_too() -> None:
    net = make_net()
    weights = {path: np.array(a) for path, a in net.weights.items()}
    weights["head.weight"][:, 1:] = 0  # one neuron of c is left
    weights["c.weight"][0].reshape(8, 36)[5] = 0  # and it does not read channel 5 of b
    zeroed = WeightedNet(net.graph, weights)
    made = remove_dead_neurons(zeroed)
    assert made.weights["c.weight"].shape[0] == 1
    assert made.weights["b.weight"].shape[0] == 7
    np.testing.assert_allclose(run(made, IMAGE), run(zeroed, IMAGE), atol=1e-5)


def test_norms_see_zeros() -> None:
    text = TEXT.replace("-> flatten -> dense(12) as c -> relu", "-> flatten -> layer_norm as n")
    net = make_net(text)
    weights = {path: np.array(a) for path, a in net.weights.items()}
    weights["b.weight"][2], weights["b.bias"][2] = 0, 0
    zeroed = WeightedNet(net.graph, weights)
    assert remove_dead_neurons(zeroed) is zeroed


GROUPS = """
model M {
    input image: f32[batch, 3, 6, 6]
    x = image -> conv(8, kernel=1) as a -> relu -> conv(16, kernel=3, groups=2) as wide
    output y = x -> relu -> conv(16, kernel=3, groups=16) as deep
        -> conv_transpose(8, kernel=2, groups=4) as up -> mean([2, 3]) -> dense(3) as head
}
"""


@pytest.mark.parametrize("importance", [L1(), Activation(rows=8), Taylor(rows=8)])
def test_convolutions_in_groups_get_zeros_too(importance: Importance) -> None:
    net = make_net(GROUPS)
    context = CompressionContext(samples=Rows(), trainer=Trainer())
    made = Prune(weights=0.5, importance=importance).run(net, context)
    layers = ("a", "wide", "up", "head")
    for layer in layers:
        assert np.mean(made.weights[f"{layer}.weight"] == 0) == pytest.approx(0.5, abs=0.05), layer
    done = {note.path: note.done for note in context.journal}
    assert {path for path, said in done.items() if said} == {f"{x}.weight" for x in layers}
    (depthwise,) = (note for note in context.journal if not note.done)
    assert (depthwise.path, depthwise.reason) == ("deep.weight", "it is depthwise")


def test_a_pattern_lies_along_the_inputs_of_a_group() -> None:
    net, context = make_net(GROUPS), CompressionContext()
    made = Prune(pattern="2:4").run(net, context)
    kept = made.weights["wide.weight"] != 0
    assert (kept.sum(axis=1) == 2).all()
    assert (made.weights["up.weight"] != 0).reshape(4, 4, -1).sum(axis=1).max() == 2
    said = {note.path: note.reason for note in context.journal}
    assert said["deep.weight"] == "it is depthwise"
