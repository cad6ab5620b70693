"""Graphs that draw random numbers, as graphs that are given them: what backends are compared on.

Two runtimes never draw the same numbers. So verification compares a copy of the graph in which
every draw is an input, one number for each turn of a loop: the meaning, PyTorch and ONNX Runtime
get the same ones. What is deployed draws by itself; that it runs is tried besides.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Input, Node, Output, Value
from compiler.ops.reshaping import Reshape
from compiler.ops.scan import Scan
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.writing.names import free_name

Array = NDArray[Any]
Sizes = Mapping[str, int]
Make = Callable[[np.random.Generator, Sizes], Array]
"""Draws the numbers of an input at some sizes."""


@dataclass(frozen=True)
class Given:
    """A draw that became an input, and how its numbers are drawn."""

    value: Value
    make: Make

    def draw(self, sizes: Sizes, seed: int) -> Array:
        """Its numbers, the same ones for the same seed."""
        name = zlib.crc32(self.value.name.encode())
        return self.make(np.random.default_rng([seed, name]), sizes)


def give_draws(graph: Graph) -> tuple[Graph, dict[str, Given]]:
    """The graph with every draw as an input behind its own, and these inputs by name."""
    taken = {i.name for i in graph.inputs} | {o.name for o in graph.outputs}
    level = _Level(taken | set(_list_names(graph)))
    nodes = tuple(level.rewrite(graph.nodes))
    given = {item.value.name: item for item in level.given}
    inputs = (*graph.inputs, *(Input(item.value) for item in level.given))
    outputs = tuple(level.read_output(output) for output in graph.outputs)
    return replace(graph, inputs=inputs, nodes=nodes, outputs=outputs), given


def _list_names(graph: Graph) -> Iterator[str]:
    """The names of all values, those in loops too."""
    yield from (item.name for item in graph.inputs)
    for node in graph.nodes:
        yield from (value.name for value in node.outputs)
        for body in node.op.bodies:
            yield from _list_names(body)


@dataclass
class _Level:
    """A graph or body in which draws become inputs. `taken` are names of the whole graph."""

    taken: set[str]
    given: list[Given] = field(default_factory=list)
    instead: dict[str, Value] = field(default_factory=dict)
    """What stands for the result of a draw, by its name."""

    def rewrite(self, nodes: Iterable[Node]) -> Iterable[Node]:
        for node in nodes:
            node = replace(node, inputs=tuple(self.read(v) for v in node.inputs))
            if node.op.random:
                self.instead[node.output.name] = self.add(node.output.type, _draw_once(node))
            elif node.op.varies and isinstance(node.op, Scan):
                yield self._open(node, node.op)
            else:
                yield node

    def read(self, value: Value | None) -> Value | None:
        return value if value is None else self.instead.get(value.name, value)

    def read_output(self, output: Output) -> Output:
        return replace(output, value=self.instead.get(output.value.name, output.value))

    def add(self, type: TensorType, make: Make) -> Value:
        """A new input."""
        name = free_name("draw", self.taken, "_")
        self.taken.add(name)
        self.given.append(Given(Value(name, type), make))
        return self.given[-1].value

    def _open(self, node: Node, op: Scan) -> Node:
        """A loop that is given its draws as further sequences."""
        inner = _Level(self.taken)
        body_nodes = list(inner.rewrite(op.body.nodes))
        steps = op.length(node.types)
        slices: list[Input] = []
        sequences: list[Value] = []
        unpacked: list[Node] = []
        for item in inner.given:
            slice_type = _pad(item.value.type, op.axis)
            sequence = _insert(slice_type, op.axis, steps)
            sequences.append(self.add(sequence, _repeat(item.make, slice_type, op.axis, steps)))
            if slice_type == item.value.type:
                slices.append(Input(item.value))
                continue
            held = Value(free_name(f"{item.value.name}.slice", self.taken, "_"), slice_type)
            self.taken.add(held.name)
            slices.append(Input(held))
            reshape = Reshape(item.value.type.shape)
            unpacked.append(Node(reshape, (held,), (item.value,), node.scope, Site()))
        first = int(op.count is not None) + op.sequences
        inputs = op.body.inputs
        body = replace(
            op.body,
            inputs=(*inputs[:first], *slices, *inputs[first:]),
            nodes=(*unpacked, *body_nodes),
            outputs=tuple(inner.read_output(output) for output in op.body.outputs),
        )
        given = (*node.inputs[: op.sequences], *sequences, *node.inputs[op.sequences :])
        opened = replace(op, body=body, sequences=op.sequences + len(slices))
        return replace(node, op=opened, inputs=given)


def _draw_once(node: Node) -> Make:
    """Draws what a node draws; its operands, of which the numbers are not known, are 0.5, which is
    a probability and a score."""

    def make(generator: np.random.Generator, sizes: Sizes) -> Array:
        operands = [
            None if t is None else np.full([d.evaluate(sizes) for d in t.shape], 0.5, t.dtype.numpy)
            for t in node.types
        ]
        return node.op.substitute(sizes).draw(generator, *operands)[0]

    return make


def _repeat(make: Make, kind: TensorType, axis: int, steps: Dim) -> Make:
    """Draws for every turn of a loop, stacked along an axis."""

    def repeat(generator: np.random.Generator, sizes: Sizes) -> Array:
        shape = [size.evaluate(sizes) for size in kind.shape]
        turns = [make(generator, sizes).reshape(shape) for _ in range(steps.evaluate(sizes))]
        return np.stack(turns, axis=axis)

    return repeat


def _pad(kind: TensorType, axis: int) -> TensorType:
    """The type with axes of size 1, so that sequences of it can go along that axis."""
    missing = axis - kind.rank if axis >= 0 else -axis - 1 - kind.rank
    ones = (Dim.of(1),) * max(missing, 0)
    return TensorType(kind.dtype, (*kind.shape, *ones) if axis >= 0 else (*ones, *kind.shape))


def _insert(kind: TensorType, axis: int, steps: Dim) -> TensorType:
    at = axis if axis >= 0 else kind.rank + 1 + axis
    return TensorType(kind.dtype, (*kind.shape[:at], steps, *kind.shape[at:]))
