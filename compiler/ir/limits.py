"""What every entry of a value lies between, as far as that follows from the graph alone."""

from __future__ import annotations

from math import inf

from compiler.ir.graph import Graph, Value


def find_limits(graph: Graph, value: Value, *, whole: bool = False) -> tuple[float, float]:
    """The least and the greatest that an entry of a floating-point value can be, whatever the
    inputs and weights hold. Whole numbers wrap around, so nothing is said of them, unless `whole`
    says that they are too small for that, as class numbers are."""
    known: dict[str, tuple[float, float]] = {}
    for node in graph.nodes:
        given = [
            known.get(v.name, (-inf, inf)) if v is not None else (-inf, inf) for v in node.inputs
        ]
        found = node.op.find_limits(given)
        known |= {v.name: found for v in node.outputs if whole or v.type.dtype.is_float}
        if value.name in known:
            break
    return known.get(value.name, (-inf, inf))
