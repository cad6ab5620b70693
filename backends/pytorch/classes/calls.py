"""Calls of blocks and nets, where the code of a frame is."""

from __future__ import annotations

from dataclasses import dataclass

from backends.pytorch.classes.explained import Class, TurnClass


@dataclass(frozen=True)
class Call:
    """Where a frame's code is: its class, and which instance of it."""

    target: Class
    instance: int


@dataclass(frozen=True)
class TurnCall:
    """The same of one turn of a loop."""

    target: TurnClass
    instance: int


@dataclass(frozen=True)
class NetCall:
    """A call of a module that is made elsewhere: the variable that holds it, and the names of
    the values it returns (None for one that nothing reads)."""

    variable: str
    formals: tuple[str, ...]
    results: tuple[str | None, ...]
