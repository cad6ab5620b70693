"""Networks made small in every weight format, the published ones too: the three backends agree."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from compiler.compression.base import CompressionContext
from compiler.compression.quantization.base import Scheme
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Float16
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.compression.quantization.weight_only import LEAST, Weights4
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.ops.linear import Dense
from compiler.report.diagnostics import CompileError
from tests.elaborating import elaborate
from tests.quantizing import Drawn, check_net, make_net

MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"
NAMES = (
    *("alexnet", "lenet5", "mobilenet_v2", "resnet18", "resnet20", "resnet50", "vgg16", "vit_b_16"),
    *("efficientnet_b0", "tiny_autoencoder", "tiny_ds_cnn", "tiny_mobilenet", "tiny_resnet8"),
)
"""One network of each kind; others are these with other numbers."""
SMALLER = (
    (r"(net|deploy) \w+.*", ""),
    (r"classes: int = 1000", "classes: int = 32"),
    (r"dense\(4096\)", "dense(64)"),
    (r"depths: list = \[.*?\]", "depths: list = [1, 1]"),
    (r"64 \* 2 \*\* i", "8 * 2 ** i"),
    (r"conv\(64, kernel=7", "conv(8, kernel=7"),
    (r"size: int = 224", "size: int = 64"),
    (r"d: int = 768", "d: int = 48"),
    (r"layers: int = 12", "layers: int = 2"),
    (r"heads: int = 12", "heads: int = 4"),
    (r"\b(192|256|384|512|128)\b(?=[,\]])", "16"),
)
SCHEMES: tuple[Scheme, ...] = (
    Stored8(),
    Stored4(codebook=True),
    Dynamic(),
    Weights4(),
    Float16(compute="always"),
)
LARGE = 400_000
"""Numbers above which a network is tried in one format only."""
LONG = 29
"""Nodes above which a network is tried in two formats, the next ones for the next network."""


def make_small(name: str) -> WeightedNet:
    path = MODELS / f"{name}.weft"
    text = path.read_text(encoding="utf-8")
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    if name in ("vgg16", "alexnet"):
        text = text.replace("conv(64,", "conv(16,").replace("[64, 64]", "[16, 16]")
    nets, messages = elaborate(text, str(path))
    assert not messages, [m.text.title for m in messages]
    graph = next(iter(nets.values())).graph
    return WeightedNet(graph, draw_weights(graph))


def has_large_layer(net: WeightedNet) -> bool:
    dense = [n.inputs[1] for n in net.graph.nodes if isinstance(n.op, Dense)]
    return any(net.weights[v.name].size >= LEAST for v in dense if v is not None)


def choose_schemes(name: str, net: WeightedNet) -> tuple[Scheme, ...]:
    if sum(a.size for a in net.weights.values()) > LARGE:
        return SCHEMES[1:2]
    if len(net.graph.nodes) > LONG:
        first = NAMES.index(name)
        return tuple(SCHEMES[at % len(SCHEMES)] for at in (first, first + 2))
    return SCHEMES


@pytest.mark.parametrize("name", NAMES)
def test_published_networks_survive(name: str) -> None:
    net = make_small(name)
    for scheme in choose_schemes(name, net):
        if isinstance(scheme, Weights4) and not has_large_layer(net):
            with pytest.raises(CompileError):
                scheme.quantize(net, CompressionContext(), None, ())
            continue
        made = scheme.quantize(net, CompressionContext(), None, ())
        with TemporaryDirectory() as folder:
            report, messages = check_net(made, Path(folder), net.graph)
        assert report.passed, (scheme, [(m.code, m.text.title, m.text.label) for m in messages])


def test_means_over_volumes_stay_in_f32(tmp_path: Path) -> None:
    """PyTorch cannot compute them in f16 on the CPU."""
    net = make_net("""model M() {
        input video: f32[batch, 2, 4, 8, 8]
        x = video -> conv(4, kernel=3, padding=1) as stem -> relu -> avg_pool([2, 2, 2])
        output y: f32[batch, 3] = x -> flatten -> dense(3) as head
    }""")
    context = CompressionContext(samples=Drawn(net.graph, {}))
    made = Float16(compute="always").quantize(net, context, None, ())
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, [(m.text.title, m.text.label) for m in messages]
    kinds = {n.op.name: str(n.outputs[0].type.dtype) for n in made.graph.nodes}
    assert (kinds["conv"], kinds["avg_pool"], kinds["relu"]) == ("f16", "f32", "f16")


def test_the_least_size_of_a_packed_layer_is_said() -> None:
    net = make_net("model M { input x: f32[batch, 16]\n output y = x -> dense(8) as fc }")
    with pytest.raises(CompileError) as raised:
        Weights4().quantize(net, CompressionContext(), None, ())
    (message,) = raised.value.messages
    assert "with a weight of its own of 1,024 numbers or more" in message.text.label
