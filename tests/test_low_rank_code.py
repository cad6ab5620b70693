"""Generated code of factored nets reads as if written by hand: golden texts that are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.compression.base import CompressionContext
from compiler.compression.low_rank.low_rank import LowRank
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from tests.conftest import Golden
from tests.elaborating import build, elaborate_file
from tests.pytorch_compare import assert_clean, draw_inputs, draw_lively, run

ROOT = Path(__file__).resolve().parents[1]
GOOD = ROOT / "tests" / "good" / "low_rank"
LATE = ("layer3.1.*", "layer4.0.conv*", "layer4.1.*")
CASES: dict[str, tuple[str, str, LowRank, dict[str, int]]] = {
    "resnet18": (
        "specs/models/resnet18.weft",
        "ResNet18",
        LowRank(rank=90, method="channel", only=LATE),
        {"batch": 1, "h": 48, "w": 40},
    ),
    "resnet18_mixed": (
        "specs/models/resnet18.weft",
        "ResNet18",
        LowRank(rank=12, method="spatial", only=("layer1.*", "layer2.*")),
        {"batch": 1, "h": 48, "w": 40},
    ),
    "recurrent": (
        "tests/good/pytorch/recurrent/spec.weft",
        "Tagger",
        LowRank(rank=8),
        {"batch": 2, "t": 4},
    ),
    "vit": ("tests/good/low_rank/vit.weft", "SmallViT", LowRank(rank=6), {"batch": 2}),
}


def make(name: str) -> tuple[Graph, WeightedNet]:
    file, model, step, _ = CASES[name]
    nets, messages = elaborate_file(ROOT / file)
    assert not messages, [m.text.title for m in messages]
    graph = nets[model].graph
    return graph, step.run(WeightedNet(graph, draw_lively(graph)), CompressionContext())


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_the_golden_one_and_runs(name: str, golden: Golden) -> None:
    before, net = make(name)
    text = emit_module([net.graph], title=name)
    golden.check(GOOD / f"{name}.py", text)
    module = load_module(text, net.graph)
    assign_weights(module, dict(net.weights))
    inputs = draw_inputs(before, CASES[name][3])
    wanted = evaluate(net.graph, net.weights, inputs)
    for array, found in zip(wanted.values(), run(module, inputs), strict=True):
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(found / scale, array / scale, atol=2e-5)


def test_ruff_would_change_nothing_in_the_goldens() -> None:
    assert_clean(GOOD)


def test_every_golden_is_used() -> None:
    assert {path.stem for path in GOOD.glob("*.py")} == set(CASES)


STACKED = """
use std.transformer
model M() {
    input x: f32[batch, 12]
    output y = x -> mlp(24) as a -> mlp(30) as b -> mlp(24) as c -> mlp(24) as d
}
"""


def test_a_rank_that_mostly_follows_another_is_filled_in_where_stages_are_a_chain() -> None:
    """The rank of the second layer is that of the first in all instances but one."""
    graph = build(STACKED).graph
    net, context = WeightedNet(graph, draw_lively(graph)), CompressionContext()
    for rank, paths in ((5, ("a.*", "d.3")), (6, ("b.*", "c.*", "d.0"))):
        net = LowRank(rank=rank, only=paths).run(net, context)
    text = emit_module([net.graph], title="M")
    assert "(nn.Sequential):" in text, "a class that is a chain"
    assert " is None:\n" in text, "an argument with a default that follows another"
    module = load_module(text, net.graph)
    assign_weights(module, net.weights)
    inputs = draw_inputs(net.graph, {"batch": 2})
    (wanted,) = evaluate(net.graph, net.weights, inputs).values()
    np.testing.assert_allclose(run(module, inputs)[0], wanted, atol=1e-5)
