"""What a graph needs to run, in memory and in work; what is too large is refused before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from compiler.ir.graph import Graph, Node, Value
from compiler.ir.liveness import find_peak
from compiler.report.diagnostics import CompileError
from compiler.report.messages.memory import (
    data_too_large,
    too_much_work,
    values_too_large,
    weights_too_large,
)
from compiler.report.source import Span
from compiler.system.memory import find_available
from compiler.types.tensor import DType, TensorType

DRAWING = 2
"""What drawing the numbers of a weight takes besides these, in multiples of its size: they are
drawn in 64 bits (a dense layer of 1 GiB takes 3.1 GiB)."""


def need_weights(graph: Graph, copies: int = 1) -> None:
    """Refuses a graph whose weights do not fit into memory, before they are made. `copies` is how
    often all of them are held at once.

    Raises:
        CompileError: they do not fit; the message stands at the largest.
    """
    sizes = {p.path: _count_bytes(p.value.type, {}) for p in graph.parameters}
    needed = max(
        sum(sizes.values()) + DRAWING * max(sizes.values(), default=0),
        copies * sum(sizes.values()),
    )
    available = find_available()
    if needed <= available:
        return
    worst = max(graph.parameters, key=lambda p: sizes[p.path])
    place, kind = worst.origin or graph.frame.origin, str(worst.value.type)
    fault = weights_too_large(
        place, graph.name, needed, available, worst.path, kind, sizes[worst.path]
    )
    raise CompileError([fault])


def need_values(graph: Graph, sizes: Mapping[str, int], copies: int = 1) -> None:
    """Refuses to run a graph at sizes at which its tensors do not fit into memory. `copies` is how
    often those that are alive are held at once.

    Raises:
        CompileError: they do not fit; the message stands at the largest.
    """
    needed, available = copies * find_running_peak(graph, sizes), find_available()
    if needed <= available:
        return
    largest, what, span = _find_largest(graph, sizes)
    place, shown = span or graph.frame.origin, _show_sizes(sizes)
    fault = values_too_large(place, graph.name, needed, available, shown, what, largest)
    raise CompileError([fault])


def need_columns(graph: Graph, sizes: Mapping[str, int], place: Span) -> None:
    """Refuses to compute the columns of a data item, `place`, for all rows where they do not fit
    into memory.

    Raises:
        CompileError: they do not fit; the message stands at the largest.
    """
    needed, available = find_running_peak(graph, sizes), find_available()
    if needed > available:
        largest, what, span = _find_largest(graph, sizes)
        columns = f"the columns of `{graph.name}`"
        raise CompileError(
            [data_too_large(span or place, columns, needed, available, what, largest)]
        )


def fits_values(graph: Graph, sizes: Mapping[str, int], copies: int = 1) -> bool:
    """Whether the tensors of a graph fit into memory when it runs."""
    return copies * find_running_peak(graph, sizes) <= find_available()


MOST_MULTIPLY_ADDS = 10**14
"""An hour of one evaluation in NumPy: a thousand times what a large vision model takes."""
MOST_TURNS = 10**8
"""Nodes that loops run in one evaluation: some ten minutes in NumPy."""


def need_work(graph: Graph, sizes: Mapping[str, int]) -> None:
    """Refuses to run a graph that would take hours.

    Raises:
        CompileError: it would; the message stands at what takes most of it.
    """
    known = _complete(sizes)
    for count, most, unit in (
        (_count_multiply_adds, MOST_MULTIPLY_ADDS, "multiply-adds"),
        (_count_turns, MOST_TURNS, "nodes of loops"),
    ):
        found = [(count(node, known), node.origin.span) for node in graph.nodes]
        total = sum(work for work, _ in found)
        if total > most:
            _, span = max(found, key=lambda one: one[0])
            shown = _show_sizes(sizes)
            place = span or graph.frame.origin
            raise CompileError([too_much_work(place, graph.name, shown, total, most, unit)])


def _count_multiply_adds(node: Node, sizes: Mapping[str, int]) -> int:
    types = node.types
    return node.op.multiply_adds(types, [v.type for v in node.outputs]).evaluate(sizes)


def _count_turns(node: Node, sizes: Mapping[str, int]) -> int:
    """How many nodes the loops run that a node holds."""
    inner = sum(1 + _count_turns(one, sizes) for body in node.op.bodies for one in body.nodes)
    types = node.types
    return inner * node.op.turns(types).evaluate(sizes) if inner else 0


def _show_sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def _complete(sizes: Mapping[str, int]) -> Mapping[str, int]:
    """The sizes, and 1 for every other: how often a loop runs may be decided in it."""
    return defaultdict(lambda: 1, sizes)


def find_running_peak(graph: Graph, sizes: Mapping[str, int]) -> int:
    """The most bytes of inputs and results that are alive at once when NumPy runs a graph."""
    known = _complete(sizes)

    def measure(value: Value) -> int:
        return _count_bytes(value.type, known)

    def count_besides(node: Node) -> int:
        bodies = (find_peak(body, measure, None, count_besides) for body in node.op.bodies)
        return _count_scratch(node, known) + max(bodies, default=0)

    return find_peak(graph, measure, None, count_besides)


def _count_bytes(type: TensorType, sizes: Mapping[str, int]) -> int:
    """Bytes of a tensor in NumPy."""
    return max(0, type.size.evaluate(sizes)) * type.dtype.numpy.itemsize


def _count_scratch(node: Node, sizes: Mapping[str, int]) -> int:
    types = node.types
    entries = node.op.scratch(types, [v.type for v in node.outputs])
    return entries.evaluate(sizes) * DType.F32.bytes


def _find_largest(graph: Graph, sizes: Mapping[str, int]) -> tuple[int, str, Span | None]:
    return max(_list_tensors(graph, _complete(sizes)), key=lambda tensor: tensor[0])


def _list_tensors(graph: Graph, sizes: Mapping[str, int]) -> Iterator[tuple[int, str, Span | None]]:
    """Bytes, description and place of every tensor that is given or computed."""
    for item in graph.inputs:
        yield _count_bytes(item.value.type, sizes), str(item.value.type), item.origin
    for node in graph.nodes:
        span = node.origin.span
        for value in node.outputs:
            yield _count_bytes(value.type, sizes), str(value.type), span
        yield _count_scratch(node, sizes), f"what `{node.op.name}` computes on the way", span
        for body in node.op.bodies:
            yield from _list_tensors(body, sizes)
