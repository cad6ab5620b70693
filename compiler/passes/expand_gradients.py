"""Writes derivatives out: what `grad` asks for becomes the nodes that compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from compiler.ir.evaluate import expand
from compiler.ir.graph import Graph
from compiler.passes.base import Context, Pass


@final
@dataclass(frozen=True)
class ExpandGradients(Pass):
    """A `grad` becomes the derivatives of the ops between its operands, in evaluation mode."""

    name = "expand_gradients"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph without such nodes.

        Raises:
            CompileError: an op has no derivative that is written down.
        """
        return expand(graph)
