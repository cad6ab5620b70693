"""A small net to prune, and rows, an evaluator and a trainer that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.context import Tuning
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from tests.elaborating import build
from tests.pytorch_compare import draw_lively

Array = NDArray[Any]
TEXT = """
model M() {
    input image: f32[batch, 3, 6, 6]
    x = image -> conv(8, kernel=3, padding=1) as a -> batch_norm as an -> relu
    x = x -> conv(8, kernel=1) as b -> relu
    x = x -> flatten -> dense(12) as c -> relu
    output logits = x -> dense(4) as head
}
"""


def make_net(text: str = TEXT, seed: int = 0) -> WeightedNet:
    graph = build(text).graph
    return WeightedNet(graph, draw_lively(graph, seed))


def run(net: WeightedNet, image: Array) -> Array:
    (found,) = evaluate(net.graph, net.weights, {"image": image}).values()
    return found


IMAGE = np.random.default_rng(0).normal(size=(5, 3, 6, 6)).astype(np.float32)


@dataclass
class Rows:
    """Two batches of images; the third channel is always black."""

    synthetic: bool = False
    asked: list[int] = field(default_factory=list)

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        self.asked.append(rows)
        rng = np.random.default_rng(1)
        for _ in range(2):
            image = rng.normal(size=(4, 3, 6, 6)).astype(np.float32)
            image[:, 2] = 0
            yield {"image": image}


@dataclass
class Evaluator:
    """Loses where layer `c` is narrow, and nowhere else."""

    def score(self, net: WeightedNet) -> Mapping[str, float]:
        return {"loss": 12.0 - net.weights["c.weight"].shape[0]}


@dataclass
class Trainer:
    """Gradients that only the channels 0 and 5 of layer `a` have."""

    def gradients(self, net: WeightedNet, rows: int) -> Mapping[str, Array]:
        found = {path: np.zeros_like(array) for path, array in net.weights.items()}
        found["a.weight"][[0, 5]] = 1
        return found

    def train(self, net: WeightedNet, tuning: Tuning, label: str) -> WeightedNet:
        return net
