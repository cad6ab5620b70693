"""Quantization-aware training: nets trained with their rounding, whose steps may be learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module, run_source
from backends.pytorch.run.tuning import make_trainer
from backends.pytorch.terms.helpers import HELPERS
from backends.pytorch.train.folder import write_training
from compiler.compression.base import CompressionContext
from compiler.compression.context import Tuning
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.int8 import Int8
from compiler.compression.tuning.passes import Finetune
from compiler.compression.tuning.preparing import prepare_tuning
from compiler.compression.tuning.scales import let_scales_learn, stop_scales
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.quantization import LEVELS, FakeQuantize
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError
from compiler.rows.loading import load_data
from tests.train_scripts import lint
from tests.tuned import fit

Array = NDArray[Any]
Case = tuple[Train, WeightedNet, CompressionContext]


class Rows:
    """Calibration rows of a train."""

    synthetic = False

    def __init__(self, train: Train, root: Path) -> None:
        self.images = load_data(train.data, root).split("train")["image"]

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        for start in range(0, rows, size):
            yield {"image": self.images[start : min(start + size, rows)]}


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A trained net that rounds its weights and activations to few levels, and its context."""
    root = tmp_path_factory.mktemp("coarse")
    train, net, _ = fit(root)
    trainer = make_trainer(train, "fit", root / "tuned", data_root=root, device="cpu")
    context = CompressionContext(samples=Rows(train, root), trainer=trainer, original=net)
    quantized = Quantize(Int8(placement="all", bias_correction=False)).run(net, context)
    return train, keep_few_levels(quantized), context


def keep_few_levels(net: WeightedNet) -> WeightedNet:
    """A net of i8 and u8 that holds 2 bits more than a quarter of a byte: i4 weights, u4 else."""
    weights, nodes = dict(net.weights), []
    done: set[str] = set()  # values may share a scale
    for node in net.graph.nodes:
        if isinstance(node.op, FakeQuantize):
            small = {"i8": "i4", "u8": "u4"}[node.op.dtype]
            ratio = LEVELS[node.op.dtype][1] / LEVELS[small][1]
            scale, zero_point = (v.name for v in node.inputs[1:] if v is not None)
            if scale not in done:
                weights[scale] = np.asarray(weights[scale] * ratio, np.float32)
                weights[zero_point] = np.round(weights[zero_point] / ratio).astype(np.int32)
                done.add(scale)
            node = replace(node, op=replace(node.op, dtype=small))
        nodes.append(node)
    return WeightedNet(replace(net.graph, nodes=tuple(nodes)), weights)


def loss_of(case: Case, net: WeightedNet) -> float:
    train, _, _ = case
    root = train.span.source.folder if train.span is not None else Path()
    columns = load_data(train.data, root).split("val")
    (logits,) = evaluate(net.graph, net.weights, {"image": columns["image"]}).values()
    label = torch.from_numpy(columns["label"])
    return float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), label))


def test_rounding_is_trained_with(coarse: Case) -> None:
    _, net, context = coarse
    tuned = Finetune(epochs=3, lr=3e-3).run(net, context)
    assert tuned.graph is net.graph
    assert loss_of(coarse, tuned) < 0.9 * loss_of(coarse, net)
    for path in net.weights:
        if path.endswith(("scale", "zero_point")):
            assert np.array_equal(tuned.weights[path], net.weights[path]), "calibrated, not learned"
    assert context.journal[-1].reason == "with the rounding of the quantized net"


def test_scales_are_learned(coarse: Case, tmp_path: Path) -> None:
    train, net, context = coarse
    tuned = Finetune(epochs=3, lr=3e-3, learn_scales=True).run(net, context)
    assert tuned.graph is net.graph
    assert loss_of(coarse, tuned) < 0.9 * loss_of(coarse, net)
    scales = [path for path in net.weights if path.endswith("scale")]
    assert scales
    for path in scales:
        assert not np.array_equal(tuned.weights[path], net.weights[path])
        np.testing.assert_allclose(tuned.weights[path], net.weights[path], rtol=0.2)
    prepared = prepare_tuning(train, "fit", let_scales_learn(net), Tuning(1))
    write_training(prepared.train, tmp_path, start=prepared.weights)
    lint(tmp_path)
    text = (tmp_path / "train.py").read_text()
    assert "LEARNING_RATES = [3e-6, 0.0003]" in text
    assert "class Learned" in (tmp_path / "model.py").read_text()


def test_learning_scales_changes_no_meaning(coarse: Case) -> None:
    _, net, _ = coarse
    learning = let_scales_learn(net)
    module = load_module(emit_module([learning.graph], title="net"), learning.graph)
    assign_weights(module, learning.weights)
    image = np.random.default_rng(0).random((9, 1, 8, 8), np.float32)
    (expected,) = evaluate(net.graph, net.weights, {"image": image}).values()
    found = module(torch.from_numpy(image)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    again = stop_scales(learning, net.graph)
    assert again.graph is net.graph
    assert all(np.array_equal(again.weights[p], a) for p, a in net.weights.items())


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_gradients_of_scales_are_those_of_lsq(axis: int | None) -> None:
    """Against PyTorch's own kernels of learned scales, which observers use."""
    head = ["import torch", "from torch import Tensor", "", "", HELPERS["round_to_steps"]]
    round_to_steps = run_source("\n".join(head), "rounding").round_to_steps
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(4, 6)).astype(np.float32)
    # Between the last level and half a step beyond, the paper cuts the gradient, the kernels not.
    steps = drawn / 0.21 + 3
    drawn[((steps > -0.5) & (steps < 0)) | ((steps > 7) & (steps < 7.5))] = 0.1
    x = torch.from_numpy(drawn).requires_grad_()
    size = () if axis is None else (x.shape[axis],)
    first = torch.full(size, 0.21).requires_grad_()
    zero_point = torch.full(size, 3, dtype=torch.int32)
    weight = torch.from_numpy(rng.normal(size=(4, 6)).astype(np.float32))
    out = round_to_steps(x, first, zero_point, 0, 7, *(() if axis is None else (axis,)))
    (out * weight).sum().backward()
    own, first_x = first.grad, x.grad
    assert own is not None
    x.grad, share = None, (x.numel() / max(1, first.numel()) * 7) ** -0.5
    second = first.detach().clone().reshape(size or (1,)).requires_grad_()
    zeros = zero_point.reshape(size or (1,)).float()
    if axis is None:
        theirs = torch._fake_quantize_learnable_per_tensor_affine(x, second, zeros, 0, 7, share)
    else:
        theirs = torch._fake_quantize_learnable_per_channel_affine(
            x, second, zeros, axis, 0, 7, share
        )
    (theirs * weight).sum().backward()
    assert second.grad is not None
    torch.testing.assert_close(out, theirs)
    torch.testing.assert_close(first_x, x.grad)
    torch.testing.assert_close(own.reshape(second.shape), second.grad, rtol=1e-3, atol=1e-5)


def test_without_rounding_there_is_nothing_to_learn(coarse: Case) -> None:
    _, _, context = coarse
    assert context.original is not None
    with pytest.raises(CompileError) as caught:
        Finetune(learn_scales=True).run(context.original, context)
    assert [m.code for m in caught.value.messages] == ["W1105"]


def test_half_precision_is_left_for_training_with_rounding(coarse: Case) -> None:
    train, net, context = coarse
    assert context.original is not None
    half = replace(train, precision="bf16")
    assert prepare_tuning(half, "fit", net, Tuning(1)).train.precision == "f32"
    assert prepare_tuning(half, "fit", context.original, Tuning(1)).train.precision == "bf16"
