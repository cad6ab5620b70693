"""Cases of recurrent layers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.recurrent import Gru, Lstm, Rnn
from tests.laws.harness import Case, cases, draw_numbers, make_case


@cases("lstm", "gru", "rnn")
def draw_recurrent(draw: Any, name: str) -> Case:
    n, t, size, hidden = (draw(st.integers(1, most)) for most in (4, 6, 4, 4))
    options = {
        "layers": draw(st.integers(1, 3)),
        "bidirectional": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "states": draw(st.booleans()),
    }
    if name == "rnn":
        options["act"] = draw(st.sampled_from(("tanh", "relu")))
        options["recurrence"] = draw(st.sampled_from(("full", "diagonal")))
    if name == "lstm":
        options["peephole"] = draw(st.booleans())
    if options["layers"] > 1:
        options["dropout"] = draw(st.sampled_from((0.0, 0.3)))
    op = {"lstm": Lstm, "gru": Gru, "rnn": Rnn}[name](hidden, **options)
    lengths = draw_numbers(draw, (n,), "int64", 1, t + 1) if draw(st.booleans()) else None
    shape = (op.layers * op.directions, n, hidden)
    starts = [draw_numbers(draw, shape) for _ in op.state_names]
    if draw(st.booleans()):
        starts = [None for _ in op.state_names]
    places = [place for place, start in enumerate(starts, start=2) if start is not None]
    symbols = {}
    if draw(st.booleans()):
        symbols |= {(0, 0): "n", **{(place, 1): "n" for place in places}}
        if lengths is not None:
            symbols[1, 0] = "n"
    if draw(st.booleans()):
        symbols[0, 1] = "t"
    skip = {"reference": "it takes no lengths into account"} if lengths is not None else {}
    if isinstance(op, Rnn) and op.act == "relu":
        skip = {"reference": "it knows no relu"}
    x = draw_numbers(draw, (n, t, size))
    return make_case(op, x, lengths, *starts, symbols=symbols, skip=skip)
