"""What tests of `low_rank` share: nets with numbers, and the pass with what must always hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.low_rank.layers import find_layers
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.low_rank.planning import find_factorings
from compiler.compression.low_rank.replacing import replace_layers
from compiler.ir.evaluate import evaluate
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from tests.elaborating import elaborate
from tests.pytorch_compare import draw_inputs, draw_lively

Array = NDArray[Any]
SIZES = {"batch": 2, "n": 2, "t": 5, "h": 64, "w": 64}


def build(text: str, name: str = "M", seed: int = 0) -> WeightedNet:
    nets, messages = elaborate(text)
    assert not messages, messages
    graph = nets[name].graph
    return WeightedNet(graph, draw_lively(graph, seed))


def run(net: WeightedNet, inputs: Mapping[str, Array]) -> dict[str, Array]:
    return evaluate(net.graph, net.weights, inputs)


def apply(
    step: LowRank, net: WeightedNet, context: CompressionContext | None = None
) -> WeightedNet:
    made = step.run(net, context or CompressionContext())
    verify_graph(made.graph)
    assert set(made.weights) == {p.path for p in made.graph.parameters}
    assert not made.graph.constants
    assert made.graph.inputs == net.graph.inputs
    assert [(o.name, o.value) for o in made.graph.outputs] == [
        (o.name, o.value) for o in net.graph.outputs
    ]
    return made


def factor_fully(net: WeightedNet, method: str = "auto") -> WeightedNet:
    """Every layer by every way at full rank, though it does not pay."""
    changes = []
    for layer in find_layers(net.graph):
        if not layer.reason:
            way = find_factorings(layer, net.weights, None, method)[-1]
            changes.append((layer, way.make(way.at_rank(10**6))))
    made = replace_layers(net, changes)
    verify_graph(made.graph)
    return made


def assert_close(net: WeightedNet, made: WeightedNet, tolerance: float = 1e-5) -> None:
    inputs = draw_inputs(net.graph, SIZES, 3)
    for name, array in run(net, inputs).items():
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(run(made, inputs)[name] / scale, array / scale, atol=tolerance)
