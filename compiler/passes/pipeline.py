"""The order of passes, with the reason for it, and what runs them."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.ir.graph import Graph
from compiler.ir.verify import verify_graph
from compiler.passes.activate_before_pool import ActivateBeforePool
from compiler.passes.base import Context, Pass
from compiler.passes.common_subexpressions import CommonSubexpressions
from compiler.passes.constant_folding import ConstantFolding
from compiler.passes.dead_code import DeadCode
from compiler.passes.flatten_rows import FlattenRows
from compiler.passes.fold_batch_norm import FoldBatchNorm
from compiler.passes.merge_adapters import MergeAdapters
from compiler.passes.slice_pull_up import SlicePullUp
from compiler.passes.split_projections import SplitProjections

CLEAN_PASSES: tuple[Pass, ...] = (
    # First, so that no other pass works on what is thrown away.
    DeadCode(),
    # Before common_subexpressions: equal constants computed in two ways become equal inputs.
    ConstantFolding(),
    CommonSubexpressions(),
)

ONNX_PASSES: tuple[Pass, ...] = (
    *CLEAN_PASSES,
    # Before all that looks at dense layers: what remains is a net without adapters.
    MergeAdapters(),
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
    """
    for step in passes:
        made = step.run(graph, context)
        if made is not graph:
            verify_graph(made, graph)
        graph = made
    return graph
