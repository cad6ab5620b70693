"""Compressed nets trained on: fine-tuned, distilled, with zeros that stay; resumed, repeatable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from backends.pytorch.running import read_metrics, read_results, run_training
from backends.pytorch.script.write import write_training
from backends.pytorch.tuning import make_trainer
from compiler.compression.attach import find_net
from compiler.compression.base import WeightedNet
from compiler.compression.pruning.prune import Prune
from compiler.compression.tuning.masks import find_zero_masks
from compiler.compression.tuning.passes import Distill, Finetune
from compiler.compression.tuning.preparing import prepare_tuning
from compiler.compression.world import Trainer, Tuning, World
from compiler.data.loading import load_data
from compiler.diagnostics import CompileError, Fault, Sink
from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ir.weights import draw_weights, read_weights
from compiler.program import Train
from tests.test_train_scripts import lint

Array = NDArray[Any]
"""Some digits, few enough for epochs of a tenth of a second."""

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
    assert not sink.has_errors, [m.title() for m in sink.messages]
    return program.trains["fit"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Train, WeightedNet, Path]:
    """A trained net, its train, and the folder of the data."""
    folder = tmp_path_factory.mktemp("fitted")
    train = open_train(DIGITS, folder)
    write_training(train, folder / "fit")
    run_training(folder / "fit", data_root=folder, device="cpu")
    weights = read_weights(folder / "fit" / "best.safetensors")
    graph = train.nets[0].net.graph
    net = WeightedNet(graph, {path: np.array(weights[path]) for path in graph.parameter})
    return train, net, folder


def trainer_of(fitted: tuple[Train, WeightedNet, Path], folder: Path) -> Trainer:
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


# --- training on ------------------------------------------------------------------------------


def test_finetuning_makes_a_pruned_net_better(
    fitted: tuple[Train, WeightedNet, Path], tmp_path: Path
) -> None:
    train, net, root = fitted
    pruned = halve(net, tmp_path)
    world = World(trainer=trainer_of(fitted, tmp_path / "one"))
    tuned = Finetune(epochs=3).run(pruned, world)
    assert tuned.graph is pruned.graph
    assert accuracy_of(train, root, tuned) > accuracy_of(train, root, pruned) + 0.02
    assert [(n.step, n.done) for n in world.journal] == [("finetune", "trained for 3 epochs")]
    lint(tmp_path / "one" / "finetune")
    again = Finetune(epochs=3).run(pruned, World(trainer=trainer_of(fitted, tmp_path / "two")))
    assert equal(tuned, again), "the same seed gives the same weights"


def test_a_tenth_of_the_rate_is_usual(
    fitted: tuple[Train, WeightedNet, Path], tmp_path: Path
) -> None:
    train, net, _ = fitted
    for lr, expected in ((None, "LEARNING_RATE = 0.0003"), (0.02, "LEARNING_RATE = 0.02")):
        tuned = prepare_tuning(train, "fit", net, Tuning(4, lr))
        write_training(tuned.train, tmp_path, start=tuned.weights)
        text = (tmp_path / "train.py").read_text()
        assert expected in text
        assert "EPOCHS = 4" in text
        assert text.startswith('"""Fine-tunes DigitNet on the data digits, from ')


def test_distilling_follows_the_original(
    fitted: tuple[Train, WeightedNet, Path], tmp_path: Path
) -> None:
    train, net, root = fitted
    pruned = Prune(channels=0.75).run(net, World())
    world = World(trainer=trainer_of(fitted, tmp_path / "made"), original=net)
    tuned = Distill(epochs=3, lr=3e-3, alpha=0.7, temperature=2).run(pruned, world)
    assert accuracy_of(train, root, tuned) > accuracy_of(train, root, pruned) + 0.02
    folder = tmp_path / "made" / "distill"
    lint(folder)
    text = (folder / "train.py").read_text()
    assert 'training.model["teacher"].eval()' in text
    left = read_weights(folder / "best.safetensors")
    for path, array in net.weights.items():
        assert np.array_equal(left[f"teacher.{path}"], array), "the teacher stays as it is"


