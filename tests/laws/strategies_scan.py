"""Cases of loops: a running sum over a sequence, whose steps are emitted."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ir.builder import Builder
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph
from compiler.ops.arithmetic import Add, Mul
from compiler.ops.scan import Scan
from compiler.types.tensor import TensorType
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case


def make_body(state: TensorType) -> Graph:
    """state' = (state + slice) * scale, carried and emitted."""
    frame = Frame("scan", "", 0)
    build = Builder("body", frame)
    step = build.input("x_t", state)
    old = build.input("h", state)
    scale = build.input("scale", TensorType.of("f32", []))
    (total,) = build.apply(Add(), [old, step], frame, Site())
    (new,) = build.apply(Mul(), [total, scale], frame, Site())
    build.output("h", new)
    build.output("sums", new)
    return build.graph()


@cases("scan")
def draw_scan(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 3)
    axis = draw(st.integers(0, len(shape)))
    steps = draw(st.integers(1, 4))
    x = draw_numbers(draw, (*shape[:axis], steps, *shape[axis:]))
    names = {a: f"s{a}" for a in range(len(shape)) if draw(st.booleans())}
    symbols = {(1, a): name for a, name in names.items()}
    symbols |= {(0, a + (a >= axis)): name for a, name in names.items()}
    if draw(st.booleans()):
        symbols[0, axis] = "t"
    state = TensorType.of("f32", [names.get(a, size) for a, size in enumerate(shape)])
    op = Scan(
        make_body(state),
        sequences=1,
        states=1,
        axis=axis,
        emit_axes=(draw(st.integers(0, len(shape))),),
        reverse=draw(st.booleans()),
    )
    arrays = [x, draw_numbers(draw, shape), draw_numbers(draw, ())]
    # A loop is a statement: the writer of modules spells it, and its own tests run that.
    skip = {"torch": "a statement"}
    if op.axis or op.emit_axes != (0,) or op.reverse:
        skip["reference"] = "the evaluator of onnx 1.23 scans forwards along the first axis only"
    return make_case(op, *arrays, symbols=symbols, skip=skip)
