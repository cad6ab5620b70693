"""The published architectures: parameter counts of the papers, outputs of torchvision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.graph import Graph
from compiler.loading import rename_path
from tests.elaborating import elaborate_file
from tests.torchvision_models import make_model

MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"
PARAMETERS = {
    "lenet5": 61_706,
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "resnet20": 272_474,
    "resnet50": 25_557_032,
    "vit_b_16": 86_567_656,
    "mobilenet_v2": 3_504_872,
}
NO_ORACLE = ("lenet5", "resnet20")
"""Networks that torchvision does not have."""
RENAME = {
    "vit_b_16": (
        ("*.encoder_layer_*", "*.*"),
        ("*.in_proj_weight", "*.in_proj.weight"),
        ("*.in_proj_bias", "*.in_proj.bias"),
        ("encoder.pos_embedding", "pos_embedding"),
    )
}
SQUARE = (224, 224)
ODD = (192, 256)
SIZES = dict.fromkeys(("resnet18", "resnet50", "mobilenet_v2"), (SQUARE, ODD))


def find_graph(name: str) -> Graph:
    nets, messages = elaborate_file(MODELS / f"{name}.weft")
    assert not messages
    return nets[name].graph


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts_are_the_published_ones(name: str, count: int) -> None:
    parameters = find_graph(name).parameters
    assert sum(p.value.type.size.known or 0 for p in parameters if p.trainable) == count


def test_every_model_has_a_published_count() -> None:
    assert {path.stem for path in MODELS.glob("*.weft")} == set(PARAMETERS)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name not in NO_ORACLE])
def test_outputs_agree_with_torchvision(name: str, tmp_path: Path) -> None:
    oracle = make_model(name)
    weights = {
        rename_path(path, RENAME.get(name, ())): tensor.numpy()
        for path, tensor in oracle.state_dict().items()
        if not path.endswith("num_batches_tracked")
    }
    graph = find_graph(name)
    assert {p.path for p in graph.parameters} == weights.keys()
    module = load_module(emit_module([graph], title=name), graph)
    assign_weights(module, weights)
    path = tmp_path / f"{name}.onnx"
    compile_onnx(graph, weights, path)
    session = open_session(path, device=Device.CPU)
    for batch, size in ((b, s) for s in SIZES.get(name, (SQUARE,)) for b in (1, 3)):
        images = torch.randn(batch, 3, *size, generator=torch.manual_seed(batch))
        with torch.no_grad():
            expected = oracle(images).numpy()
            from_torch = module(images).numpy()
        (from_onnx,) = session.run({"image": images.numpy()}).values()
        assert np.abs(expected).max() > 1e-3, "the oracle must say something"
        np.testing.assert_allclose(from_torch, expected, atol=1e-4)
        np.testing.assert_allclose(from_onnx, expected, atol=1e-4)
