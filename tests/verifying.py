"""Small graphs for tests of the verification: layers that make their weights, with spec lines."""

from __future__ import annotations

from typing import Any

from compiler.ir.builder import Builder
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Op, Value
from compiler.ir.weights import draw_weights
from compiler.ops.linear import Dense
from compiler.report.source import Source, Span
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers.drawn import Uniform

SPEC = Source("net.weft", "first\nsecond\nthird\n")


def place(word: str) -> Span:
    start = SPEC.text.index(word)
    return Span(SPEC, start, start + len(word))


class Net:
    """A builder whose layers make their weights."""

    def __init__(self) -> None:
        self.root = Frame("Net", "", 0, origin=Span(SPEC, 0, 5))
        self.build = Builder("net", self.root)

    def apply(self, op: Op, *inputs: Value, name: str = "", line: str = "first") -> Value:
        made = [
            self.build.parameter(f"{name}.{w.name}", w.type, Uniform(-0.5, 0.5))
            for w in op.weights([v.type for v in inputs])
        ]
        (value,) = self.build.apply(op, [*inputs, *made], self.root, Site(place(line), name))
        return value

    def finish(self, **outputs: Value) -> tuple[Graph, dict[str, Any]]:
        for name, value in outputs.items():
            self.build.output(name, value)
        graph = self.build.graph()
        return graph, draw_weights(graph)


def make_mlp(middle: Op) -> tuple[Graph, dict[str, Any]]:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["batch", "t", 8]))
    x = net.apply(Dense(16), x, name="a", line="first")
    x = net.apply(middle, x, line="second")
    return net.finish(y=net.apply(Dense(4), x, name="b", line="third"))
