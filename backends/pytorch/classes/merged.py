"""Merged bodies of a block: what all instances share, and where they differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

from backends.pytorch.fold.items import Body, FromOwn, Item
from backends.pytorch.fold.turns import TurnFrame
from backends.pytorch.terms.setting import Callee, Instances
from backends.pytorch.terms.terms import Form, Many, Part, rebuild, subtrees, variables
from compiler.report.source import Span
from compiler.types.tensor import TensorType

CHAIN = "*"
"""The slot of the only item of a class that is an `nn.Sequential` itself."""


class Diverge(Exception):
    """Instances that one class cannot serve."""


class Formal(NamedTuple):
    """A tensor argument of a class's `forward`."""

    place: int


class OutputRef(NamedTuple):
    """An output of a merged item."""

    item: Merged
    output: int


@dataclass(eq=False)
class Choice:
    """`base`, or `other` in some instances."""

    base: MergedRef
    other: MergedRef
    instances: Instances  # those that take `other`


MergedRef = Formal | OutputRef | FromOwn | Choice


@dataclass(eq=False)
class Variant:
    """One way in which a module is made, by these instances."""

    instances: Instances
    constructor: Part
    starts: tuple[Part, ...] = ()


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


def find_makers(refs: Iterable[MergedRef]) -> set[Merged]:
    """The items that some references are made from."""
    found: set[Merged] = set()
    waiting = [*refs]
    while waiting:
        match waiting.pop():
            case Choice(base, other):
                waiting += [base, other]
            case OutputRef(item, _) if item not in found:
                found.add(item)
                waiting += item.refs
    return found


@dataclass(frozen=True, eq=False)
class MergedClass:
    """The class (or function, where nothing has state) of a block's calls, before anybody has
    said why its numbers have their values."""

    block: str
    doc: str
    bodies: list[Body]
    items: list[Merged]
    choices: list[Choice]
    outputs: list[MergedRef]
    places: list[dict[int, int]]  # per formal: where it stands in each body

    @property
    def everyone(self) -> Instances:
        """All instances."""
        return frozenset(range(len(self.bodies)))

    @cached_property
    def read(self) -> frozenset[Merged]:
        """The items that an output is made from: `forward` writes no others."""
        return frozenset(find_makers(self.outputs))

    def find_branch(self, choice: Choice, taken: Collection[Merged]) -> list[Merged]:
        """The items that a result of a branch is made from, but for those that are taken: what
        two results need, the first one has."""
        inside: set[Merged] = set()
        waiting = [choice.other]
        while waiting:
            match waiting.pop():
                case OutputRef(item, _) if item not in inside and item not in taken:
                    if item.instances == choice.instances:
                        inside.add(item)
                        waiting += item.refs
        return [item for item in self.items if item in inside]

    @cached_property
    def modules(self) -> dict[str, Part]:
        """The constructor of each module, by slot."""
        return {
            item.slot: item.variants[0].constructor
            for item in self.items
            if item.slot and item.variants and item.sample.op != "declare"
        }

    @cached_property
    def functions(self) -> frozenset[str]:
        """Names of the generated functions and the modules that it calls: no variable may have
        them."""
        trees = (t for item in self.items for t in subtrees(item.expression))
        targets = (t.target for t in trees if t.form is Form.BUILD)
        called = {t.name for t in targets if isinstance(t, Callee)}
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
    def is_function(self) -> bool:
        """Whether it prints as a function: nothing in it has state."""
        body = self.bodies[0]
        return not self.is_turn and body.frame in body.index.stateless

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
            case OutputRef(item, output):
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
        instance = min(ref.item.instances) if isinstance(ref, OutputRef) else 0
        return self.value(ref, instance) in self.bodies[instance].index.lists

    def list_key(self, ref: MergedRef) -> Span | None:
        """Where a list of tensors begins in the spec."""
        instance = min(ref.item.instances) if isinstance(ref, OutputRef) else 0
        return self.bodies[instance].index.list_keys.get(self.value(ref, instance))


def spread(target: MergedClass) -> dict[str, Any]:
    """The fields of a class by name, for what it becomes in the next stage."""
    return {one.name: getattr(target, one.name) for one in fields(target)}


def copy_class(merged: MergedClass) -> MergedClass:
    """The same class with variables of its own, for what solves them."""
    variants: dict[Variant, Variant] = {}
    items: dict[Merged, Merged] = {}
    choices: dict[Choice, Choice] = {}
    for item in merged.items:
        for variant in item.variants:  # a shared module has the same ones in each of its calls
            if variant not in variants:
                starts = tuple(map(_copy_tree, variant.starts))
                constructor = _copy_tree(variant.constructor)
                variants[variant] = Variant(variant.instances, constructor, starts)
        expression = None if item.expression is None else _copy_tree(item.expression)
        made = [variants[variant] for variant in item.variants]
        items[item] = replace(item, variants=made, expression=expression)

    def move(ref: MergedRef) -> MergedRef:
        match ref:
            case OutputRef(item, output):
                return OutputRef(items[item], output)
            case Choice():
                return move_choice(ref)
        return ref

    def move_choice(choice: Choice) -> Choice:
        if choice not in choices:
            moved = Choice(move(choice.base), move(choice.other), choice.instances)
            choices[choice] = moved
        return choices[choice]

    for item in items.values():
        item.refs = [move(ref) for ref in item.refs]
    return replace(
        merged,
        items=[*items.values()],
        choices=[move_choice(choice) for choice in merged.choices],
        outputs=[move(ref) for ref in merged.outputs],
    )


def _copy_tree(tree: Part) -> Part:
    return rebuild(tree, lambda part: replace(part) if isinstance(part, Many) else part)


def _find_size(type: TensorType, axis: int) -> object:
    if not -type.rank <= axis < type.rank:
        return None
    known = type.shape[axis].known
    return type.shape[axis] if known is None else known
