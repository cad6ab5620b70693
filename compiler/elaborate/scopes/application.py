"""What the place of an expression wishes of its value, and what an application is told."""

from __future__ import annotations

from compiler.ir.hint import Hint
from compiler.records import dataclass
from compiler.report.source import Span


@dataclass(frozen=True)
class Label:
    """`as label`: the name of a stage and its parameters; `hint` is how it was written, where
    it has names in it."""

    text: str
    span: Span
    hint: Hint | None = None


@dataclass(frozen=True)
class ExpectedUse:
    """What the place of an expression wishes of its value: names of the tensors it makes, a
    label for the layer that makes them, and how many tensors `->` brings to it."""

    names: tuple[str, ...] = ()
    label: Label | None = None
    supplied: int = 0


NOTHING = ExpectedUse()


@dataclass(frozen=True)
class Application:
    """One use of a layer: where it stands, and what its place wishes.

    `hint` is the parameter of the enclosing block that the layer came from (`act`); `inputs`
    are the places of the tensors supplied.
    """

    span: Span
    label: Label | None = None
    names: tuple[str, ...] = ()
    hint: Hint | None = None