def test_the_distilled_loss_is_the_textbooks(
    fitted: tuple[Train, WeightedNet, Path], tmp_path: Path
) -> None:
    train, net, root = fitted
    small = halve(net, tmp_path)
    tuned = prepare_tuning(train, "fit", small, Tuning(1, teacher=net, alpha=0.3, temperature=3.0))
    columns = {n: a[:16] for n, a in load_data(train.data, root).split("val").items()}
    step = tuned.train.step
    taken = {i.name: columns[i.name] for i in step.inputs}
    found = evaluate(step, {p: tuned.weights[p] for p in step.parameter}, taken)
    image = {"image": columns["image"]}
    logits, soft = (
        torch.from_numpy(evaluate(n.graph, n.weights, image)["logits"]) for n in (small, net)
    )
    label = torch.from_numpy(columns["label"])
    hard = torch.nn.functional.cross_entropy(logits, label)
    kl = torch.nn.functional.kl_div(
        (logits / 3).log_softmax(1), (soft / 3).softmax(1), reduction="batchmean"
    )
    p = (soft / 3).softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    expected = 0.7 * hard + 0.3 * 9 * (kl + entropy)
    assert float(found["loss"]) == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(found["logits"], logits.numpy(), rtol=1e-4, atol=1e-5)


def test_zeros_stay(fitted: tuple[Train, WeightedNet, Path], tmp_path: Path) -> None:
    train, net, root = fitted
    head = net.weights["head.weight"]
    kept = np.abs(head) > np.quantile(np.abs(head), 0.8)
    sparse = WeightedNet(net.graph, {**net.weights, "head.weight": head * kept})
    masks = find_zero_masks(sparse)
    assert list(masks) == ["head.weight"]
    assert np.array_equal(masks["head.weight"], kept)
    world = World(trainer=trainer_of(fitted, tmp_path), original=net)
    for step in (Finetune(epochs=2, lr=3e-3), Distill(epochs=2, lr=3e-3)):
        tuned = step.run(sparse, world)
        assert np.array_equal(tuned.weights["head.weight"] != 0, kept)
        assert not np.array_equal(tuned.weights["head.weight"], sparse.weights["head.weight"])
        assert accuracy_of(train, root, tuned) > accuracy_of(train, root, sparse)
        lint(tmp_path / step.name)


# --- interrupted and repeated -----------------------------------------------------------------


