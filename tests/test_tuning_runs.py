"""Tuning as runs: what is done is read, what was cut short goes on, other nets are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backends.pytorch.run.load import run_source
from backends.pytorch.run.running import read_metrics, read_results
from backends.pytorch.run.tuning import _load_nets, make_trainer, measure_gradients
from backends.pytorch.train.folder import write_training
from backends.pytorch.train.functions import emit_objective
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.compression.attach import find_net
from compiler.compression.context import Tuning
from compiler.compression.tuning.preparing import prepare_tuning
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights, read_weights
from compiler.report.diagnostics import CompileError
from compiler.rows.loading import load_data
from compiler.writing.imports import write_imports
from tests.train_scripts import lint
from tests.tuned import Fitted, equal, fit, open_train, trainer_of


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A train, what it learned, and the folder of its data."""
    return fit(tmp_path_factory.mktemp("fitted"))


# --- interrupted and repeated -----------------------------------------------------------------


def test_a_finished_training_is_read(fitted: Fitted, tmp_path: Path) -> None:
    _, net, _ = fitted
    trainer = trainer_of(fitted, tmp_path)
    first = trainer.train(net, Tuning(2), "a")
    metrics = (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns
    assert equal(first, trainer.train(net, Tuning(2), "a"))
    assert (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns == metrics
    assert not equal(first, trainer.train(net, Tuning(2, lr=1e-2), "a")), "another rate, anew"


@pytest.mark.parametrize("content", [b"", b"other weights", None])
def test_weights_that_someone_changed_are_trained_anew(
    fitted: Fitted, tmp_path: Path, content: bytes | None
) -> None:
    _, net, _ = fitted
    trainer = trainer_of(fitted, tmp_path)
    first = trainer.train(net, Tuning(2), "a")
    best = tmp_path / "a" / "best.safetensors"
    best.unlink()
    if content is not None:
        best.write_bytes(content)
    assert equal(first, trainer.train(net, Tuning(2), "a"))


def test_a_note_that_was_cut_short_means_that_nothing_is_done(
    fitted: Fitted, tmp_path: Path
) -> None:
    _, net, _ = fitted
    trainer = trainer_of(fitted, tmp_path)
    first = trainer.train(net, Tuning(2), "a")
    (tmp_path / "a" / "tuning.json").write_text('{"key"')
    assert equal(first, trainer.train(net, Tuning(2), "a"))


def test_a_line_that_is_no_record_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"epoch": 1, "seconds": 2}\n\xff\xfe\n[]\n{"epoch": 2, "seconds": 2}\n{"epoch"'
    )
    assert [record["epoch"] for record in read_metrics(path)] == [1, 2]


def test_an_interrupted_training_goes_on(fitted: Fitted, tmp_path: Path) -> None:
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
    weights = draw_weights(train.graph, 1)
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
    weights = draw_weights(train.graph, 1)
    net = find_net(train, "encoder").net.graph
    own = WeightedNet(net, {path: weights[f"encoder.{path}"] for path in net.parameter})
    teacher = WeightedNet(net, draw_weights(net, 5))
    tuned = prepare_tuning(train, "encoder", own, Tuning(1, teacher=teacher, alpha=0.25), weights)
    x = load_data(train.data, tmp_path).split("val")["x"]
    step = tuned.train.graph
    found = evaluate(step, {p: tuned.weights[p] for p in step.parameter}, {"x": x})["loss"]
    z, wanted = (evaluate(n.graph, n.weights, {"x": x})["z"] for n in (own, teacher))
    made = z @ weights["decoder.fc.weight"].T + weights["decoder.fc.bias"]
    expected = 0.75 * ((made - x) ** 2).mean() + 0.25 * ((z - wanted) ** 2).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


TOKENS = """
model Tagger(width: int = 6) {
    input x: f32[b, t, 4]
    output scores: f32[b, t, 3] = x -> dense(width) as a -> tanh -> dense(3) as b
}
data digits {
    source npz("digits.npz")
    x = (image / 16) -> reshape([16, 4])
    y = image[0] // 17
    split random(seed=0), train=80%, val=20%
}
train fit on digits {
    net m = Tagger()
    scores = m(x)[:, 0:8]
    minimize 0.5 * cross_entropy(2 * scores, y, axis=-1) + mean(scores ** 2) with adam(lr=1e-2)
    batch 64  epochs 1
}
"""


def test_only_cross_entropies_of_what_the_student_says_are_mixed(tmp_path: Path) -> None:
    train = open_train(TOKENS, tmp_path)
    net = find_net(train, "m").net.graph
    own, teacher = (WeightedNet(net, draw_weights(net, seed)) for seed in (1, 5))
    tuning = Tuning(1, teacher=teacher, alpha=0.4, temperature=2.0)
    tuned = prepare_tuning(train, "m", own, tuning)
    columns = load_data(train.data, tmp_path).split("val")
    step = tuned.train.graph
    taken = {i.name: columns[i.name] for i in step.inputs}
    found = evaluate(step, {p: tuned.weights[p] for p in step.parameter}, taken)["loss"]
    said, wanted = (
        torch.from_numpy(evaluate(n.graph, n.weights, {"x": columns["x"]})["scores"][:, :8])
        for n in (own, teacher)
    )
    logits, soft = (2 * said).movedim(-1, 1), (2 * wanted).movedim(-1, 1)
    hard = torch.nn.functional.cross_entropy(logits, torch.from_numpy(columns["y"]).long())
    follow = torch.nn.functional.cross_entropy(logits / 2, (soft / 2).softmax(1))
    expected = 0.5 * (0.6 * hard + 0.4 * 4 * follow) + (said**2).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    write_training(tuned.train, tmp_path / "made", start=tuned.weights)
    lint(tmp_path / "made")


CHAIN = """
model Body(width: int = 6) {
    input x: f32[b, 64]
    output h: f32[b, width] = x -> dense(width) as fc -> tanh
}
model Top {
    input h: f32[b, 6]
    output z = h -> dense(10) as fc
    output same = h
}
data digits {
    source npz("digits.npz")
    x = (image / 16) -> reshape([64])
    split random(seed=0), train=80%, val=20%
}
train fit on digits {
    net body = Body()
    net top = Top()
    z = top(body(x)).z
    minimize cross_entropy(z, label) with adam(lr=1e-2)
    batch 64  epochs 1
}
"""


def test_a_net_behind_the_student_is_applied_to_both(tmp_path: Path) -> None:
    train = open_train(CHAIN, tmp_path)
    weights = draw_weights(train.graph, 1)
    net = find_net(train, "body").net.graph
    own = WeightedNet(net, {path: weights[f"body.{path}"] for path in net.parameter})
    teacher = WeightedNet(net, draw_weights(net, 5))
    tuned = prepare_tuning(train, "body", own, Tuning(1, teacher=teacher), weights)
    write_training(tuned.train, tmp_path / "made", start=tuned.weights)
    lint(tmp_path / "made")
    objective = (tmp_path / "made" / "train.py").read_text().partition("def compute_loss")[2]
    assert objective.count("top(") == 2
    columns = load_data(train.data, tmp_path).split("val")
    taken = {item.name: columns[item.name] for item in tuned.train.graph.inputs}
    wanted = evaluate(tuned.train.graph, dict(tuned.weights), taken)["loss"]
    script = ScriptSpec(tuned.train)
    body = "\n".join(emit_objective(script))
    made = run_source("\n".join([*write_imports(body), "", body]), "objective")
    given = [torch.from_numpy(np.ascontiguousarray(columns[name])) for name in script.columns]
    loss, *_ = made.compute_loss(*_load_nets(tuned), *given)
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-5)


