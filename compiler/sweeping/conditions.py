"""Conditions on the values of a trial: `if act == "elu" { alpha in … }`, as plain data."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from compiler.records import dataclass
from compiler.sweeping.base import Value

RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, values: value in values,
}
"""What a condition may ask of a value."""


@dataclass(frozen=True)
class Test:
    """`act == "elu"`, `depth in [2, 3]`. It does not hold of a parameter that the trial lacks."""

    parameter: str
    relation: str
    bound: Value | tuple[Value, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether a trial with these values so far fulfils it."""
        if self.parameter not in values:
            return False
        return RELATIONS[self.relation](values[self.parameter], self.bound)


@dataclass(frozen=True)
class Every:
    """All of these."""

    parts: tuple[Condition, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether a trial with these values so far fulfils it."""
        return all(part.holds(values) for part in self.parts)


@dataclass(frozen=True)
class Some:
    """One of these at least."""

    parts: tuple[Condition, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether a trial with these values so far fulfils it."""
        return any(part.holds(values) for part in self.parts)


@dataclass(frozen=True)
class Unless:
    """Not this."""

    part: Condition

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether a trial with these values so far fulfils it."""
        return not self.part.holds(values)


Condition = Test | Every | Some | Unless
ALWAYS = Every(())
"""That of a parameter of every trial."""
