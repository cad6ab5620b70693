"""Compressed nets trained on: fine-tuned, distilled, with zeros that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import weft
from backends.pytorch.run.tuning import make_trainer
from backends.pytorch.train.folder import write_training
from compiler.compression.base import CompressionContext
from compiler.compression.context import Tuning
from compiler.compression.pruning.prune import Prune
from compiler.compression.tuning.masks import find_zero_masks
from compiler.compression.tuning.passes import Distill, Finetune
from compiler.compression.tuning.preparing import prepare_tuning
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights, read_weights
from compiler.report.diagnostics import CompileError, Fault
from compiler.rows.loading import load_data
from tests.train_scripts import lint
from tests.tuned import DIGITS, Fitted, accuracy_of, equal, fit, halve, open_train, trainer_of

Array = NDArray[Any]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A train, what it learned, and the folder of its data."""
    return fit(tmp_path_factory.mktemp("fitted"))


# --- training on ------------------------------------------------------------------------------


def test_finetuning_makes_a_pruned_net_better(fitted: Fitted, tmp_path: Path) -> None:
    train, net, root = fitted
    pruned = halve(net, tmp_path)
    context = CompressionContext(trainer=trainer_of(fitted, tmp_path / "one"))
    tuned = Finetune(epochs=3).run(pruned, context)
    assert tuned.graph is pruned.graph
    assert accuracy_of(train, root, tuned) > accuracy_of(train, root, pruned) + 0.02
    assert [(n.step, n.done) for n in context.journal] == [("finetune", "trained for 3 epochs")]
    lint(tmp_path / "one" / "finetune")
    again = Finetune(epochs=3).run(
        pruned, CompressionContext(trainer=trainer_of(fitted, tmp_path / "two"))
    )
    assert equal(tuned, again), "the same seed gives the same weights"


def test_a_tenth_of_the_rate_is_usual(fitted: Fitted, tmp_path: Path) -> None:
    train, net, _ = fitted
    for lr, expected in ((None, "LEARNING_RATE = 0.0003"), (0.02, "LEARNING_RATE = 0.02")):
        tuned = prepare_tuning(train, "fit", net, Tuning(4, lr))
        write_training(tuned.train, tmp_path, start=tuned.weights)
        text = (tmp_path / "train.py").read_text()
        assert expected in text
        assert "EPOCHS = 4" in text
        assert text.startswith('"""Fine-tunes DigitNet on the data digits, from ')


def test_distilling_follows_the_original(fitted: Fitted, tmp_path: Path) -> None:
    train, net, root = fitted
    pruned = Prune(channels=0.75).run(net, CompressionContext())
    context = CompressionContext(trainer=trainer_of(fitted, tmp_path / "made"), original=net)
    tuned = Distill(epochs=3, lr=3e-3, alpha=0.7, temperature=2).run(pruned, context)
    assert accuracy_of(train, root, tuned) > accuracy_of(train, root, pruned) + 0.02
    folder = tmp_path / "made" / "distill"
    lint(folder)
    text = (folder / "train.py").read_text()
    assert '    model["teacher"].eval()' in text
    assert "    soft_loss = 2.8 * F.cross_entropy(" in text
    left = read_weights(folder / "best.safetensors")
    for path, array in net.weights.items():
        assert np.array_equal(left[f"teacher.{path}"], array), "the teacher stays as it is"


def test_the_distilled_loss_is_the_textbooks(fitted: Fitted, tmp_path: Path) -> None:
    train, net, root = fitted
    small = halve(net, tmp_path)
    tuned = prepare_tuning(train, "fit", small, Tuning(1, teacher=net, alpha=0.3, temperature=3.0))
    columns = {n: a[:16] for n, a in load_data(train.data, root).split("val").items()}
    step = tuned.train.graph
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


THROUGH_A_NET = """
model Body { input x: f32[batch, 13]
    output h = x -> dense(6) as out }
model Head { input h: f32[batch, 6]
    output z = h -> dense(3) as head
    output fixed = tensor([1.5, 2.5])
    output aux = h -> dense(3) as aux }
data rows { source sklearn("wine")
    x = features -> standardize
    split in_order, train=100% }
train fit on rows {
    net body = Body()
    net top = Head()
    z = top(body(x)).z
    minimize cross_entropy(z, label) with adam(lr=1e-3)
    batch 32  epochs 1
}
variant small of fit.body { apply distill(epochs=1) }
"""


def test_a_student_is_taught_through_a_net_of_several_outputs(tmp_path: Path) -> None:
    weft.loads(THROUGH_A_NET).build(tmp_path / "out", device="cpu")
    text = (tmp_path / "out" / "small" / "distill" / "train.py").read_text()
    assert "z, _, _ = top(body(x))" in text
    assert "y, _, _ = top(teacher_h)" in text


def test_zeros_stay(fitted: Fitted, tmp_path: Path) -> None:
    train, net, root = fitted
    head = net.weights["head.weight"]
    kept = np.abs(head) > np.quantile(np.abs(head), 0.8)
    sparse = WeightedNet(net.graph, {**net.weights, "head.weight": head * kept})
    masks = find_zero_masks(sparse)
    assert list(masks) == ["head.weight"]
    assert np.array_equal(masks["head.weight"], kept)
    context = CompressionContext(trainer=trainer_of(fitted, tmp_path), original=net)
    for step in (Finetune(epochs=2, lr=3e-3), Distill(epochs=2, lr=3e-3)):
        tuned = step.run(sparse, context)
        assert np.array_equal(tuned.weights["head.weight"] != 0, kept)
        assert not np.array_equal(tuned.weights["head.weight"], sparse.weights["head.weight"])
        assert accuracy_of(train, root, tuned) > accuracy_of(train, root, sparse)
        lint(tmp_path / step.name)


def test_zeros_stay_in_layers_named_like_methods_of_a_module(tmp_path: Path) -> None:
    train = open_train(DIGITS.replace("as head", "as forward"), tmp_path)
    graph = train.nets[0].net.graph
    weights = draw_weights(graph, 0)
    kept = np.abs(weights["forward.weight"]) > 0.05
    weights["forward.weight"] = weights["forward.weight"] * kept
    trainer = make_trainer(train, "fit", tmp_path, data_root=tmp_path, device="cpu")
    sparse = WeightedNet(graph, weights)
    tuned = Finetune(epochs=1).run(sparse, CompressionContext(trainer=trainer, original=sparse))
    assert np.array_equal(tuned.weights["forward.weight"] != 0, kept)
    assert not np.array_equal(tuned.weights["forward.weight"], weights["forward.weight"])


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


# --- refusals ---------------------------------------------------------------------------------


def test_what_is_needed_is_said(fitted: Fitted, tmp_path: Path) -> None:
    _, net, _ = fitted
    with pytest.raises(CompileError) as caught:
        Finetune().run(net, CompressionContext())
    assert [m.code for m in caught.value.messages] == ["W1101"]
    assert "`finetune` has nothing to train on" in caught.value.messages[0].text.title
    with pytest.raises(CompileError) as caught:
        Distill().run(net, CompressionContext(trainer=trainer_of(fitted, tmp_path)))
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