def test_a_train_that_has_nothing_left_to_change_is_refused(tmp_path: Path) -> None:
    train = open_train(CHAIN.replace("with adam", 'over "top.fc.weight" with adam'), tmp_path)
    net = find_net(train, "top").net.graph
    frozen = replace(
        net, parameters=tuple(replace(parameter, trainable=False) for parameter in net.parameters)
    )
    weights = draw_weights(train.graph, 1)
    own = WeightedNet(frozen, {path: weights[f"top.{path}"] for path in net.parameter})
    with pytest.raises(CompileError) as caught:
        prepare_tuning(train, "top", own, Tuning(1), weights)
    assert [m.code for m in caught.value.messages] == ["W1358"]


def test_a_weight_that_the_objective_reads_moves_with_the_student(tmp_path: Path) -> None:
    text = (
        CHAIN.replace("train fit on digits", "train fit of Whole on digits")
        .replace("    net body = Body()\n    net top = Top()\n    z = top(body(x)).z\n", "")
        .replace("cross_entropy(z, label)", "cross_entropy(z, label) + sum(square(fit.scale))")
    )
    text += (
        "model Whole {\n    input x: f32[b, 64]\n    param scale: f32[10] = ones\n"
        "    output z = (x -> dense(10) as fc) * scale\n}\n"
    )
    train = open_train(text, tmp_path)
    net = find_net(train, "fit").net.graph
    own, teacher = (WeightedNet(net, draw_weights(net, seed)) for seed in (1, 5))
    tuned = prepare_tuning(train, "fit", own, Tuning(1, teacher=teacher, alpha=0.5))
    readers = [n for n in tuned.train.graph.nodes if n.op.name in ("square", "pow")]
    assert [v.name for node in readers for v in node.inputs if v is not None] == ["student.scale"]
    write_training(tuned.train, tmp_path / "made", start=tuned.weights)
    lint(tmp_path / "made")
    assert measure_gradients(tuned, load_data(train.data, tmp_path).split("val"))
