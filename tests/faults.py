"""Makes the message of a fault that a part of the compiler raises without knowing its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compiler.report.diagnostics import Fault, Label, Message
from compiler.report.source import Source, Span

SOURCE = Source("spec.weft", "call(argument)\n")


class Somewhere:
    """A call at which everything is wrong at once."""

    @property
    def call(self) -> Span:
        return Span(SOURCE, 0, 4)

    def argument(self, name: str) -> Span:
        return Span(SOURCE, 5, 13)

    def operand(self, index: int) -> Label:
        return Label(Span(SOURCE, 5, 13), "an operand")


def fault_of(run: Callable[[], object]) -> Message:
    """The message of the fault that `run` raises."""
    with pytest.raises(Fault) as caught:
        run()
    return caught.value.make(Somewhere())
