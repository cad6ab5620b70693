"""Group lasso: neurons driven to exact zero while training, and what removes them afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backends.pytorch.run.load import run_source
from backends.pytorch.run.running import read_results, run_training
from backends.pytorch.train.folder import write_training
from backends.pytorch.train.regularizing import emit_shrinking
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.compression.context import Tuning
from compiler.compression.pruning.dead import remove_dead_neurons
from compiler.compression.tuning.preparing import prepare_tuning
from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import read_weights
from compiler.program.train import Train
from compiler.report.diagnostics import Fault, Sink
from compiler.training.regularizers import GroupLasso
from tests.train_scripts import lint

Array = NDArray[Any]

SPEC = """
model Net(width: int = 24) {
    input x: f32[b, 4]
    h = x -> dense(width) as hidden -> relu -> dense(width) as second -> tanh
    output y: f32[b, 1] = h -> dense(1) as head
}
data line {
    source npz("line.npz")
    split random(seed=0), train=80%, val=20%
}
train fit of Net(x=features) on line {
    minimize mse(y, goal) with OPTIMIZER
    batch 40  epochs 40
    REGULARIZE
}
"""
OUTPUTS = 'regularize group_lasso(1e-2) over "hidden"'
INPUTS = 'regularize group_lasso(0.4, groups="inputs") over "head", "second.weight"'
OPTIMIZERS = {OUTPUTS: "sgd(lr=0.1)", INPUTS: "adam(lr=1e-2, schedule=cosine)"}


def open_train(regularize: str, folder: Path) -> tuple[Train | None, list[str]]:
    rows = np.random.default_rng(0)
    features = rows.normal(size=(400, 4)).astype(np.float32)
    goal = np.maximum(features[:, :1] - features[:, 1:2], 0) + 0.1 * features[:, 2:3]
    np.savez(folder / "line.npz", features=features, goal=goal.astype(np.float32))
    path = folder / "spec.weft"
    optimizer = OPTIMIZERS.get(regularize, "adam(lr=1e-2)")
    path.write_text(SPEC.replace("REGULARIZE", regularize).replace("OPTIMIZER", optimizer))
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    return program.trains.get("fit"), [m.code for m in sink.messages]


def fit(regularize: str, folder: Path) -> tuple[Train, WeightedNet]:
    train, codes = open_train(regularize, folder)
    assert train is not None
    assert not codes
    write_training(train, folder / "fit")
    run_training(folder / "fit", data_root=folder, device="cpu")
    graph = train.nets[0].net.graph
    found = read_weights(folder / "fit" / "best.safetensors")
    return train, WeightedNet(graph, {path: found[path] for path in graph.parameter})


def remove_and_compare(net: WeightedNet) -> WeightedNet:
    """The net without its dead neurons, whose outputs are those of the whole one."""
    small = remove_dead_neurons(net)
    x = {"x": np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32)}
    whole, rest = (evaluate(n.graph, n.weights, x)["y"] for n in (net, small))
    np.testing.assert_allclose(rest, whole, rtol=0, atol=1e-5)
    return small


def test_neurons_reach_zero_and_go(tmp_path: Path) -> None:
    train, net = fit(OUTPUTS, tmp_path)
    idle = (net.weights["hidden.weight"] == 0).all(axis=1)
    assert 4 <= idle.sum() < 24
    assert (net.weights["hidden.bias"][idle] == 0).all(), "a bias belongs to its neuron"
    small = remove_and_compare(net)
    assert small.weights["hidden.weight"].shape == (24 - idle.sum(), 4)
    assert small.weights["second.weight"].shape == (24, 24 - idle.sum())
    lint(tmp_path / "fit")
    results = read_results(tmp_path / "fit")
    assert results.best_epoch == results.epochs, "the last weights have the most zeros"
    assert results.figures["val"]["loss"] < 0.05
    tuned = prepare_tuning(train, "fit", net, Tuning(1))
    assert not tuned.train.regularizers


def test_neurons_of_a_layer_named_like_a_method_of_a_module_go(tmp_path: Path) -> None:
    open_train(OUTPUTS, tmp_path)
    spec = (tmp_path / "spec.weft").read_text().replace("hidden", "forward")
    (tmp_path / "spec.weft").write_text(spec.replace("epochs 40", "epochs 2"))
    program = check(tmp_path / "spec.weft", sink=Sink())
    assert program is not None
    write_training(program.trains["fit"], tmp_path / "fit")
    run_training(tmp_path / "fit", data_root=tmp_path, device="cpu")
    assert "forward.weight" in read_weights(tmp_path / "fit" / "best.safetensors")


def test_columns_reach_zero_and_go(tmp_path: Path) -> None:
    _, net = fit(INPUTS, tmp_path)
    unread = (net.weights["head.weight"] == 0).all(axis=0)
    assert 4 <= unread.sum() < 24
    small = remove_and_compare(net)
    assert small.weights["head.weight"].shape[1] <= 24 - unread.sum()
    lint(tmp_path / "fit")


def test_several_regularizers_and_optimizers(tmp_path: Path) -> None:
    both = f"{OUTPUTS}  {INPUTS}  regularize group_lasso(1e-3)"
    train, codes = open_train(both, tmp_path)
    assert train is not None
    assert not codes
    layers = [item.layers for item in train.regularizers]
    assert layers[0] == (("hidden.weight", "hidden.bias"),)
    assert layers[1] == (("second.weight",), ("head.weight",))
    assert [layer[0] for layer in layers[2]] == ["hidden.weight", "second.weight", "head.weight"]
    optimizers = 'with adam(lr=1e-2) over "head" with sgd(lr=1e-1)'
    path = tmp_path / "spec.weft"
    path.write_text(path.read_text().replace("with adam(lr=1e-2)", optimizers))
    path.write_text(path.read_text().replace("epochs 40", "epochs 1"))
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    assert not sink.messages
    write_training(program.trains["fit"], tmp_path / "fit")
    text = (tmp_path / "fit" / "train.py").read_text()
    assert "LASSO_2 * optimizer_1.param_groups" in text
    assert "LASSO_3 * optimizer_2.param_groups" in text or "LASSO_2 * optimizer_2." in text
    lint(tmp_path / "fit")
    run_training(tmp_path / "fit", data_root=tmp_path, device="cpu")


@settings(max_examples=30, deadline=None)
@given(
    groups=st.sampled_from(["outputs", "inputs"]),
    shape=st.sampled_from([(3, 4), (2, 5, 3, 3), (4, 1)]),
    amount=st.floats(0, 2),
    seed=st.integers(0, 1000),
)
def test_generated_code_means_what_numpy_means(
    groups: Any, shape: tuple[int, ...], amount: float, seed: int
) -> None:
    rule = GroupLasso(strength=1.0, groups=groups)
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=shape).astype(np.float32)]
    parts[0][rng.integers(shape[0])] = 0
    if rule.axis == 0:
        parts.append(rng.normal(size=shape[:1]).astype(np.float32))
    shrink = _shrink_functions()[rule.axis]
    tensors = [torch.nn.Parameter(torch.from_numpy(part.copy())) for part in parts]
    shrink(tensors, amount)
    for tensor, expected in zip(tensors, rule.shrink(parts, amount), strict=True):
        np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


FUNCTIONS: dict[int, Any] = {}


def _shrink_functions() -> dict[int, Any]:
    """The functions that scripts have for groups along the first and the second axis."""
    if not FUNCTIONS:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for axis, clause in enumerate((OUTPUTS, INPUTS)):
                train, _ = open_train(clause, Path(folder))
                assert train is not None
                (lines,) = emit_shrinking(ScriptSpec(train))
                source = "\n".join(["import torch", "from torch import Tensor", *lines, ""])
                FUNCTIONS[axis] = run_source(source, "shrinking").shrink_groups
    return FUNCTIONS


def test_the_step_minimizes_what_it_is_the_step_of() -> None:
    """prox(v) = argmin_w |w - v|² / 2 + amount * sqrt(n) * |w|, found here by brute force."""
    v = np.array([[0.9, -0.3, 0.5]])
    (w,) = GroupLasso(strength=0.2).shrink([v], 1.0)
    weight = 0.2 * 3**0.5

    def cost(x: Array) -> float:
        return float(((x - v) ** 2).sum() / 2 + weight * np.sqrt((x**2).sum()))

    rng = np.random.default_rng(0)
    assert all(cost(w) <= cost(w + 0.05 * rng.normal(size=w.shape)) for _ in range(500))


@pytest.mark.parametrize(
    ("clause", "code"),
    [
        ('regularize group_lasso(1e-3, groups="inputs") over "hidden.bias"', "W1104"),
        ('regularize group_lasso(1e-3) over "hiden"', "W0616"),
        ("regularize group_lasso(0.0)", "W0601"),
        ("regularize group_laso(1e-3)", "W0614"),
        ("regularize dense(3)", "W0614"),
        ("regularize 3", "W0208"),
        ('regularize group_lasso(1e-3) over "hidden"  freeze "hidden"', "W1104"),
        ("regularize group_lasso(1e-3) with adam(lr=1e-3)", "W0208"),
    ],
)
def test_what_means_nothing_is_refused(clause: str, code: str, tmp_path: Path) -> None:
    _, codes = open_train(clause, tmp_path)
    assert codes == [code], codes


def test_strength_is_above_zero() -> None:
    with pytest.raises(Fault):
        GroupLasso(strength=0.0)
