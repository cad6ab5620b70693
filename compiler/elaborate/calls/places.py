"""The place of a call as ops see it: where its arguments stand and its operands were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import ArgumentValue, Tensor
from compiler.records import dataclass
from compiler.report.diagnostics import Label
from compiler.report.source import Span


@dataclass(frozen=True)
class CallPlace:
    """Implements `Where` for one application: the arguments given, and the operands in order
    (None where an optional one is left out)."""

    call: Span
    given: Mapping[str, ArgumentValue] = field(default_factory=dict)
    operands: Sequence[ArgumentValue | None] = ()

    def argument(self, name: str) -> Span:
        """The argument given for a parameter; the callee's name where the default stands."""
        given = self.given.get(name)
        return given.span if given is not None else self.call

    def operand(self, index: int) -> Label:
        """Where a tensor operand was made, with its type as text."""
        given = self.operands[index] if index < len(self.operands) else None
        if given is None:
            return Label(self.call, "left out here")
        if isinstance(given.value, Tensor):
            made, written = given.value.made, given.span.text
            column = written.isidentifier() and made.text.isidentifier() and made != given.span
            subject = f"`{written}`" if column and written != made.text else "this"
            return Label(made, f"{subject} is {given.value.type}")
        return Label(given.span, f"this is {describe(given.value)}")
