"""The networks that benchmarks compare: the spec, the same network in PyTorch, the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.driver import check
from compiler.ir.graph import Graph
from compiler.report.diagnostics import CompileError, Sink

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Network:
    """One network. `torch_name` is its name in torchvision; None: the module that Weft
    generates is the rival. `shape` is that of the input at batch 1. Work that takes a millisecond
    is done on one thread: handing it to a second costs as much as it saves, and how much depends on
    what else the machine does."""

    name: str
    spec: str
    torch_name: str | None
    shape: tuple[int, ...]
    latency_bound: float
    compile_bound: float | None = None
    threads: int = 2


IMAGE = (1, 3, 224, 224)
NETWORKS: Mapping[str, Network] = {
    network.name: network
    for network in (
        Network("resnet18", "models/resnet18.weft", "resnet18", IMAGE, 1.01, 20),
        Network("resnet50", "models/resnet50.weft", "resnet50", IMAGE, 1.01),
        Network("vgg16", "models/vgg16.weft", "vgg16", IMAGE, 1.02),
        Network("vit_b_16", "models/vit_b_16.weft", "vit_b_16", IMAGE, 0.94, 15),
        Network("tiny_gpt", "examples/tiny_gpt.weft", None, (1, 64), 1.00, threads=1),
    )
}


def elaborate(network: Network) -> Graph:
    """The graph of a network from its spec: the front end from text on.

    Raises:
        CompileError: the spec has errors.
    """
    sink = Sink()
    program = check(ROOT / "specs" / network.spec, overrides={}, sink=sink)
    if program is None or sink.has_errors:
        raise CompileError(sink.messages)
    nets = {**program.models, **program.nets}
    return next(reversed(nets.values())).graph


def weft_paths(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of torchvision under the paths of the specs."""
    renamed = {}
    for path, array in weights.items():
        if not path.endswith("num_batches_tracked"):
            path = re.sub(r"\bencoder_layer_(\d+)", r"\1", path)
            path = path.replace("encoder.pos_embedding", "pos_embedding")
            renamed[re.sub(r"\bin_proj_(weight|bias)", r"in_proj.\1", path)] = array
    return renamed


def make_torch_module(network: Network) -> Any:
    """The rival in PyTorch, in evaluation mode, with random weights."""
    if network.torch_name is None:
        return _make_generated_module(network)
    from tests.torchvision_models import make_model

    return make_model(network.torch_name)


def _make_generated_module(network: Network) -> Any:
    from backends.pytorch.modules import emit_module
    from backends.pytorch.run.load import assign_weights, load_module
    from compiler.ir.weights import draw_weights

    graph = elaborate(network)
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, draw_weights(graph))
    return module


def make_input(network: Network, batch: int = 1) -> Any:
    """A random input: an image, or tokens for a network of two axes."""
    draw = np.random.default_rng(0)
    shape = (batch, *network.shape[1:])
    if len(shape) == 2:
        return draw.integers(0, 32, shape)
    return draw.standard_normal(shape).astype(np.float32)
