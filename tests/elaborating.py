"""Elaborates specs given as text, for tests."""

from __future__ import annotations

from pathlib import Path

from compiler.elaborate.api import (
    check_names,
    elaborate_models,
    elaborate_nets,
    open_file,
    run_deep,
)
from compiler.ir.verify import verify_graph
from compiler.program.net import Net
from compiler.report.diagnostics import Message, Sink
from compiler.report.source import Source
from compiler.text.parse import parse

LOOP = """
model M() {
    input x: f32[batch, 8, 8]
    h = zeros([batch, 16])
    scan x_t in x, axis=1 {
        h = tanh(concat([x_t, h], axis=-1) -> dense(16) as cell)
    }
    output y = h -> dense(3) as head
}
"""
"""A net with a layer inside of a loop."""


def elaborate(text: str, path: str = "spec.weft") -> tuple[dict[str, Net], list[Message]]:
    """The models and nets of a spec by name, and everything that was reported."""
    sink = Sink()
    file = parse(Source(path, text), sink)

    def work() -> dict[str, Net]:
        scope = open_file(file, sink)
        nets = elaborate_models(scope)
        nets.update(elaborate_nets(scope))
        check_names(scope)
        return nets

    nets = run_deep(work)
    for net in nets.values():
        verify_graph(net.graph)
    return nets, sink.messages


def elaborate_file(path: Path) -> tuple[dict[str, Net], list[Message]]:
    """The same for a file."""
    return elaborate(path.read_text(encoding="utf-8"), str(path))


def build(text: str, name: str = "M") -> Net:
    """The one net that a good spec is about."""
    nets, messages = elaborate(text)
    assert not messages, [f"{m.code}: {m.text.title} ({m.text.label})" for m in messages]
    return nets[name]


def codes(text: str) -> list[str]:
    """The codes of what a spec is refused for."""
    return [m.code for m in elaborate(text)[1]]
