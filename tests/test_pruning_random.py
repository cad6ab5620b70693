"""Random networks, pruned: zeros go unnoticed; NumPy, generated PyTorch and ONNX Runtime agree."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backends.onnx_graph.check import check_onnx
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.verify import verify
from compiler.compression.base import CompressionContext
from compiler.compression.pruning.cutting import cut_net
from compiler.compression.pruning.dead import remove_dead_neurons
from compiler.compression.pruning.groups import Channels, find_channels
from compiler.compression.pruning.importance import L1, L2
from compiler.compression.pruning.prune import Prune
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.report.diagnostics import CompileError, Sink
from tests.elaborating import build
from tests.pruning_nets import make_image_net, make_token_net
from tests.pytorch_compare import assert_clean, draw_inputs, draw_lively, run
from tests.pytorch_random import make_network

SIZES = {"batch": 2, "t": 3}
MAKERS: tuple[Callable[[int], str], ...] = (make_image_net, make_token_net)
NETS = st.tuples(st.sampled_from(MAKERS), st.integers(0, 10**6))
Net = tuple[Callable[[int], str], int]


def make(net: Net) -> WeightedNet:
    maker, seed = net
    graph = build(maker(seed)).graph
    return WeightedNet(graph, draw_lively(graph, seed))


def assert_same_outputs(left: WeightedNet, right: WeightedNet) -> None:
    inputs = draw_inputs(left.graph, SIZES)
    wanted = evaluate(left.graph, left.weights, inputs)
    found = evaluate(right.graph, right.weights, inputs)
    for name, array in wanted.items():
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        np.testing.assert_allclose(found[name] / scale, array / scale, atol=1e-5)


def choose(channels: Channels, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """About half of the channels of each group in which zeros do not count."""
    choices = []
    for group in channels.groups:
        gone = rng.random(group.size) < (0.0 if group.mixed else 0.5)
        gone[rng.integers(group.size)] = False
        choices.append(gone)
    return choices


def put_zeros(
    net: WeightedNet, channels: Channels, choices: list[NDArray[np.bool_]]
) -> WeightedNet:
    """The net with all weights of some channels set to zero."""
    weights = {path: np.array(array) for path, array in net.weights.items()}
    for group, gone in zip(channels.groups, choices, strict=True):
        for member in group.members:
            if not member.path.endswith("running_var"):
                lines = np.moveaxis(weights[member.path], member.axis, 0)
                lines[member.entries[gone].ravel()] = 0
    return WeightedNet(net.graph, weights)


@settings(max_examples=60, deadline=None)
@given(net=NETS)
def test_channels_of_zeros_go_unnoticed(*, net: Net) -> None:
    before = make(net)
    channels = find_channels(before.graph)
    choices = choose(channels, np.random.default_rng(net[1]))
    zeroed = put_zeros(before, channels, choices)
    made = cut_net(zeroed, channels, channels.mark(choices))
    assert made.graph.inputs == before.graph.inputs
    assert made.graph.outputs == before.graph.outputs
    assert_same_outputs(zeroed, made)
    dead = remove_dead_neurons(zeroed)
    assert_same_outputs(zeroed, dead)
    assert count(dead) <= count(made), "what reads and makes nothing is found"


@settings(max_examples=60, deadline=None)
@given(net=NETS)
def test_removing_what_is_dead_changes_nothing(*, net: Net) -> None:
    """Whatever is zero: some rows, some columns, some biases."""
    before = make(net)
    rng = np.random.default_rng(net[1])
    weights = {path: np.array(array) for path, array in before.weights.items()}
    for group in find_channels(before.graph).groups:
        favoured = rng.random(group.size) < 0.3
        for member in group.members:
            gone = favoured & (rng.random(group.size) < rng.choice((0.3, 0.9, 1.0)))
            if not member.path.endswith("running_var"):
                lines = np.moveaxis(weights[member.path], member.axis, 0)
                lines[member.entries[gone].ravel()] = 0
    zeroed = WeightedNet(before.graph, weights)
    assert_same_outputs(zeroed, remove_dead_neurons(zeroed))


def count(net: WeightedNet) -> int:
    return sum(array.size for array in net.weights.values())


@settings(max_examples=20, deadline=None)
@given(net=NETS)
def test_nothing_is_cut_of_nothing(*, net: Net) -> None:
    before = make(net)
    after = Prune(channels=1e-9).run(before, CompressionContext())
    assert after.graph == before.graph
    assert_same_outputs(before, after)


def compare_backends(net: WeightedNet, path: Path) -> str:
    text = emit_module([net.graph], title="Net.")
    module = load_module(text, net.graph)
    assign_weights(module, dict(net.weights))
    inputs = draw_inputs(net.graph, SIZES)
    wanted = evaluate(net.graph, net.weights, inputs)
    for (name, array), found in zip(wanted.items(), run(module, inputs), strict=True):
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        np.testing.assert_allclose(found / scale, array / scale, atol=2e-5, err_msg=name)
    compile_onnx(net.graph, net.weights, path)
    check_onnx(path)
    sink = Sink()
    report = verify(net.graph, net.weights, onnx_path=path, device=Device.CPU, sink=sink)
    assert report.passed, sink.messages
    return text


def prune_somehow(graph: Graph, rng: random.Random, seed: int) -> WeightedNet:
    step = Prune(
        channels=rng.uniform(0.1, 0.8),
        importance=rng.choice((L1(), L2())),
        ranking=rng.choice(("uniform", "global")),
        round_to=rng.choice((1, 1, 2, 4)),
    )
    return step.run(WeightedNet(graph, draw_lively(graph, seed)), CompressionContext())


@settings(max_examples=12, deadline=None)
@given(net=NETS)
def test_backends_agree(tmp_path_factory: pytest.TempPathFactory, *, net: Net) -> None:
    maker, seed = net
    made = prune_somehow(build(maker(seed)).graph, random.Random(seed), seed)
    compare_backends(made, tmp_path_factory.mktemp("net") / "net.onnx")


@pytest.mark.parametrize("seed", range(10))
def test_blocks_stay_blocks(seed: int, tmp_path: Path) -> None:
    """Networks with frames, repeats, shared nets and hints that lie."""
    try:
        made = prune_somehow(make_network(seed), random.Random(seed), seed)
    except CompileError as error:
        codes = [m.code for m in error.messages]
    else:
        codes = []
    if codes:
        assert codes == ["W1111"], "nothing in it can be cut"
        return
    text = compare_backends(made, tmp_path / "net.onnx")
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "model.py").write_text(text, encoding="utf-8")
    assert_clean(folder)
