"""The order of passes, with the reason for it, and what runs them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compiler.ir.graph import Graph
from compiler.ir.verify import verify_graph
from compiler.passes.activate_before_pool import ActivateBeforePool
from compiler.passes.base import Context, Pass
from compiler.passes.common_subexpressions import CommonSubexpressions
from compiler.passes.constant_folding import ConstantFolding
from compiler.passes.dead_code import DeadCode
from compiler.passes.expand_gradients import ExpandGradients
from compiler.passes.flatten_rows import FlattenRows
from compiler.passes.fold_batch_norm import FoldBatchNorm
from compiler.passes.hoist_products import HoistProducts
from compiler.passes.merge_adapters import MergeAdapters
from compiler.passes.recognize_cells import RecognizeCells
from compiler.passes.scaled import ScaledArray
from compiler.passes.slice_pull_up import SlicePullUp
from compiler.passes.split_projections import SplitProjections
from compiler.report.diagnostics import CompileError
from compiler.report.messages.verification import pass_made_nan

CLEAN_PASSES: tuple[Pass, ...] = (
    # First, so that no other pass works on what is thrown away.
    DeadCode(),
    # Before common_subexpressions: equal constants computed in two ways become equal inputs.
    ConstantFolding(),
    CommonSubexpressions(),
)

ONNX_PASSES: tuple[Pass, ...] = (
    # First, for it goes by the ops of the spec, and what follows looks at what it writes.
    ExpandGradients(),
    *CLEAN_PASSES,
    # Before all that looks at dense layers: what remains is a net without adapters.
    MergeAdapters(),
    # Before all that puts other ops into the bodies of loops.
    RecognizeCells(),
    # After recognize_cells, which looks at whole cells.
    HoistProducts(),
    # After constant_folding, which may have computed the weights that it reads.
    FoldBatchNorm(),
    # After fold_batch_norm, which brings convolutions next to the pools behind them.
    ActivateBeforePool(),
    # Before slice_pull_up: a projection that makes more than the slice needs stands in its way.
    SplitProjections(),
    SlicePullUp(),
    # After slice_pull_up: a slice of tokens is no slice of rows of a matrix.
    FlattenRows(),
    # Slices that several paths asked for.
    CommonSubexpressions(),
    # Weights that folding superseded, and nodes that only they fed.
    DeadCode(),
)


def run_passes(graph: Graph, passes: Sequence[Pass], context: Context) -> Graph:
    """Runs passes in order; the graph is verified after every one that changed it.

    Raises:
        InvalidGraph: a pass broke the graph.
        CompileError: a pass made numbers that are none out of weights that are all numbers.
    """
    for step in passes:
        with np.errstate(all="ignore"):  # what comes of it is looked at
            made = step.run(graph, context)
        if made is not graph:
            verify_graph(made, graph)
            _refuse_nan(step, graph, made, context)
        graph = made
    return graph


def _refuse_nan(step: Pass, before: Graph, after: Graph, context: Context) -> None:
    made = (path for path, array in after.constants.items() if _is_new(array, path, before))
    path = next((path for path in made if _has_nan(after.constants[path])), None)
    if path is None:
        return
    given = (context.numbers(before, parameter.path) for parameter in before.parameters)
    if not any(_has_nan(array) for array in given):
        raise CompileError([pass_made_nan(after.parameter[path].origin, step.name, path)])


def _is_new(array: object, path: str, before: Graph) -> bool:
    return array is not before.constants.get(path)


def _has_nan(array: object) -> bool:
    """Whether some entry is no number; a product of numbers has none."""
    if isinstance(array, ScaledArray):
        return _has_nan(array.scale) or _has_nan(array.array)
    return isinstance(array, np.ndarray) and array.dtype.kind == "f" and bool(np.isnan(array).any())
