"""The published architectures: parameter counts of the papers, outputs of torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.weights.layout import rename_path
from tests.elaborating import elaborate, elaborate_file
from tests.pytorch_compare import draw_inputs
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
    "resnet34": 21_797_672,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "vgg11": 132_863_336,
    "vgg16_bn": 138_365_992,
    "densenet121": 7_978_856,
    "swin_t": 28_288_354,
    "efficientnet_b0": 5_288_548,
    "convnext_tiny": 28_589_128,
    "unet": 31_030_658,
    "mixer_b16": 59_880_472,
    "bert_base": 109_482_240,
    "gpt2": 124_439_808,
    "clip_vit_b_32": 151_277_313,
    "dinov2_vits14": 22_056_576,
    "t5_small": 60_506_624,
    "llama3_8b": 8_030_261_248,
    "llama3_405b": 405_853_388_800,
    "transformer": 63_082_496,
    "char_rnn": 4_333_696,
    "bilstm_tagger": 3_307_517,
    "mlp": 669_706,
    "linear_regression": 11,
    "polynomial_regression": 4,
    "logistic_regression": 7_850,
    "cifar10_net": 62_006,
    "resnet1001": 10_327_706,
    "vgg11_bn": 132_868_840,
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_small": 2_542_856,
    "autoencoder": 2_837_314,
    "vae": 652_824,
    "dcgan_generator": 3_576_704,
    "dcgan_discriminator": 2_765_568,
    "conditional_generator": 2_413_984,
    "conditional_discriminator": 1_224_351,
    "pix2pix_generator": 54_413_955,
    "pix2pix_discriminator": 2_768_705,
    "ddpm_unet": 35_746_307,
    "seq2seq_attention": 80_452_000,
    "gpt3_175b": 174_604_259_328,
    "spanet": 5_570_080,
    "particle_transformer": 2_143_486,
}
"""Trainable parameters of the networks of `specs/models`, by their names there."""
PAIRS = {"conditional": "conditional_gan", "dcgan": "dcgan", "pix2pix": "pix2pix"}
"""Files with a generator and a discriminator, by what these are called."""
WITH_STATISTICS = {
    "tiny_resnet8": 78_666,
    "tiny_ds_cnn": 24_908,
    "tiny_mobilenet": 221_794,
    "tiny_autoencoder": 269_992,
}
"""Networks whose published counts hold the statistics of norms."""
SMALL = (*WITH_STATISTICS, "bilstm_tagger", "char_rnn")
NO_ORACLE = (
    *("lenet5", "resnet20", "unet", "mixer_b16"),
    *("bert_base", "gpt2", "llama3_8b", "llama3_405b"),
    *("clip_vit_b_32", "dinov2_vits14", "t5_small"),
    *("transformer", "char_rnn", "bilstm_tagger", "gpt3_175b"),
    *("mlp", "linear_regression", "polynomial_regression", "logistic_regression"),
    *("cifar10_net", "resnet1001", "autoencoder", "vae", "dcgan_generator", "dcgan_discriminator"),
    *("conditional_generator", "conditional_discriminator"),
    *("pix2pix_generator", "pix2pix_discriminator", "ddpm_unet"),
    *("seq2seq_attention", "spanet", "particle_transformer"),
)
"""Networks that torchvision does not have: `test_paper_models.py` has other oracles of some."""
LIKE_OTHERS = ("resnet101", "resnet152", "vgg11", "vgg11_bn", "vgg16_bn")
"""Networks that are others with other numbers: their outputs are not looked at, for the time it
takes."""
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
SMALL_IMAGE = (96, 128)
SIZES = {
    **dict.fromkeys(
        ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
        (SQUARE, ODD),
    ),
    **dict.fromkeys(("densenet121", "efficientnet_b0", "convnext_tiny"), (SQUARE, SMALL_IMAGE)),
}
"""Heights and widths of images, where the nets take any."""
OTHER_SIZE = {
    "alexnet": ("AlexNet", 160),
    "vgg16": ("VGG", 96),
    "swin_t": ("Swin", 200),
}
"""Another size for nets that are elaborated for one: their model, and the size."""


def find_graph(name: str) -> Graph:
    file = PAIRS.get(name.rpartition("_")[0], name)
    nets, messages = elaborate_file(MODELS / f"{file}.weft")
    assert not messages
    return nets[name].graph


def find_resized(name: str) -> Graph:
    """The graph of a model for images of another size."""
    path = MODELS / f"{name}.weft"
    model, size = OTHER_SIZE[name]
    text = f"{path.read_text(encoding='utf-8')}\nnet resized = {model}(size={size})\n"
    nets, messages = elaborate(text, str(path))
    assert not messages
    return nets["resized"].graph


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts_are_the_published_ones(name: str, count: int) -> None:
    parameters = find_graph(name).parameters
    assert sum(p.value.type.size.known or 0 for p in parameters if p.trainable) == count


def test_every_model_has_a_published_count() -> None:
    known = {PAIRS.get(name.rpartition("_")[0], name) for name in (*PARAMETERS, *WITH_STATISTICS)}
    assert {path.stem for path in MODELS.glob("*.weft")} == known


@pytest.mark.parametrize(("name", "count"), WITH_STATISTICS.items())
def test_counts_with_statistics_are_the_published_ones(name: str, count: int) -> None:
    assert sum(p.value.type.size.known or 0 for p in find_graph(name).parameters) == count


@pytest.mark.parametrize("name", SMALL)
def test_small_models_agree_in_pytorch_and_onnx(name: str, tmp_path: Path) -> None:
    graph = find_graph(name)
    weights = draw_weights(graph, 0)
    module = load_module(emit_module([graph], title=name), graph).eval()
    assign_weights(module, weights)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    session = open_session(tmp_path / "net.onnx", device=Device.CPU)
    inputs = draw_inputs(graph, {"batch": 2, "t": 5})
    if "lengths" in inputs:
        inputs["lengths"] = np.array([5, 2])
    with torch.no_grad():
        made = module(*map(torch.tensor, inputs.values()))
    expected = made if isinstance(made, tuple) else (made,)
    for mine, wanted in zip(session.run(inputs).values(), expected, strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-4)


@pytest.mark.parametrize(
    "name", [name for name in PARAMETERS if name not in (*NO_ORACLE, *LIKE_OTHERS)]
)
def test_outputs_agree_with_torchvision(name: str, tmp_path: Path) -> None:
    oracle = make_model(name)
    weights = {
        rename_path(path, RENAME.get(name, ())): tensor.numpy()
        for path, tensor in oracle.state_dict().items()
        if not path.endswith(("num_batches_tracked", "relative_position_index"))
    }
    cases = [(find_graph(name), SIZES.get(name, (SQUARE,)))]
    if name in OTHER_SIZE:
        side = OTHER_SIZE[name][1]
        cases.append((find_resized(name), ((side, side),)))
    for graph, sizes in cases:
        assert {p.path for p in graph.parameters} == weights.keys()
        compare_outputs(oracle, graph, weights, sizes, tmp_path / f"{name}.onnx")


def compare_outputs(
    oracle: Any,
    graph: Graph,
    weights: dict[str, Any],
    sizes: tuple[tuple[int, int], ...],
    path: Path,
) -> None:
    """Compares PyTorch's and ONNX Runtime's outputs at two batches with those of the original."""
    module = load_module(emit_module([graph], title=graph.name), graph).eval()
    assign_weights(module, weights)
    compile_onnx(graph, weights, path)
    session = open_session(path, device=Device.CPU)
    cases = zip((1, 3), sizes * 2 if len(sizes) == 1 else sizes, strict=True)
    for batch, size in cases:
        images = torch.randn(batch, 3, *size, generator=torch.manual_seed(batch))
        with torch.no_grad():
            expected = oracle(images).numpy()
            from_torch = module(images).numpy()
        (from_onnx,) = session.run({"image": images.numpy()}).values()
        assert np.abs(expected).max() > 1e-3, "the oracle must say something"
        most = 1e-4 * max(1.0, float(expected.std()))  # random weights can make large logits
        np.testing.assert_allclose(from_torch, expected, atol=most)
        np.testing.assert_allclose(from_onnx, expected, atol=most)
    path.unlink()
