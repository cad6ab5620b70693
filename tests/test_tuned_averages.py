"""Variants of nets that averages follow, and of averages: all of them change together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.pytorch.run.tuning import make_trainer
from compiler.compression.attach import find_net
from compiler.compression.context import Tuning
from compiler.driver import check
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights, read_weights
from compiler.report.diagnostics import Sink
from tests.train_scripts import lint, open_train, save_data
from weft import load

SPEC = """
model Net(width: int = 8) {
    input x: f32[batch, 4]
    h = x -> dense(width, bias=false) as first -> batch_norm -> relu
    output y: f32[batch, 3] = h -> dense(3) as head
}
model Head(width: int = 3) {
    input y: f32[batch, 3]
    output z: f32[batch, 3] = y -> dense(width) -> tanh -> dense(3)
}
data iris {
    source npz("iris.npz")
    x = features
    split random(seed=0), train=96, val=27, test=27
}
train fit on iris {
    net student = Net()
    net smooth = AVERAGE
    scores = student(x)
    minimize LOSS over student with adam(lr=1e-2)
    metric accuracy = accuracy(MEASURED, label)
    batch 24  epochs 4  seed 0
}
variant small of fit.OF { apply PASSES }
"""
LOSS = "cross_entropy(scores, label)"
TEACHING = f"{LOSS} + 0.1 * mse(scores, detach(smooth(x)))"
PRUNED, FACTORED = "prune(channels=50%)", "low_rank(rank=2)"
EMA, SWA = "ema(student, decay=0.9)", "swa(student, start=1epoch)"


def spell(
    *,
    average: str = EMA,
    loss: str = LOSS,
    measured: str = "smooth(x)",
    of: str = "student",
    passes: str = f"{PRUNED} -> finetune(epochs=2)",
) -> str:
    text = SPEC.replace("AVERAGE", average).replace("LOSS", loss).replace("MEASURED", measured)
    return text.replace("OF", of).replace("PASSES", passes)


CASES = [
    {},
    {"average": SWA},
    {"average": "swa(student)", "of": "smooth"},
    {"loss": TEACHING, "measured": "scores"},
    {"of": "smooth"},
    {"passes": f"{FACTORED} -> finetune(epochs=2)"},
    {"of": "smooth", "passes": f"{PRUNED} -> distill(epochs=2)", "loss": TEACHING},
    {"of": "smooth", "passes": "quantize(int8) -> finetune(epochs=2, learn_scales=true)"},
    {"of": "smooth", "passes": "prune(weights=50%) -> finetune(epochs=2)"},
    {"average": "ema(student, decay=0.9)\n    net slow = ema(student)", "of": "slow"}
    | {"measured": "smooth(x) + slow(x)"},
]


@pytest.mark.parametrize("changes", CASES)
def test_variants_of_nets_with_averages_are_built(changes: dict[str, str], tmp_path: Path) -> None:
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(spell(**changes) + "deploy small as onnx\n")
    report = load(tmp_path / "spec.weft").build(tmp_path / "out")
    assert report.failures == []
    (script,) = (tmp_path / "out" / "small").glob("*/train.py")
    lint(script.parent)
    text = script.read_text()
    assert text.count("copy.deepcopy(") == changes.get("average", EMA).count("student")


def test_an_average_that_is_measured_nowhere_has_no_variant(tmp_path: Path) -> None:
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(spell(of="smooth", measured="scores"))
    sink = Sink()
    check(tmp_path / "spec.weft", sink=sink)
    assert [m.code for m in sink.messages] == ["W1100"]


def test_they_begin_with_the_numbers_of_the_compressed_net(tmp_path: Path) -> None:
    """At a learning rate near 0 all of them stay where they begin, other averages too."""
    changes = {
        "average": "ema(student, decay=0.9)\n    net top = Head()\n    net high = ema(top)",
        "loss": "cross_entropy(top(scores), label)",
        "measured": "high(smooth(x))",
    }
    text = spell(**changes).replace("over student", "over student, top")
    train = open_train(text, tmp_path)
    trained = draw_weights(train.graph, 1)
    smaller = open_train(text.replace("width: int = 8", "width: int = 5"), tmp_path)
    graph = find_net(smaller, "student").net.graph
    net = WeightedNet(graph, draw_weights(graph, 2))
    trainer = make_trainer(
        train, "student", tmp_path, data_root=tmp_path, weights=trained, device="cpu"
    )
    tuned = trainer.train(net, Tuning(1, lr=1e-12), "finetune")
    found = read_weights(tmp_path / "finetune" / "best.safetensors")
    for path in (p.path for p in graph.parameters if p.trainable):
        assert np.allclose(found[f"student.{path}"], net.weights[path], atol=1e-6)
        assert np.allclose(found[f"smooth.{path}"], net.weights[path], atol=1e-6)
        assert np.array_equal(tuned.weights[path], found[f"student.{path}"])
    for path in (p for p in trained if p.startswith(("top.", "high."))):
        assert np.allclose(found[path], trained[path], atol=1e-2)
    moved = trained["top.dense.weight"] - trained["high.dense.weight"]
    assert np.abs(moved).max() > 0.1, "it does not begin as the net that it follows"


def test_an_average_is_tuned_by_the_net_that_it_follows(tmp_path: Path) -> None:
    """What comes out is the average; zeros stay, and gradients are those of the learner."""
    train = open_train(spell(), tmp_path)
    graph = find_net(train, "smooth").net.graph
    weights = draw_weights(graph, 2)
    mask = np.ones_like(weights["first.weight"])
    mask[::2] = 0
    net = WeightedNet(graph, {**weights, "first.weight": weights["first.weight"] * mask})
    masks = {"first.weight": mask}
    trained = draw_weights(train.graph, 1)
    trainer = make_trainer(
        train, "smooth", tmp_path, data_root=tmp_path, weights=trained, device="cpu"
    )
    tuned = trainer.train(net, Tuning(2, lr=1e-2, masks=masks), "finetune")
    found = read_weights(tmp_path / "finetune" / "best.safetensors")
    assert np.array_equal(tuned.weights["first.weight"], found["smooth.first.weight"])
    assert not np.array_equal(found["smooth.first.weight"], found["student.first.weight"])
    assert not np.array_equal(found["smooth.first.weight"], net.weights["first.weight"])
    assert not tuned.weights["first.weight"][::2].any()
    found = trainer.gradients(net, 24)
    assert np.abs(found["first.weight"]).max() > 0
    assert found.keys() == {p.path for p in graph.parameters if p.trainable}


def test_adapters_leave_an_average_what_it_is(tmp_path: Path) -> None:
    text = spell().replace("net student = Net()", "net student = Net() -> lora(rank=2)")
    train = open_train(text, tmp_path)
    smooth = find_net(train, "smooth")
    assert (smooth.average, smooth.source) == (train.nets[1].average, "student.")
    assert smooth.average is not None
