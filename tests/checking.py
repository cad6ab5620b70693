"""Checks specs that are given as text, for tests."""

from __future__ import annotations

from compiler.driver import check_source
from compiler.ir.verify import verify_graph
from compiler.program.program import Program
from compiler.report.diagnostics import Severity, Sink
from compiler.report.source import Source


def check_text(text: str, overrides: dict[str, str] | None = None, folder: str = "") -> Program:
    """The program of a spec without faults; every graph in it is verified."""
    sink = Sink()
    source = Source(f"{folder}/spec.weft" if folder else "spec.weft", text)
    program = check_source(source, overrides=overrides, sink=sink)
    errors = [m for m in sink.messages if m.severity is Severity.ERROR]
    assert not errors, [(m.code, m.text.title, m.text.label) for m in errors]
    assert program is not None
    for train in program.trains.values():
        verify_graph(train.graph)
    for data in program.data.values():
        verify_graph(data.columns)
    for deploy in program.deploys:
        verify_graph(deploy.graph)
    return program
