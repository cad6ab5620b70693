"""Classes of generated code: what all instances of a block share, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import NamedTuple, Protocol

from backends.pytorch.fold.items import Body, FromOwn, Item
from backends.pytorch.fold.turns import TurnFrame
from backends.pytorch.terms.setting import Instances, Setting
from backends.pytorch.terms.terms import Form, Many, Part, subtrees, variables
from compiler.ir.hint import Hint, HintSize
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.writing.names import safe_name

CHAIN = "*"
"""The slot of the only item of a class that is an `nn.Sequential` itself."""


Promise = Dim
"""A difference of sizes that is 0 in every run."""


class Diverge(Exception):
    """Instances that one class cannot serve."""


class Formal(NamedTuple):
    """A tensor argument of a class's `forward`."""

    place: int


class Made(NamedTuple):
    """An output of a merged item."""

    item: Merged
    output: int


@dataclass(eq=False)
class Choice:
    """`base`, or `other` in some instances."""

    base: MergedRef
    other: MergedRef
    instances: Instances  # those that take `other`
    condition: Condition | None = None


MergedRef = Formal | Made | FromOwn | Choice


@dataclass(frozen=True)
class Condition:
    """A test on the arguments of a class; `is_set` asks whether it is not None."""

    test: Hint
    is_set: bool = False


@dataclass(eq=False)
class Variant:
    """One way in which a module is made: by these instances, under this condition."""

    instances: Instances
    constructor: Part
    starts: tuple[Part, ...] = ()
    condition: Condition | None = None


@dataclass(eq=False)
class Merged:
    """An item of a class: one item of each instance that has it."""

    slot: str
    members: dict[int, Item]
    refs: list[MergedRef]
    instances: Instances
    variants: list[Variant] = field(default_factory=list)
    expression: Part | None = None
    declares: bool = True
    """Whether it makes its module: a shared one is made by the first of its calls."""

    @property
    def sample(self) -> Item:
        """The item of the first instance that has it."""
        return next(iter(self.members.values()))

    @property
    def outputs(self) -> int:
        """Number of values it makes."""
        return len(self.sample.outputs)

    def leaves(self) -> Iterator[Many]:
        """Every variable of its trees."""
        for variant in self.variants:
            yield from variables(variant.constructor)
            for start in variant.starts:
                yield from variables(start)
        yield from variables(self.expression)


@dataclass(frozen=True)
class Repeat:
    """What the turns of a loop of the spec have in common.

    `names` are bound by the loop, `counter` is the one that counts turns from 0; `arguments` come
    from around it and stay; `sizes` are those of formals, by (formal, axis), before the turn, and
    `updates` what they are after it, where they change. `carried` says which output a formal
    takes in the next turn; the others stay.
    """

    loop: Span
    names: tuple[str, ...]
    arguments: tuple[str, ...]
    sizes: dict[str, tuple[int, int]]
    carried: dict[int, int]
    counter: str
    updates: dict[str, Hint]

    @property
    def spelled(self) -> frozenset[str]:
        """The names of the loop as code says them."""
        return frozenset(map(safe_name, self.names))

    @property
    def numbered(self) -> str:
        """The last part of a path that the counter stands for: `{i}`."""
        return f"{{{safe_name(self.counter)}}}"


@dataclass(frozen=True)
class Local:
    """A size that the constructor keeps up to date: `before` is its name up to here, `after` what
    it is then, in a branch; after a loop, which says both itself, there is neither, and `closed`
    is the size in terms of what is around the loop, where that can be said."""

    source: Choice | Merged
    before: str
    after: Hint | None = None
    closed: Hint | None = None


class Kind(Enum):
    """How members of a module are read."""

    ATTRIBUTE = "attribute"  # self.block.conv
    LIST = "list"  # self.blocks[0]
    DICT = "dict"  # self.blocks["left"]


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
class Explained:
    """What is known about a class's names once it is solved."""

    settings: Names
    widths: SizeNames


