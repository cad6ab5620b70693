"""Small trains whose nets are compressed and trained on, for the tests of tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from backends.pytorch.run.running import run_training
from backends.pytorch.run.tuning import make_trainer
from backends.pytorch.train.folder import write_training
from compiler.compression.context import Trainer
from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import read_weights
from compiler.program.train import Train
from compiler.report.diagnostics import Sink
from compiler.rows.loading import load_data

Array = NDArray[Any]
Fitted = tuple[Train, WeightedNet, Path]
"""A train, what it learned, and the folder of its data."""

NET = """
model DigitNet(width: int = 8) {
    input image: f32[batch, 1, 8, 8]
    x = image -> conv(width, kernel=3, padding="same") -> batch_norm -> relu
        -> max_pool(2) -> flatten
    output logits: f32[batch, 10] = x -> dropout(25%) -> dense(10) as head
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([1, 8, 8])
    split random(seed=0, stratify=label), train=80%, val=10%, test=10%
}
"""
DIGITS = f"""{NET}
train fit of DigitNet on digits {{
    minimize cross_entropy(logits, label) with adamw(lr=3e-3, schedule=cosine(warmup=5%))
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 8  seed 0
}}
"""


def open_train(text: str, folder: Path) -> Train:
    digits = load_digits()
    np.savez(folder / "digits.npz", image=digits.images.astype(np.uint8), label=digits.target)
    path = folder / "spec.weft"
    path.write_text(text)
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    return program.trains["fit"]


def fit(folder: Path) -> Fitted:
    """Some digits, learned."""
    train = open_train(DIGITS, folder)
    write_training(train, folder / "fit")
    run_training(folder / "fit", data_root=folder, device="cpu")
    weights = read_weights(folder / "fit" / "best.safetensors")
    graph = train.nets[0].net.graph
    net = WeightedNet(graph, {path: np.array(weights[path]) for path in graph.parameter})
    return train, net, folder


def trainer_of(fitted: Fitted, folder: Path) -> Trainer:
    train, _, root = fitted
    return make_trainer(train, train.nets[0].name, folder, data_root=root, device="cpu")


def halve(net: WeightedNet, folder: Path) -> WeightedNet:
    """The net with every other channel, as a pruning pass would leave it."""
    graph = open_train(DIGITS.replace("width: int = 8", "width: int = 4"), folder).nets[0].net.graph
    weights = dict(net.weights)
    for path, array in weights.items():
        if array.shape[:1] == (8,):
            weights[path] = array[::2]
    head = weights["head.weight"].reshape(10, 8, 16)
    weights["head.weight"] = head[:, ::2].reshape(10, 64)
    return WeightedNet(graph, weights)


def accuracy_of(train: Train, root: Path, net: WeightedNet) -> float:
    columns = load_data(train.data, root).split("val")
    (logits,) = evaluate(net.graph, net.weights, {"image": columns["image"]}).values()
    return float((logits.argmax(1) == columns["label"]).mean())


def equal(one: WeightedNet, other: WeightedNet) -> bool:
    return all(np.array_equal(a, other.weights[p]) for p, a in one.weights.items())
