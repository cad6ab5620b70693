"""Messages about recurrent layers."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.source import Span


@message(
    "W1424",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> lstm(16)\n}\n",
    good="model M() {\n    input x: f32[batch, t, 8]\n    output y = x -> lstm(16)\n}\n",
)
def sequence_does_not_fit(span: Span | None, op: str, reason: str) -> Text:
    """A recurrent layer goes over a sequence `[n, t, d]`: rows, places and features. `lengths` has
    one whole number for each row, and initial states are `[layers, n, hidden]`, with twice as many
    layers where the layer is bidirectional. `lstm` begins with both of its states, or with
    neither."""
    return Text(
        f"operands of `{op}` do not fit",
        label=reason,
        help="sequences are `[n, t, d]`, lengths `i64[n]`, states `[layers, n, hidden]`",
    )
