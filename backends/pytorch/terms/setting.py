"""Compile-time arguments of generated classes, as their calls are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from backends.pytorch.terms.terms import same_value
from compiler.ir.hint import Hint
from compiler.vocabulary.no_default import NO_DEFAULT

Instances = frozenset[int]


@dataclass(eq=False)
class Setting:
    """A compile-time argument of a class, with its value in each instance.

    `dim` is (formal, axis) for a size of a tensor; `fallback` is the expression used where the
    argument is None, as in the instances of `followers`; `fresh` says that the spec has no such
    argument, so it is passed by name. `runtime` sizes are read off the tensor, because some
    instance does not know them.
    """

    name: str
    values: list[object]
    default: object = NO_DEFAULT
    annotation: str = "int"
    dim: tuple[int, int] | None = None
    fallback: Hint | None = None
    followers: Instances = frozenset()
    fresh: bool = False
    runtime: bool = False
    written: bool = False
    """An argument of the author's, which all instances give."""
    hidden: bool = False
    """Constant, and used by the spec where no hint follows: never printed."""
    label: str = ""
    """Its name in Python."""
    local: bool = False
    """No argument, but a size that the constructor keeps up to date in loops and branches."""

    def argument(self, instance: int) -> object:
        """What a call passes."""
        return None if instance in self.followers else self.values[instance]

    @property
    def constant(self) -> bool:
        """Whether it is the same in all instances."""
        return all(same_value(v, self.values[0]) for v in self.values)


@runtime_checkable
class Callee(Protocol):
    """A generated class or function, as far as a call of it is written."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def settings(self) -> list[Setting]:
        """Its arguments."""
