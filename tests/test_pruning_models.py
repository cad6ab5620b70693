"""Published networks, pruned: widths, costs beside torch-pruning's, generated code."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.onnx_graph.check import check_onnx
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.compression.base import CompressionContext
from compiler.compression.pruning.cutting import cut_graph
from compiler.compression.pruning.groups import find_channels
from compiler.compression.pruning.prune import Prune
from compiler.compression.pruning.widths import choose_uniform
from compiler.ir.cost import summarize
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from tests.elaborating import build, elaborate_file
from tests.pytorch_compare import draw_lively

SPECS = Path(__file__).resolve().parents[1] / "specs"
MODELS = (
    *("alexnet", "lenet5", "mobilenet_v2", "resnet18", "resnet20", "resnet50", "vgg16", "vit_b_16"),
    *("convnext_tiny", "densenet121", "efficientnet_b0", "tiny_resnet8"),
)
"""One network of each kind that takes images; others are these with other numbers."""
HUGE = ("alexnet", "resnet50", "vgg16", "vit_b_16")
"""Networks that take seconds to run: only their graphs are pruned here."""


def find_graph(name: str) -> Graph:
    nets, messages = elaborate_file(SPECS / "models" / f"{name}.weft")
    assert not messages
    return nets[name].graph


def cut_a_third(graph: Graph) -> Graph:
    """The graph once three of ten channels of each group are gone, whatever their weights are."""
    channels = find_channels(graph)
    sizes = [group.size for group in channels.groups]
    gone = choose_uniform(sizes, 0.3)
    choices = [np.arange(size) < count for size, count in zip(sizes, gone, strict=True)]
    return cut_graph(graph, channels, channels.mark(choices))


def count_macs(graph: Graph, size: int) -> int:
    macs = summarize(graph).multiply_adds.substitute({"batch": 1, "h": size, "w": size}).known
    assert macs is not None
    return macs


@pytest.mark.parametrize("name", MODELS)
def test_a_third_of_the_channels_goes(name: str, tmp_path: Path) -> None:
    graph = find_graph(name)
    made = cut_a_third(graph)
    assert made.inputs == graph.inputs
    assert [o.value.type for o in made.outputs] == [o.value.type for o in graph.outputs]
    before, after = (count_macs(g, 64 if name == "resnet50" else 224) for g in (graph, made))
    assert 0.45 < after / before < 0.75
    with torch.device("meta"):
        module = load_module(emit_module([made], title=f"{name}."), made)
    shapes = {p.path: p.value.type.known_shape for p in made.parameters}
    own = {k: tuple(v.shape) for k, v in module.state_dict().items() if not k.endswith("tracked")}
    assert own == shapes


@pytest.mark.parametrize("name", [name for name in MODELS if name not in HUGE])
def test_backends_agree_on_what_is_left(name: str, tmp_path: Path) -> None:
    graph, context = find_graph(name), CompressionContext()
    made = Prune(channels=0.3).run(WeightedNet(graph, draw_weights(graph)), context)
    assert made.graph == cut_a_third(graph), "widths do not hang on the numbers"
    whole = {note.path for note in context.journal if not note.done}
    assert whole == set(find_channels(graph).obstacles), "only the layer that makes the classes"
    module = load_module(emit_module([made.graph], title=f"{name}."), made.graph)
    compare(made, module, tmp_path / "net.onnx", size=28 if name == "lenet5" else 32)


def compare(net: WeightedNet, module: torch.nn.Module, path: Path, *, size: int) -> None:
    """NumPy, generated PyTorch and the ONNX file agree."""
    assign_weights(module, dict(net.weights))
    channels = net.graph.inputs[0].value.type.shape[1].known or 0
    image = np.random.default_rng(0).normal(size=(2, channels, size, size)).astype(np.float32)
    wanted = evaluate(net.graph, net.weights, {"image": image})["logits"]
    with torch.no_grad():
        from_torch = module(torch.from_numpy(image)).numpy()
    compile_onnx(net.graph, net.weights, path)
    check_onnx(path)
    (from_onnx,) = open_session(path, device=Device.CPU).run({"image": image}).values()
    scale = float(np.abs(wanted).max())
    np.testing.assert_allclose(from_torch / scale, wanted / scale, atol=1e-5)
    np.testing.assert_allclose(from_onnx / scale, wanted / scale, atol=1e-5)


def prune_with_torch_pruning(module: torch.nn.Module, image: torch.Tensor, head: str) -> None:
    pruning: Any = import_module("torch_pruning")  # it has no types
    kept = [module.get_submodule(head)]
    importance = pruning.importance.GroupMagnitudeImportance(p=2)
    pruner = pruning.pruner.MagnitudePruner(
        module, image, importance=importance, pruning_ratio=0.5, ignored_layers=kept
    )
    pruner.step()


@pytest.mark.parametrize(
    ("name", "head"), [("resnet20", "fc"), ("resnet18", "fc"), ("mobilenet_v2", "classifier.1")]
)
def test_torch_pruning_makes_the_same_widths(name: str, head: str) -> None:
    graph = find_graph(name)
    net = WeightedNet(graph, draw_lively(graph))
    made = Prune(channels=0.5).run(net, CompressionContext())
    rival = load_module(emit_module([graph], title="Net."), graph)
    assign_weights(rival, dict(net.weights))
    prune_with_torch_pruning(rival, torch.randn(1, 3, 32, 32), head)
    theirs = {k: tuple(v.shape) for k, v in rival.state_dict().items() if not k.endswith("tracked")}
    assert {p.path: p.value.type.known_shape for p in made.graph.parameters} == theirs


def test_resnet20_costs_what_torch_pruning_says() -> None:
    """41.2 -> 10.5 M multiply-adds, batch norms counted as torch-pruning counts them."""
    pruning: Any = import_module("torch_pruning")  # it has no types
    graph = find_graph("resnet20")
    made = (
        Prune(channels=0.5).run(WeightedNet(graph, draw_weights(graph)), CompressionContext()).graph
    )
    counts = []
    for found in (graph, made):
        module = load_module(emit_module([found], title="Net."), found)
        macs, _ = pruning.utils.count_ops_and_params(module, torch.zeros(1, 3, 32, 32))
        counts.append(macs)
        assert abs(count_macs(found, 32) / macs - 1) < 0.02
    assert counts == [pytest.approx(41.2e6, rel=0.02), pytest.approx(10.5e6, rel=0.02)]


def test_option_a_shortcuts() -> None:
    """Shortcuts of He et al. that pad channels with zeros: stages share some of their channels."""
    graph = build(
        "model M() {\n    input image: f32[batch, 3, 8, 8]\n"
        "    x = image -> conv(4, kernel=1) as a\n"
        "    y = x -> conv(8, kernel=1, stride=2) as b\n"
        "    x = y + (x[:, :, ::2, ::2] -> pad([0, 0, 0, 0, 2, 2]))\n"
        "    output logits = x -> global_avg_pool -> dense(3) as fc\n}\n"
    ).graph
    sizes = {group.makers: group.size for group in find_channels(graph).groups}
    assert sizes == {("a", "b"): 4, ("b",): 4}
    made = Prune(channels=0.5).run(WeightedNet(graph, draw_lively(graph)), CompressionContext())
    widths = {p.path: p.value.type.known_shape for p in made.graph.parameters}
    assert widths["a.weight"] == (2, 3, 1, 1)
    assert widths["b.weight"] == (4, 2, 1, 1)
