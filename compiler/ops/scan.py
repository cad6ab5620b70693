"""The loop at run time: a body that runs once for each step of a sequence or a range."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self, final

import numpy as np

from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Input, Node, Op, Output, Value
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.spelling import Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Scan(Op):
    """A loop over steps. Made by the `scan` statement, never by a call.

    `body` is a graph without parameters. Its inputs are, in this order: the counter (an
    `i64[]`, if `count` is set), one slice of each sequence, the states, and what the body reads
    from outside (captured tensors and weights, which are the same in every step and keep their
    outer names). Its outputs are the states after the step, what it emits, and, with `until`,
    one `bool[]` that ends the loop after the step in which it is true.

    The node's inputs are the sequences, the first states, and the captured tensors; its outputs
    are the last states, then each emitted tensor stacked along its axis.

    - `sequences`, `states`: how many there are of each.
    - `axis`: the axis of every sequence that the steps go along.
    - `emit_axes`: the axis of each stacked result that the steps go along.
    - `reverse`: steps go from the end of the sequences; what is emitted keeps the place of its
      slice, so results line up with the sequences.
    - `count`, `start`, `step`: number of steps of a range, its first number, and the distance;
      without `count` the sequences say the number of steps.
    - `until`: whether the last output of the body ends the loop.
    - `steps`: with `until`, the name of the size that is the number of steps that were made.

    Nodes of the body stand under the frames of the graph around it.

    Cost: that of the body in every step.
    Example:

        h = zeros([n, 32])
        scan x_t in sequence, axis=1 {
            h = tanh(concat([x_t, h], axis=-1) -> dense(32) as cell)
            emit states = h
        }
        output y = states

    Source: https://onnx.ai/onnx/operators/onnx__Scan.html
    """

    name = "scan"
    keeps_f32 = True

    body: Graph
    sequences: int
    states: int
    axis: int = 0
    emit_axes: tuple[int, ...] = ()
    reverse: bool = False
    count: int | Dim | None = None
    start: int | Dim = 0
    step: int = 1
    until: bool = False
    steps: str = "steps"

    @property
    def run_sizes(self) -> tuple[str, ...]:
        return (self.steps,) if self.until and self.emit_axes else ()

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return (self.body,)

    def change_bodies(self, change: Callable[[Graph], Graph]) -> Scan:
        return replace(self, body=change(self.body))

    @property
    def counter(self) -> Input | None:
        """The body's input that holds the number of the range."""
        return self.body.inputs[0] if self.count is not None else None

    @property
    def slices(self) -> tuple[Input, ...]:
        """The body's inputs that hold slices of the sequences."""
        first = int(self.count is not None)
        return self.body.inputs[first : first + self.sequences]

    @property
    def carried(self) -> tuple[Input, ...]:
        """The body's inputs that hold the states."""
        first = int(self.count is not None) + self.sequences
        return self.body.inputs[first : first + self.states]

    @property
    def captured(self) -> tuple[Input, ...]:
        """The body's inputs that hold what it reads from outside."""
        return self.body.inputs[int(self.count is not None) + self.sequences + self.states :]

    @property
    def emitted(self) -> tuple[Output, ...]:
        """The body's outputs that are stacked."""
        return self.body.outputs[self.states : self.states + len(self.emit_axes)]

    def length(self, inputs: Types) -> Dim:
        """The number of steps, unless `until` ends the loop before."""
        if self.count is not None:
            return Dim.of(self.count)
        sequence = inputs[0]
        assert sequence is not None, "a scan goes over a sequence or a range"
        return sequence.shape[self.axis % sequence.rank]

    def turns(self, inputs: Types) -> Dim:
        return Dim.of(1) if self.until else self.length(inputs)

    def infer(self, assume: Assume, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        steps = Dim.of(self.steps) if self.until else self.length(inputs)
        states = [output.value.type for output in self.body.outputs[: self.states]]
        stacked = []
        for output, axis in zip(self.emitted, self.emit_axes, strict=True):
            made = output.value.type
            at = axis % (made.rank + 1)
            stacked.append(TensorType(made.dtype, (*made.shape[:at], steps, *made.shape[at:])))
        return (*states, *stacked)

    def evaluate(self, *arrays: Array) -> tuple[Array, ...]:
        return self.draw(np.random.default_rng(0), *arrays)

    def draw(self, generator: np.random.Generator, *arrays: Array) -> tuple[Array, ...]:
        sequences = arrays[: self.sequences]
        states: Sequence[Array] = arrays[self.sequences : self.sequences + self.states]
        captured = {
            item.name: array
            for item, array in zip(
                self.captured, arrays[self.sequences + self.states :], strict=True
            )
        }
        emitted: list[list[Array]] = [[] for _ in self.emit_axes]
        for number in self._steps(sequences):
            values = dict(captured)
            if self.counter is not None:
                values[self.counter.name] = np.asarray(self._count_at(number), np.int64)
            for item, sequence in zip(self.slices, sequences, strict=True):
                values[item.name] = np.take(sequence, number, axis=self.axis)
            values.update(zip((i.name for i in self.carried), states, strict=True))
            results = list(evaluate(self.body, {}, values, draws=generator).values())
            states = results[: self.states]
            for stack, array in zip(emitted, results[self.states :], strict=False):
                stack.append(array)
            if self.until and bool(results[-1]):
                break
        return (*states, *self._stack(emitted))

    def _steps(self, sequences: Sequence[Array]) -> range:
        if self.count is not None:
            count = Dim.of(self.count).evaluate({})
        else:
            count = sequences[0].shape[self.axis]
        return range(count)[::-1] if self.reverse else range(count)

    def _count_at(self, number: int) -> int:
        return Dim.of(self.start).evaluate({}) + number * self.step

    def _stack(self, emitted: Sequence[Sequence[Array]]) -> Iterator[Array]:
        for output, axis, stack in zip(self.emitted, self.emit_axes, emitted, strict=True):
            if stack:
                yield np.stack(stack[::-1] if self.reverse else stack, axis=axis)
                continue
            made = output.value.type
            shape = [d.evaluate({}) for d in made.shape]
            shape.insert(axis % (made.rank + 1), 0)
            yield np.zeros(shape, made.dtype.numpy)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        total = Dim.of(0)
        for node in self.body.nodes:
            types = node.types
            total = total + node.op.multiply_adds(types, [v.type for v in node.outputs])
        return total * self.length(inputs)

    def torch(self, node: Node) -> Spelling:
        raise AssertionError("a scan is a statement, which the writer of modules spells")

    def onnx(self, build: OnnxBuilder, outputs: Results, *_: OnnxInput | None) -> Values:
        raise AssertionError("a scan holds a graph, which the writer of graphs spells")

    def substitute(self, sizes: Mapping[str, int | Dim]) -> Self:
        def size(value: int | Dim) -> int | Dim:
            return value.substitute(sizes) if isinstance(value, Dim) else value

        return replace(
            self,
            body=_substitute_graph(self.body, sizes),
            count=None if self.count is None else size(self.count),
            start=size(self.start),
        )


def _substitute_graph(graph: Graph, sizes: Mapping[str, int | Dim]) -> Graph:
    """A body with symbols replaced in its types and in the fields of its ops."""

    def value(old: Value) -> Value:
        return Value(old.name, old.type.substitute(sizes))

    nodes = tuple(
        replace(
            node,
            op=node.op.substitute(sizes),
            inputs=tuple(value(v) if v is not None else None for v in node.inputs),
            outputs=tuple(map(value, node.outputs)),
        )
        for node in graph.nodes
    )
    return replace(
        graph,
        inputs=tuple(replace(i, value=value(i.value)) for i in graph.inputs),
        outputs=tuple(replace(o, value=value(o.value)) for o in graph.outputs),
        nodes=nodes,
    )


COUNTER = TensorType(DType.I64, ())
"""The type of the number of a range inside the loop."""
