"""Passes on graphs as text: what comes out, what is left alone and why, and that the meaning
stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from compiler.ir.evaluate import Array, evaluate
from compiler.ir.graph import Graph
from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ir.verify import verify_graph
from compiler.ir.weights import draw_weights
from compiler.ops.registry import load_ops
from compiler.passes.activate_before_pool import ActivateBeforePool
from compiler.passes.base import Context, Pass
from compiler.passes.common_subexpressions import CommonSubexpressions
from compiler.passes.constant_folding import ConstantFolding
from compiler.passes.dead_code import DeadCode
from compiler.passes.flatten_rows import FlattenRows
from compiler.passes.fold_batch_norm import FoldBatchNorm
from compiler.passes.hoist_products import HoistProducts
from compiler.passes.merge_adapters import MergeAdapters
from compiler.passes.pipeline import ONNX_PASSES, run_passes
from compiler.passes.recognize_cells import RecognizeCells
from compiler.passes.set_sizes import SetSizes
from compiler.passes.slice_pull_up import SlicePullUp
from compiler.passes.split_projections import SplitProjections
from tests.pytorch_random import make_network

FOLDER = Path(__file__).parent / "passes"
CASES = sorted(FOLDER.rglob("*.ir"))
SIZES = {"batch": 3, "t": 5, "h": 4, "w": 6}
PASSES: Mapping[str, Pass] = {
    step.name: step
    for step in (
        DeadCode(),
        CommonSubexpressions(),
        ConstantFolding(),
        MergeAdapters(),
        RecognizeCells(),
        HoistProducts(),
        FoldBatchNorm(),
        ActivateBeforePool(),
        SplitProjections(),
        SlicePullUp(),
        FlattenRows(),
        SetSizes((("h", 4), ("w", 6))),
    )
}
DIVIDER = "# becomes\n"


def draw_inputs(graph: Graph) -> dict[str, Array]:
    draw = np.random.default_rng(1)
    return {
        item.name: draw.standard_normal([d.evaluate(SIZES) for d in item.value.type.shape]).astype(
            item.value.type.dtype.numpy
        )
        for item in graph.inputs
    }


def run_both(
    before: Graph, after: Graph, weights: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    inputs = draw_inputs(before)
    changed = {**weights, **{p: np.asarray(a) for p, a in after.constants.items()}}
    return evaluate(before, weights, inputs), evaluate(after, changed, inputs)


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_pass_on_text(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text(encoding="utf-8")
    given = text.split(DIVIDER)[0]
    before = read_graph(given, load_ops())
    verify_graph(before)
    weights = draw_weights(before)
    context = Context(weights)
    after = PASSES[path.parent.name].run(before, context)
    verify_graph(after)
    notes = [f"# left {e.node.outputs[0].name}: {e.reason}\n" for e in context.explanations]
    made = given + DIVIDER + (print_graph(after) if after is not before else "# the same\n")
    made += "".join(notes)
    if request.config.getoption("--accept"):
        path.write_text(made, encoding="utf-8")
    assert text == made
    expected, found = run_both(before, after, weights)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=2e-5, atol=2e-5)
    assert PASSES[path.parent.name].run(after, Context(weights)) == after


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_pipeline_keeps_interface_and_meaning(path: Path) -> None:
    before = read_graph(path.read_text(encoding="utf-8").split(DIVIDER)[0], load_ops())
    weights = draw_weights(before)
    after = run_passes(before, ONNX_PASSES, Context(weights))
    assert after.inputs == before.inputs
    assert [o.name for o in after.outputs] == [o.name for o in before.outputs]
    expected, found = run_both(before, after, weights)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=2e-5, atol=2e-5)


def test_every_pass_has_cases() -> None:
    assert {path.parent.name for path in CASES} == set(PASSES)


def test_weights_are_not_needed_to_leave_alone() -> None:
    text = (FOLDER / "fold_batch_norm" / "convolutions.ir").read_text(encoding="utf-8")
    graph = read_graph(text.split(DIVIDER)[0], load_ops())
    context = Context()
    assert FoldBatchNorm().run(graph, context) is graph
    assert {e.reason for e in context.explanations} == {"the weights are not known yet"}


@pytest.mark.parametrize("seed", range(100, 116))
def test_each_pass_keeps_random_networks(seed: int) -> None:
    graph = make_network(seed)
    weights = {
        path: np.abs(array) + np.float32(0.5) if path.endswith("running_var") else array
        for path, array in draw_weights(graph, seed).items()
    }
    for step in ONNX_PASSES:
        after = step.run(graph, Context(weights))
        verify_graph(after)
        assert after.inputs == graph.inputs
        expected, found = run_both(graph, after, weights)
        for name, array in expected.items():
            scale = max(1.0, float(np.abs(array).max()))
            np.testing.assert_allclose(found[name], array, atol=2e-5 * scale, rtol=0)
        graph = after
        weights = {**weights, **{p: np.asarray(a) for p, a in after.constants.items()}}
