"""Published networks survive `quantize(int8)`: verified files, shapes as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.compression.base import CompressionContext
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.int8 import Int8
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.program.variant import Target
from tests.elaborating import elaborate_file
from tests.quantizing import Drawn, check_net

MODELS = Path(__file__).parents[1] / "specs" / "models"


def read_net(name: str) -> WeightedNet:
    nets, messages = elaborate_file(MODELS / f"{name}.weft")
    assert not messages
    graph = nets[name].graph
    return WeightedNet(graph, draw_weights(graph))


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_small_networks_are_verified(name: str, tmp_path: Path) -> None:
    net = read_net(name)
    target = Target(sizes=tuple((s, 32) for s in net.graph.symbols if s != "batch"))
    made = Quantize(Int8(rows=8)).run(net, CompressionContext(target=target))
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, [(m.text.title, m.text.label) for m in messages]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_large_networks_keep_their_shapes(name: str) -> None:
    net = read_net(name)
    sizes = {s: 32 for s in net.graph.symbols if s != "batch"}
    context = CompressionContext(target=Target(sizes=tuple(sizes.items())))
    made = Quantize(Int8(rows=2, calibration="minmax")).run(net, context)
    inputs = next(Drawn(net.graph, sizes).batches(2))
    (before,) = evaluate(net.graph, net.weights, inputs).values()
    (after,) = evaluate(made.graph, made.weights, inputs).values()
    assert after.shape == before.shape
    assert np.isfinite(after).all()