def test_a_finished_training_is_read(
    fitted: tuple[Train, WeightedNet, Path], tmp_path: Path
) -> None:
    _, net, _ = fitted
    trainer = trainer_of(fitted, tmp_path)
    first = trainer.train(net, Tuning(2), "a")
    metrics = (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns
    assert equal(first, trainer.train(net, Tuning(2), "a"))
    assert (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns == metrics
    assert not equal(first, trainer.train(net, Tuning(2, lr=1e-2), "a")), "another rate, anew"


def test_an_interrupted_training_goes_on(
    fitted: tuple[Train, WeightedNet, Path], tmp_path: Path
) -> None:
    train, net, root = fitted
    whole = trainer_of(fitted, tmp_path).train(net, Tuning(4), "whole")
    seen: list[float] = []

    def stop(record: Mapping[str, float]) -> None:
        if record["epoch"] == 2 and 0 not in seen:
            raise KeyboardInterrupt
        seen.append(record["epoch"])

    trainer = make_trainer(train, "fit", tmp_path, data_root=root, device="cpu", on_progress=stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(net, Tuning(4), "cut")
    assert 2 <= len(read_metrics(tmp_path / "cut" / "metrics.jsonl")) < 4
    assert seen == [1]
    seen[:] = [0]
    assert equal(whole, trainer.train(net, Tuning(4), "cut"))
    assert seen[1:] in ([2, 3, 4], [3, 4], [4]), "after the last checkpoint"
    assert read_results(tmp_path / "cut").epochs == 4


# --- gradients --------------------------------------------------------------------------------


def test_gradients_are_those_of_logistic_regression(tmp_path: Path) -> None:
    text = """
    model Flat { input image: f32[b, 64]  output logits: f32[b, 10] = image -> dense(10) as fc }
    data digits {
        source npz("digits.npz")
        image = (image / 16) -> flatten(0)
        split random(seed=0), train=80%, val=20%
    }
    train fit of Flat on digits {
        minimize cross_entropy(logits, label) with sgd(lr=0.1)
        batch 100  epochs 1
    }
    """
    train = open_train(text.replace("flatten(0)", "reshape([64])"), tmp_path)
    graph = train.nets[0].net.graph
    weights = draw_weights(graph, 3)
    trainer = make_trainer(train, "fit", tmp_path / "t", data_root=tmp_path)
    columns = load_data(train.data, tmp_path).split("train")
    rows = len(columns["label"])
    found = trainer.gradients(WeightedNet(graph, weights), rows)
    assert set(found) == {"fc.weight", "fc.bias"}
    x, y = columns["image"].astype(np.float64), columns["label"]
    scores = x @ weights["fc.weight"].T + weights["fc.bias"]
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    error = (shares - np.eye(10)[y]) / rows
    np.testing.assert_allclose(found["fc.weight"], error.T @ x, atol=1e-6)
    np.testing.assert_allclose(found["fc.bias"], error.sum(0), atol=1e-6)
    best = LogisticRegression(C=1e6, max_iter=300).fit(x, y)
    fit = {"fc.weight": best.coef_.astype(np.float32), "fc.bias": best.intercept_.astype("f4")}
    small = trainer.gradients(WeightedNet(graph, fit), rows)
    assert np.abs(small["fc.weight"]).max() < 0.1 * np.abs(found["fc.weight"]).max()


# --- trains of several nets -------------------------------------------------------------------

AUTOENCODER = """
model Encoder(width: int = 6) {
    input x: f32[b, 64]
    output z: f32[b, 3] = x -> dense(width) as a -> tanh -> dense(3) as b
}
model Decoder { input z: f32[b, 3]  output x: f32[b, 64] = z -> dense(64) as fc }
data digits {
    source npz("digits.npz")
    x = (image / 16) -> reshape([64])
    split random(seed=0), train=80%, val=20%
}
train fit on digits {
    net encoder = Encoder()
    net decoder = Decoder()
    minimize mse(decoder(encoder(x)), x)
        with adam(lr=1e-2) over "encoder.*" with sgd(lr=0.1)
    batch 64  epochs 2  freeze "decoder.fc.bias"
}
"""


def test_other_nets_start_from_what_they_learned(tmp_path: Path) -> None:
    train = open_train(AUTOENCODER, tmp_path)
    weights = draw_weights(train.step, 1)
    net = find_net(train, "encoder")
    own = {path: weights[f"encoder.{path}"] for path in net.net.graph.parameter}
    trainer = make_trainer(
        train, "encoder", tmp_path / "t", data_root=tmp_path, weights=weights, device="cpu"
    )
    tuned = trainer.train(WeightedNet(net.net.graph, own), Tuning(1, teacher=None), "finetune")
    assert tuned.weights.keys() == own.keys()
    start = read_weights(tmp_path / "t" / "finetune" / "start.safetensors")
    assert start.keys() == weights.keys()
    for path, array in weights.items():
        assert np.array_equal(start[path], array)
    text = (tmp_path / "t" / "finetune" / "train.py").read_text()
    assert "LEARNING_RATES = [0.001, 0.01]" in text


def test_without_cross_entropy_outputs_are_followed(tmp_path: Path) -> None:
    train = open_train(AUTOENCODER, tmp_path)
    weights = draw_weights(train.step, 1)
    net = find_net(train, "encoder").net.graph
    own = WeightedNet(net, {path: weights[f"encoder.{path}"] for path in net.parameter})
    teacher = WeightedNet(net, draw_weights(net, 5))
    tuned = prepare_tuning(train, "encoder", own, Tuning(1, teacher=teacher, alpha=0.25), weights)
    x = load_data(train.data, tmp_path).split("val")["x"]
    step = tuned.train.step
    found = evaluate(step, {p: tuned.weights[p] for p in step.parameter}, {"x": x})["loss"]
    z, wanted = (evaluate(n.graph, n.weights, {"x": x})["z"] for n in (own, teacher))
    made = z @ weights["decoder.fc.weight"].T + weights["decoder.fc.bias"]
    expected = 0.75 * ((made - x) ** 2).mean() + 0.25 * ((z - wanted) ** 2).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


# --- refusals ---------------------------------------------------------------------------------


def test_what_is_needed_is_said(fitted: tuple[Train, WeightedNet, Path], tmp_path: Path) -> None:
    _, net, _ = fitted
    with pytest.raises(CompileError) as caught:
        Finetune().run(net, World())
    assert [m.code for m in caught.value.messages] == ["W1101"]
    assert "`finetune` has nothing to train on" in caught.value.messages[0].title()
    with pytest.raises(CompileError) as caught:
        Distill().run(net, World(trainer=trainer_of(fitted, tmp_path)))
    assert [m.code for m in caught.value.messages] == ["W1102"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Finetune(epochs=0),
        lambda: Finetune(lr=0.0),
        lambda: Distill(alpha=0.0),
        lambda: Distill(alpha=1.5),
        lambda: Distill(temperature=0.0),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Any) -> None:
    with pytest.raises(Fault):
        make()
