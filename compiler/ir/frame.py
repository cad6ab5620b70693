"""Where nodes come from: calls of blocks, turns of loops, places in the spec, lists of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cached_property

from compiler.ir.hint import Hint
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.vocabulary.no_default import NO_DEFAULT


@dataclass(frozen=True)
class Argument:
    """One compile-time argument of the call of a block: what it was, and how it was written.

    `hint` is in the caller's names; of a whole model, which nobody calls, it is the default that
    took effect, in the model's own. `dims` are the places, (formal, axis), of a name that the
    signature binds to a dimension: it is no constructor argument by itself. `untraced` are the
    places where the body uses it and no hint follows (loops, conditions, functions of numbers):
    generated code that took it as an argument and did not say there what the spec says would
    honour only part of it, so where it is constant it is then printed as literals.
    """

    name: str
    value: object
    hint: Hint | None = None
    default: object = NO_DEFAULT
    dims: tuple[tuple[str, int], ...] = ()
    untraced: tuple[Span, ...] = ()


@dataclass(frozen=True)
class TurnName:
    """A name that a loop binds: its value in one turn, and how the item of the list was
    written."""

    name: str
    value: object
    hint: Hint | None = None


@dataclass(frozen=True)
class Turn:
    """One turn of a compile-time loop: which loop, which turn, what its names are there, and
    what it goes through, in the names around it."""

    loop: Span | None
    number: int
    names: tuple[TurnName, ...] = ()
    over: Hint | None = None


@dataclass(frozen=True)
class ForLoop:
    """A compile-time loop in all its turns: the names that it binds, and what it goes through;
    None where nobody can read that."""

    names: tuple[str, ...]
    over: Hint | None


@dataclass(frozen=True, eq=False)
class Frame:
    """One call of a block, model or net. Nodes point at it; nothing else holds it.

    Two calls of one net share `path` and differ in `call`. `tensors` maps the block's tensor
    parameters to value names at the call; `guard` is the compile-time `if` around the call, in
    the caller's names; `label` is how its path below the caller's was written, where that has
    names in it; `turns` are those of the caller's loops. Frames are compared by identity.
    """

    block: str
    path: str
    call: int
    parent: Frame | None = None
    arguments: tuple[Argument, ...] = ()
    tensors: tuple[tuple[str, str], ...] = ()
    guard: Hint | None = None
    doc: str = ""
    origin: Span | None = None
    label: Hint | None = None
    turns: tuple[Turn, ...] = ()

    @cached_property
    def chain(self) -> tuple[Frame, ...]:
        """This frame and all around it, outermost first."""
        frames = [self]
        while frames[-1].parent is not None:
            frames.append(frames[-1].parent)
        return tuple(reversed(frames))


@dataclass(frozen=True)
class Site:
    """Where a node comes from; a pass copies it whole from the node it replaces.

    `name` is the path of its parameters inside the frame (`downsample.0`), empty where it has
    none. `hints` maps a field of the op to the expression it came from, in the frame's names
    (`out` -> `2 * width`; an element of a tuple field is `kernel.0`). `guard` is the
    compile-time `if` around the node; `label` is how its name was written, where that has names
    in it; `turns` are those of the loops around it, outermost first.
    """

    span: Span | None = None
    name: str = ""
    hints: tuple[tuple[str, Hint], ...] = ()
    guard: Hint | None = None
    label: Hint | None = None
    turns: tuple[Turn, ...] = ()
    picks: tuple[tuple[str, Pick | None], ...] = ()
    listed: Listing | None = None

    @cached_property
    def hint(self) -> Mapping[str, Hint]:
        """The hints by field."""
        return dict(self.hints)


class Reading(Enum):
    """How a tensor is read off a list."""

    ITEM = "item"  # one of them: `index` of its site is how its place was written
    SUM = "sum"  # all of them added up
    LOST = "some"  # in a way that nobody wrote down


@dataclass(frozen=True, eq=False)
class Listed:
    """An item of a list of tensors: its value, and how it was read off another list."""

    value: str
    pick: Pick | None = None


@dataclass(frozen=True, eq=False)
class Listing:
    """A list of tensors as a body makes it: its items, and lists that it goes on from.

    `scope` and `origin` are the call and the turns of its loops that make it; the name of the
    origin is what the author calls it. No node reads a list: what is read off it is a `Pick`.
    """

    parts: tuple[Listed | Listing, ...]
    scope: Frame
    origin: Site

    @property
    def grows(self) -> bool:
        """Whether it goes on from a list that another turn, or another call, has made."""
        return any(isinstance(part, Listing) for part in self.parts)

    def is_here(self, scope: Frame | None, turns: tuple[Turn, ...]) -> bool:
        """Whether it was written out in the same turns of a call."""
        return not self.grows and self.scope is scope and self.origin.turns == turns


@dataclass(frozen=True, eq=False)
class Pick:
    """What a body reads off a list of tensors, and the value that this is; the name of the origin
    is what the author calls it."""

    reading: Reading
    source: Listing
    value: str
    scope: Frame
    origin: Site
    place: int = 0

    @property
    def index(self) -> Hint | None:
        """How the place of the item was written."""
        return self.origin.hint.get("index")
