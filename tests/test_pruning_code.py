"""Generated code of pruned nets reads as if written by hand: golden texts that are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.compression.base import CompressionContext, CompressionPass
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.prune import Prune
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from tests.conftest import Golden
from tests.elaborating import elaborate_file
from tests.pytorch_compare import assert_clean, draw_inputs, draw_lively, run

ROOT = Path(__file__).resolve().parents[1]
GOOD = ROOT / "tests" / "good" / "pruning"
RESNET = ("specs/models/resnet18.weft", "ResNet18")
IMAGE = {"batch": 1, "h": 48, "w": 40}
LATE = ("layer3.1.*", "layer4.0.conv*", "layer4.1.*")
Case = tuple[tuple[str, str], tuple[CompressionPass, ...], dict[str, int]]
CASES: dict[str, Case] = {
    "resnet18": (RESNET, (Prune(channels=0.3, ranking="global"),), IMAGE),
    "resnet18_pruned_lowrank": (
        RESNET,
        (
            Prune(channels=0.3, ranking="global"),
            LowRank(rank=100, method="channel", only=LATE),
        ),
        IMAGE,
    ),
    "mobilenet_v2": (
        ("specs/models/mobilenet_v2.weft", "MobileNetV2"),
        (Prune(channels=0.5, round_to=8),),
        IMAGE,
    ),
    "vit": (
        ("tests/good/low_rank/vit.weft", "SmallViT"),
        (Prune(channels=0.3, ranking="global"),),
        {"batch": 2},
    ),
    "tiny_gpt": (
        ("specs/examples/tiny_gpt.weft", "TinyGPT"),
        (Prune(channels=0.3),),
        {"batch": 2},
    ),
    "recurrent": (
        ("tests/good/programs/peephole_lstm.weft", "Tagger"),
        (Prune(channels=0.25, ranking="global"),),
        {"batch": 2, "t": 4},
    ),
}


def make(name: str) -> tuple[Graph, WeightedNet]:
    (file, model), steps, _ = CASES[name]
    nets, messages = elaborate_file(ROOT / file)
    assert not messages, [m.text.title for m in messages]
    graph = nets[model].graph
    net = WeightedNet(graph, draw_lively(graph))
    for step in steps:
        net = step.run(net, CompressionContext())
    return graph, net


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_the_golden_one_and_runs(name: str, golden: Golden) -> None:
    before, net = make(name)
    text = emit_module([net.graph], title=name)
    golden.check(GOOD / f"{name}.py", text)
    module = load_module(text, net.graph)
    assign_weights(module, dict(net.weights))
    inputs = draw_inputs(before, CASES[name][2])
    wanted = evaluate(net.graph, net.weights, inputs)
    for array, found in zip(wanted.values(), run(module, inputs), strict=True):
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(found / scale, array / scale, atol=2e-5)


def test_ruff_would_change_nothing_in_the_goldens() -> None:
    assert_clean(GOOD)


def test_every_golden_is_used() -> None:
    assert {path.stem for path in GOOD.glob("*.py")} == set(CASES)


def test_defaults_say_what_the_net_is_now() -> None:
    """Expressions of the author that still hold stay: a quarter less of everything."""
    nets, _ = elaborate_file(ROOT / "specs" / "examples" / "tiny_gpt.weft")
    graph = nets["TinyGPT"].graph
    made = Prune(channels=0.25).run(WeightedNet(graph, draw_lively(graph)), CompressionContext())
    text = emit_module([made.graph], title="Net.")
    assert "d: int = 96, heads: int = 3" in text
    assert "EncoderBlock(d, heads, 4 * d, causal=True)" in text


LOOPS = {
    "a list": ("for i, width in enumerate(widths)", "width", ""),
    "numbers written out": ("for i, width in enumerate([12, 24, 40])", "width", ""),
    "places of a list": ("for i in 0..3", "widths[i]", ""),
    "a formula": ("for i in 0..3", "12 * 2 ** i", ""),
    "another first turn": ("for i, width in enumerate(widths)", "width", "x = x -> sigmoid"),
    "another last turn": ("for i, width in enumerate(widths)", "width", "x = x -> tanh"),
}
STAGES = """
block stage(x: f32[n, c, h, w], width: int) {
    y = x -> conv(width, kernel=3, padding=1) as conv1 -> relu
    return y -> conv(width, kernel=3, padding=1) as conv2
}
model Net(widths: list = [12, 24, 40], classes: int = 5) {
    input image: f32[batch, 3, 16, 16]
    x = image -> conv(8, kernel=3, padding=1) as stem
    HEAD {
        x = x -> stage(WIDTH) as stages[i]
        FIRST
    }
    output logits = x -> global_avg_pool -> dense(classes) as head
}
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_loops_go_through_the_widths_that_are_left(loop: str, tmp_path: Path) -> None:
    head, width, first = LOOPS[loop]
    last = "i == 0" if "sigmoid" in first else "i == 2"
    body = f"if {last} {{ {first} }}" if first else ""
    path = tmp_path / "net.weft"
    path.write_text(STAGES.replace("HEAD", head).replace("WIDTH", width).replace("FIRST", body))
    nets, _ = elaborate_file(path)
    graph = nets["Net"].graph
    net = Prune(channels=0.3).run(WeightedNet(graph, draw_lively(graph)), CompressionContext())
    module = load_module(emit_module([net.graph], title="Net."), net.graph)
    assign_weights(module, dict(net.weights))
    inputs = draw_inputs(graph, {"batch": 2})
    wanted = evaluate(net.graph, net.weights, inputs)
    for array, found in zip(wanted.values(), run(module, inputs), strict=True):
        np.testing.assert_allclose(found, array, atol=2e-5 * max(1.0, float(np.abs(array).max())))
