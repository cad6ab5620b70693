"""Loops: a Weft `scan` as ONNX Scan, or as Loop where it counts or may end early."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.builder import GraphBuilder, declare_type
from backends.onnx_graph.live import find_live
from backends.onnx_graph.runtime_faults import avoid_fusions
from compiler.ir.graph import Input, Node
from compiler.ops.scan import Scan
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType

LowerNodes = Callable[[GraphBuilder, Iterable[Node], dict[str, ir.Value]], None]
"""Writes the nodes of a body and adds what they make to the values by name."""

TRUTH = TensorType(DType.BOOL, ())
WHOLE = TensorType(DType.I64, ())


def write_scan(
    build: GraphBuilder, node: Node, inputs: Sequence[ir.Value | None], lower: LowerNodes
) -> list[ir.Value]:
    """The ONNX values of a loop's outputs: last states, then what is emitted, stacked."""
    op = node.op
    assert isinstance(op, Scan), "only scans are loops"
    given = [value for value in inputs if value is not None]
    body = _Body(build, op, node.origin.name or "scan", lower)
    captured = given[op.sequences + op.states :]
    body.values = {i.name: v for i, v in zip(op.captured, captured, strict=True)}
    sequences, states = given[: op.sequences], given[op.sequences : op.sequences + op.states]
    if op.count is None and not op.until:
        return _write_scan(body, sequences, states)
    return _write_loop(body, node, sequences, states)


@dataclass
class _Body:
    """The body of a loop under construction."""

    build: GraphBuilder
    op: Scan
    label: str
    lower: LowerNodes

    def __post_init__(self) -> None:
        self.inner = self.build.inside()
        self.inputs: list[ir.Value] = []
        self.values: dict[str, ir.Value] = {}

    def add_input(self, name: str, type: TensorType) -> ir.Value:
        """Declares an input of the body."""
        value = self.inner.input(f"{self.label}/{name}", type)
        self.inputs.append(value)
        return value

    def bind(self, items: Sequence[Input]) -> None:
        """Declares inputs that the body's nodes read by name."""
        for item in items:
            self.values[item.name] = self.add_input(item.name, item.value.type)

    def finish(self, first: Sequence[ir.Value] = ()) -> ir.Graph:
        """Writes the nodes and returns the graph: outputs are `first`, the states after the
        step, and what is emitted."""
        op = self.op
        kept = op.body.outputs[: op.states + len(op.emit_axes)]
        outputs = [*first]
        for output in kept:
            value = self.values[output.value.name]
            # A body returns values of its own, each once.
            if value in outputs or value.producer() not in self.inner.nodes:
                value = self._repeat(value)
            declare_type(value, output.value.type)
            outputs.append(value)
        avoid_fusions(self.inner)
        nodes = find_live(self.inner.nodes, outputs)
        return ir.Graph(self.inputs, outputs, nodes=nodes, name=f"{self.label}/body")

    def write(self) -> None:
        """Writes the nodes of the body."""
        self.lower(self.inner, self.op.body.nodes, self.values)

    def _repeat(self, value: ir.Value) -> ir.Value:
        return self.inner.add_plain("Identity", [value], {}, f"{self.label}/result")


def _write_scan(
    body: _Body, sequences: Sequence[ir.Value], states: Sequence[ir.Value]
) -> list[ir.Value]:
    op = body.op
    body.bind(op.carried)
    body.bind(op.slices)
    body.write()
    direction = int(op.reverse)
    attributes = {
        "body": body.finish(),
        "num_scan_inputs": op.sequences,
        "scan_input_axes": [op.axis] * op.sequences,
        "scan_input_directions": [direction] * op.sequences,
        "scan_output_axes": list(op.emit_axes) or None,
        "scan_output_directions": [direction] * len(op.emit_axes) or None,
    }
    count = op.states + len(op.emit_axes)
    made = body.build.op("Scan", [*states, *sequences], attributes, outputs=count)
    return [made] if count == 1 else list(made)


def _write_loop(
    body: _Body, node: Node, sequences: Sequence[ir.Value], states: Sequence[ir.Value]
) -> list[ir.Value]:
    op, build = body.op, body.build
    types = node.types
    steps = _write_size(build, op.length(types))
    turn = body.add_input("step", WHOLE)
    going = body.add_input("going", TRUTH)
    body.bind(op.carried)
    _write_slices(body, turn, steps, sequences)
    body.write()
    attributes = {"body": body.finish([_write_condition(body, going)])}
    count = op.states + len(op.emit_axes)
    start = build.constant(np.array(True))
    result = build.op("Loop", [steps, start, *states], attributes, outputs=count)
    made = [result] if count == 1 else list(result)
    stacks = [
        _arrange(build, stack, axis, output.value.type.rank + 1, reverse=op.reverse)
        for stack, axis, output in zip(made[op.states :], op.emit_axes, op.emitted, strict=True)
    ]
    return [*made[: op.states], *stacks]


def _write_slices(
    body: _Body, turn: ir.Value, steps: ir.Value, sequences: Sequence[ir.Value]
) -> None:
    """The number of the range and the slices of the sequences, from the number of the step."""
    op, inner = body.op, body.inner
    inner.begin(f"{body.label}/slices", {})
    place: Any = turn
    if op.reverse:
        last = inner.op("Sub", [steps, inner.constant(np.array(1, np.int64))])
        place = inner.op("Sub", [last, turn])
    if op.counter is not None:
        number: Any = place
        if op.step != 1:
            distance = inner.constant(np.array(op.step, np.int64))
            number = inner.op("Mul", [number, distance])
        if Dim.of(op.start) != 0:
            number = inner.op("Add", [number, _write_size(inner, Dim.of(op.start))])
        body.values[op.counter.name] = number
    for item, sequence in zip(op.slices, sequences, strict=True):
        body.values[item.name] = inner.op("Gather", [sequence, place], {"axis": op.axis})
    inner.finish([], [], [])


def _write_condition(body: _Body, going: ir.Value) -> ir.Value:
    """Whether the loop goes on."""
    inner = body.inner
    if not body.op.until:
        return inner.add_plain("Identity", [going], {}, f"{body.label}/going_on")
    done = body.values[body.op.body.outputs[-1].value.name]
    return inner.add_plain("Not", [done], {}, f"{body.label}/going_on")


def _arrange(build: GraphBuilder, stack: Any, axis: int, rank: int, *, reverse: bool) -> ir.Value:
    """What a Loop stacks along the first axis, along another one and in the order of places."""
    if reverse:
        minus, zero = np.array([-1], np.int64), np.array([0], np.int64)
        end = np.array([np.iinfo(np.int64).min], np.int64)
        bounds = [build.constant(a) for a in (minus, end, zero, minus)]
        stack = build.op("Slice", [stack, *bounds])
    at = axis % rank
    order = [*range(1, at + 1), 0, *range(at + 1, rank)]
    moved: ir.Value = build.op("Transpose", [stack], {"perm": order})
    return moved


def _write_size(build: GraphBuilder, size: Dim) -> Any:
    """A size as a tensor without axes."""
    if size.known is not None:
        return build.constant(np.array(size.known, np.int64))
    return build.op("Squeeze", [build.shape([size])])
