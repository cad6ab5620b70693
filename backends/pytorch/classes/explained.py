"""Explained classes of generated code: why each number in them has its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

from backends.pytorch.classes.merged import Choice, Merged, MergedClass, MergedRef, Variant
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import Form, Part, Tree, subtrees
from compiler.ir.hint import Hint, HintSize
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.writing.names import safe_name

Promise = Dim
"""A difference of sizes that is 0 in every run."""


@dataclass(frozen=True)
class Condition:
    """A test on the arguments of a class; `is_set` asks whether it is not None."""

    test: Hint
    is_set: bool = False


Conditions = Mapping[Choice | Variant, Condition]
"""When branches are taken, and modules are made in one way of two."""


@dataclass(frozen=True)
class Local:
    """A size that the constructor keeps up to date: `before` is its name up to here, `after` what
    it is then, in a branch; after a loop, which says both itself, there is neither, and `closed`
    is the size in terms of what is around the loop, where that can be said."""

    source: Choice | Merged
    before: str
    after: Hint | None = None
    closed: Hint | None = None


class Width(NamedTuple):
    """What a size is called; None: a literal where it is made, so a literal here too."""

    hint: Hint | None


class Origin(NamedTuple):
    """The tensor and axis that a size comes from, and what it is called there."""

    ref: MergedRef
    axis: int
    width: Width | None


class Names(Protocol):
    """The names that a class knows, as `Settings` finds them."""

    @property
    def found(self) -> Mapping[str, Setting]:
        """What each name stands for."""

    @property
    def envs(self) -> Sequence[Mapping[str, object]]:
        """The values of names, in each instance."""

    def find_size(self, place: int, axis: int) -> Setting | None:
        """The setting that stands for a size of a formal."""

    def decides(self, hint: Hint, wanted: Mapping[int, bool]) -> Hint | None:
        """The hint, if it is true exactly where wanted."""


class SizeNames(Protocol):
    """What sizes are called, as `Widths` finds it."""

    @property
    def locals(self) -> Mapping[str, Local]:
        """Sizes that the constructor keeps in variables while it makes what follows them."""

    def of(self, ref: MergedRef, axis: int, depth: int = 0) -> Width | None:
        """What one size of a tensor is called; None where nobody says."""

    def trace(self, ref: MergedRef, axis: int, depth: int = 0) -> Origin:
        """Where a size comes from, as far as it is passed on, and what it is called there."""

    def may_change(self, ref: MergedRef, axis: int) -> bool:
        """Whether a size may change with an argument of the class or a size of what it is given."""

    def follows(self, ref: MergedRef, axis: int) -> frozenset[str]:
        """What a size may change with: names of arguments, and of sizes of what is given."""


@dataclass(frozen=True)
class Limits:
    """What a class does not follow, and what sizes in it may follow."""

    fixed: frozenset[str | tuple[int, int]] = frozenset()
    """Settings, sizes by (formal, axis), that something in the class does not follow: it is made
    for their values, or for what else it is given."""
    sizing: frozenset[str] = frozenset()
    """Settings that sizes in the class may follow."""
    outer: frozenset[str] = frozenset()
    """Names of the blocks around its calls that something in the class would have to follow."""
    outside: frozenset[HintSize] = frozenset()
    """Sizes that numbers in the class follow of tensors that it is not given."""
    promised: Mapping[Promise, set[str | tuple[int, int]]] = field(default_factory=dict)
    """What each promise about sizes, that a run must keep, follows: settings, and sizes of what
    it is given by (formal, axis)."""
    joined: Mapping[Promise, set[str | tuple[int, int]]] = field(default_factory=dict)
    """The same of promises of operations that join tensors, which PyTorch holds them to itself."""


@dataclass(frozen=True, eq=False)
class ExplainedClass(MergedClass):
    """A merged class whose numbers are expressions in arguments that it has."""

    formals: list[str]
    settings: list[Setting]
    names: Names
    tensors: SizeNames
    conditions: Conditions
    locals: dict[str, Local]
    widths: dict[tuple[int, int], Hint]
    """(output, axis) -> its size, in terms of the settings."""
    growth: dict[tuple[int, int | None], tuple[Hint, ...]]
    """Of a turn: the sizes of the items that it adds to a list, by (output, axis); without an
    axis, one for each item."""
    said: frozenset[Span]
    """Loops and conditions of the spec that it says as the spec says them."""
    limits: Limits

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Where the sizes of its formals stand that have names, by these names."""
        found = self.names.found.values()
        return {s.name: s.dim for s in found if s.dim is not None and not s.runtime}

    def spell(self, name: str) -> str:
        """The name of an argument in Python."""
        return self.names.found[name].label


@dataclass(frozen=True, eq=False)
class Class(ExplainedClass):
    """A class, or function, that is printed."""

    name: str
    modules_given: tuple[str, ...] = ()
    """Arguments of a function that are modules."""


@dataclass(frozen=True)
class Repeat:
    """What the turns of a loop of the spec have in common.

    `names` are bound by the loop, `counter` is the one that counts turns, from `first` on;
    `arguments` come from around it and stay; `sizes` are those of formals, by (formal, axis),
    before the turn, and `updates` what they are after it, where they change. `carried` says which
    output a formal takes in the next turn; the others stay. `whole` is what the loop of the spec
    goes through, where its first turn stands before this one.
    """

    loop: Span
    names: tuple[str, ...]
    arguments: tuple[str, ...]
    sizes: dict[str, tuple[int, int]]
    carried: dict[int, int]
    counter: str
    updates: dict[str, Hint]
    first: int = 0
    whole: Hint | None = None

    @property
    def spelled(self) -> frozenset[str]:
        """The names of the loop as code says them."""
        return frozenset(map(safe_name, self.names))

    @property
    def numbered(self) -> str:
        """The last part of a path that the counter stands for: `{i}`."""
        return f"{{{safe_name(self.counter)}}}"


@dataclass(frozen=True, eq=False)
class TurnClass(ExplainedClass):
    """The class of the turns of a loop: it is printed inside the class around it."""

    repeat: Repeat


def find_loop(item: Merged) -> TurnClass | None:
    """The class of the turns, where an item is a loop of the spec."""
    match item.variants:
        case [first, *_]:
            match first.constructor:
                case Tree(Form.FOR, target=TurnClass() as target):
                    return target
    return None


def is_loop(item: Merged) -> bool:
    """Whether an item makes the modules of a loop of the spec."""
    return find_loop(item) is not None


def find_called(part: Part | None) -> Iterator[tuple[Tree, Class | TurnClass]]:
    """The classes, and the turns of loops, that a part makes."""
    for tree in subtrees(part):
        match tree:
            case Tree(Form.BUILD | Form.FOR, target=Class() | TurnClass() as target):
                yield tree, target
