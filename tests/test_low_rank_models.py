"""`low_rank` on the published networks: some layers of each, so that the large ones stay quick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.low_rank.low_rank import LowRank
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import path_matches
from tests.elaborating import elaborate_file
from tests.factoring import apply

Array = NDArray[Any]
SPECS = Path(__file__).parents[1] / "specs"
PUBLISHED: dict[str, tuple[str, tuple[str, ...]]] = {
    "lenet5": ("LeNet5", ("*",)),
    "alexnet": ("AlexNet", ("features.0", "features.3")),
    "resnet18": ("ResNet18", ("conv1", "layer1.*", "layer2.0.*", "fc")),
    "resnet50": ("ResNet50", ("layer1.0.*", "layer2.0.conv2")),
    "resnet20": ("ResNet20", ("*",)),
    "mobilenet_v2": ("MobileNetV2", ("features.0.*", "features.2.*")),
    "vgg16": ("VGG", ("features.0", "features.2", "features.5")),
    "vit_b_16": ("ViT", ("encoder.layers.0.self_attention.out_proj",)),
    "densenet121": ("DenseNet", ("features.conv0", "features.denseblock1.denselayer1.*")),
    "efficientnet_b0": ("EfficientNet", ("features.0.*", "features.2.0.*")),
    "convnext_tiny": ("ConvNeXt", ("features.1.0.*",)),
    "swin_t": ("Swin", ("features.1.0.attn.qkv",)),
    "unet": ("UNet", ("down.0.*",)),
    "mixer_b16": ("Mixer", ("blocks.0.*",)),
    "tiny_resnet8": ("TinyResNet8", ("*",)),
    "tiny_ds_cnn": ("TinyDsCnn", ("*",)),
    "tiny_mobilenet": ("TinyMobileNet", ("*",)),
    "tiny_autoencoder": ("TinyAutoencoder", ("*",)),
    "bilstm_tagger": ("BilstmTagger", ("head",)),
}


def draw_some(graph: Graph, patterns: Sequence[str]) -> dict[str, Array]:
    """Numbers for some layers and zeros, which cost nothing, for the others."""
    draw = np.random.default_rng(0)
    weights: dict[str, Array] = {}
    for parameter in graph.parameters:
        shape = parameter.value.type.known_shape or ()
        chosen = any(path_matches(parameter.path, pattern) for pattern in patterns)
        numbers = draw.standard_normal(shape, np.float32) if chosen else np.zeros(shape, np.float32)
        weights[parameter.path] = numbers.astype(parameter.value.type.dtype.numpy)
    return weights


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_models_survive(file: str) -> None:
    nets, _ = elaborate_file(SPECS / "models" / f"{file}.weft")
    name, only = PUBLISHED[file]
    graph = nets[name].graph
    net = WeightedNet(graph, draw_some(graph, only))
    context = CompressionContext()
    made = apply(LowRank(energy=0.5, only=only), net, context)
    assert any(note.done for note in context.journal)
    assert len(made.graph.nodes) > len(net.graph.nodes)
