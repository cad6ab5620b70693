"""The sizes at which nets are measured and costs are counted."""

from __future__ import annotations

from compiler.ir.graph import Graph
from compiler.ir.sizes import SizeSearch
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError
from compiler.report.messages.contracts import no_sizes_for_latency


def choose_sizes(graph: Graph, target: Target) -> dict[str, int]:
    """A size for every symbolic dim of a net: the target's, else a typical one that is possible.

    Raises:
        CompileError: the net takes no input of these sizes.
    """
    given = {name: size for name, size in target.sizes if name in graph.symbols}
    found = SizeSearch(graph, given).choose_typical()
    if found is None:
        raise CompileError([no_sizes_for_latency(target.span, given)])
    return found