@dataclass(eq=False)
class Class:
    """The class (or function, where nothing has state) of a block's calls."""

    block: str
    doc: str
    bodies: list[Body]
    items: list[Merged]
    choices: list[Choice]
    outputs: list[MergedRef]
    places: list[dict[int, int]]  # per formal: where it stands in each body
    is_function: bool = False
    modules_given: tuple[str, ...] = ()
    """Arguments of a function that are modules."""
    name: str = ""
    formals: list[str] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    fixed: set[str | tuple[int, int]] = field(default_factory=set)
    """Settings, sizes by (formal, axis), that something in the class does not follow: it is made
    for their values, or for what else it is given."""
    sizing: set[str] = field(default_factory=set)
    """Settings that sizes in the class may follow."""
    outer: set[str] = field(default_factory=set)
    """Names of the blocks around its calls that something in the class would have to follow."""
    outside: set[HintSize] = field(default_factory=set)
    """Sizes that numbers in the class follow of tensors that it is not given."""
    promised: dict[Promise, set[str | tuple[int, int]]] = field(default_factory=dict)
    """What each promise about sizes, that a run must keep, follows: settings, and sizes of what
    it is given by (formal, axis)."""
    widths: dict[tuple[int, int], Hint] = field(default_factory=dict)
    """(output, axis) -> its size, in terms of the settings."""
    growth: dict[tuple[int, int | None], tuple[Hint, ...]] = field(default_factory=dict)
    """Of a turn: the sizes of the items that it adds to a list, by (output, axis); without an
    axis, one for each item."""
    explained: Explained | None = None
    said: frozenset[Span] = frozenset()
    """Loops and conditions of the spec that it says as the spec says them."""
    locals: dict[str, Local] = field(default_factory=dict)
    repeat: Repeat | None = None
    """Set where the instances are turns of a loop: it prints inside the class around it."""
    kinds: dict[str, Kind] = field(default_factory=dict)
    """How members of the modules below it are read, as far as somebody has asked."""

    @property
    def everyone(self) -> Instances:
        """All instances."""
        return frozenset(range(len(self.bodies)))

    @cached_property
    def read(self) -> frozenset[Merged]:
        """The items that an output is made from: `forward` writes no others."""
        found: set[Merged] = set()
        waiting = [*self.outputs]
        while waiting:
            match waiting.pop():
                case Choice(base, other):
                    waiting += [base, other]
                case Made(item, _) if item not in found:
                    found.add(item)
                    waiting += item.refs
        return frozenset(found)

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Where the sizes of its formals stand that have names, by these names."""
        assert self.explained is not None
        found = self.explained.settings.found
        return {s.name: s.dim for s in found.values() if s.dim is not None and not s.runtime}

    @cached_property
    def modules(self) -> dict[str, Part]:
        """The constructor of each module, by slot."""
        return {
            item.slot: item.variants[0].constructor
            for item in self.items
            if item.slot and item.variants and item.sample.op != "declare"
        }

    def spell(self, name: str) -> str:
        """The name of an argument in Python."""
        assert self.explained is not None
        return self.explained.settings.found[name].label

    @cached_property
    def functions(self) -> frozenset[str]:
        """Names of the generated functions and the modules that it calls: no variable may have
        them."""
        trees = (t for item in self.items for t in subtrees(item.expression))
        targets = (t.target for t in trees if t.form is Form.BUILD)
        called = {t.name for t in targets if isinstance(t, Class)}
        return self.bodies[0].index.taken.union(called)

    @cached_property
    def declared(self) -> dict[str, Part]:
        """The declaration of each parameter, by slot."""
        return {
            item.slot: item.variants[0].constructor
            for item in self.items
            if item.sample.op == "declare"
        }

    @property
    def is_chain(self) -> bool:
        """Whether it is an `nn.Sequential` of numbered stages, without a `forward` of its own."""
        return len(self.items) == 1 and self.items[0].slot == CHAIN

    @property
    def is_turn(self) -> bool:
        """Whether its instances are turns of a loop."""
        return isinstance(self.bodies[0].frame, TurnFrame)

    @property
    def is_root(self) -> bool:
        """Whether it is the class of whole graphs only."""
        return all(body.is_root for body in self.bodies)

    def formal_value(self, place: int, instance: int) -> str:
        """The name of the value that is given for a formal."""
        return self.bodies[instance].formals[self.places[place][instance]]

    def value(self, ref: MergedRef, instance: int) -> str:
        """The name of the value that a reference stands for in an instance."""
        match ref:
            case Choice(base, other, instances):
                return self.value(other if instance in instances else base, instance)
            case Formal(place):
                return self.formal_value(place, instance)
            case Made(item, output):
                member = item.members.get(instance)
                if member is None:  # an optional module that is absent here
                    return self.value(item.refs[0], instance)
                return member.outputs[output]
            case FromOwn(path):
                frame = self.bodies[instance].frame
                return f"{frame.path}.{path}" if frame.path else path

    def type_of(self, ref: MergedRef, instance: int) -> TensorType:
        """The type of a reference in an instance."""
        return self.bodies[instance].type_of(self.value(ref, instance))

    def axis(self, ref: MergedRef, axis: int, instance: int) -> object:
        """A size of a reference: an int where it is known, a `Dim` where not, None without
        such an axis; of a list of tensors, the sizes of its items."""
        value, body = self.value(ref, instance), self.bodies[instance]
        items = body.index.lists.get(value)
        if items is None:
            return _find_size(body.type_of(value), axis)
        sizes = tuple(_find_size(body.type_of(item), axis) for item in items)
        return sizes if all(isinstance(size, int) for size in sizes) else None

    def is_list(self, ref: MergedRef) -> bool:
        """Whether a reference is a list of tensors."""
        instance = min(ref.item.instances) if isinstance(ref, Made) else 0
        return self.value(ref, instance) in self.bodies[instance].index.lists

    def list_key(self, ref: MergedRef) -> Span | None:
        """Where a list of tensors begins in the spec."""
        instance = min(ref.item.instances) if isinstance(ref, Made) else 0
        return self.bodies[instance].index.list_keys.get(self.value(ref, instance))


def _find_size(type: TensorType, axis: int) -> object:
    if not -type.rank <= axis < type.rank:
        return None
    known = type.shape[axis].known
    return type.shape[axis] if known is None else known


def share_branches(target: Class) -> dict[Choice, list[Merged]]:
    """The items that each result of a branch is made from; what two need, the first has."""
    taken: set[Merged] = set()
    found: dict[Choice, list[Merged]] = {}
    for choice in target.choices:
        inside: set[Merged] = set()
        waiting = [choice.other]
        while waiting:
            ref = waiting.pop()
            if not isinstance(ref, Made) or ref.item in inside | taken:
                continue
            if ref.item.instances == choice.instances:
                inside.add(ref.item)
                waiting += ref.item.refs
        taken |= inside
        found[choice] = [item for item in target.items if item in inside]
    return found
