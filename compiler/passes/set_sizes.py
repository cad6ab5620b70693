"""Gives symbolic dimensions their sizes: every type of the graph is inferred anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from compiler.ir.builder import Builder
from compiler.ir.graph import Graph, Value
from compiler.passes.base import Context, Pass


@final
@dataclass(frozen=True)
class SetSizes(Pass):
    """Replaces symbols by sizes in the inputs, in the fields of ops and in the conditions."""

    name = "set_sizes"
    sizes: tuple[tuple[str, int], ...] = ()

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph for inputs of these sizes.

        Raises:
            Fault: an op refuses the sizes.
        """
        sizes = dict(self.sizes)
        if not sizes.keys() & set(graph.symbols):
            return graph
        build = Builder(graph.name, graph.frame, graph.doc)
        values: dict[str, Value] = {}
        for item in graph.inputs:
            sized = item.value.type.substitute(sizes)
            values[item.name] = build.input(item.name, sized, item.doc, item.origin)
        for parameter in graph.parameters:
            values[parameter.path] = parameter.value
        for node in graph.nodes:
            inputs = [values[v.name] if v is not None else None for v in node.inputs]
            names = [v.name for v in node.outputs]
            made = build.apply(node.op.substitute(sizes), inputs, node.scope, node.origin, names)
            values.update(zip(names, made, strict=True))
        for output in graph.outputs:
            build.output(output.name, values[output.value.name], output.doc, output.origin)
        return replace(build.graph(), parameters=graph.parameters, constants=graph.constants)
