"""Sizes that a model asks of its inputs when it runs, where arguments of its class move them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args, get_type_hints

from backends.pytorch.classes.explained import ExplainedClass, is_loop
from backends.pytorch.classes.merged import Choice, Merged, MergedRef, OutputRef
from backends.pytorch.classes.options import reduce_promise, renew, vary
from backends.pytorch.terms.terms import Many, Tree
from compiler.ir.graph import Condition, Node, Value
from compiler.ir.hint import Hint, hint_names
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType


@dataclass(frozen=True)
class Bound:
    """A condition on sizes; symbols of it that stand for numbers which follow arguments, and how
    these are written."""

    condition: Condition
    names: Mapping[str, Hint] = field(default_factory=dict)


def find_checked(target: ExplainedClass) -> set[str]:
    """Symbols that the run-time checks of a class read."""
    if not target.is_root:
        return set()
    bounds = find_bounds(target)
    found = {s for b in bounds for s in b.condition.left.symbols | b.condition.right.symbols}
    return found - {name for b in bounds for name in b.names}


def find_bounds(target: ExplainedClass) -> list[Bound]:
    """What the run-time checks of a model hold sizes to. One that follows arguments in a way that
    nobody can write is left to the operation that asks for it."""
    conditions = target.bodies[0].index.graph.conditions
    looped = _list_looped(target)
    bounds = (_find_bound(target, condition, looped) for condition in conditions)
    return [bound for bound in bounds if bound is not None]


def _list_looped(target: ExplainedClass) -> set[Merged]:
    """The loops of a class, and what reads what they make: how small a size may be there depends
    on how often they go round."""
    found: set[Merged] = set()
    for item in target.items:
        if is_loop(item) or any(source in found for ref in item.refs for source in _makers(ref)):
            found.add(item)
    return found


def _makers(ref: MergedRef) -> Iterator[Merged]:
    """The items that a value is made by, on both sides of a choice."""
    match ref:
        case OutputRef(item):
            yield item
        case Choice(base, other):
            yield from _makers(base)
            yield from _makers(other)


def _find_bound(
    target: ExplainedClass, condition: Condition, looped: Collection[Merged]
) -> Bound | None:
    if condition.relation != "<=":
        return None if _is_left_to_joins(target, condition) else Bound(condition)
    for item in target.items:
        for node in item.sample.nodes if item.sample.op != "call" else ():
            asked = node.origin.span == condition.origin and (condition.left, condition.right)
            if asked and asked in _list_asked(node):
                return None if item in looped else _Asking(target, item, node, condition).follow()
    if looped:
        return None  # it is asked for in a loop, or behind one
    known = condition.left.symbols | condition.right.symbols <= target.names.found.keys()
    return Bound(condition) if known else None  # else another function of the train asks for it


def _is_left_to_joins(target: ExplainedClass, condition: Condition) -> bool:
    """Whether it is another with other arguments, and only operations ask for it to which tensors
    of other sizes cannot be given: the levels of a U-Net, whose number is an argument."""
    difference, limits = condition.left - condition.right, target.limits
    offered = {s.name for s in target.settings if not s.runtime and s.dim is None}
    for promise in (reduce_promise(difference), reduce_promise(-difference)):
        if promise in limits.joined:
            return promise not in limits.promised and not offered.isdisjoint(limits.joined[promise])
    return False


def _list_asked(node: Node) -> list[tuple[Dim, Dim]]:
    """The bounds that an operation asks of sizes."""
    found: list[tuple[Dim, Dim]] = []

    def note(left: Dim, relation: str, right: Dim) -> None:
        if relation == "<=":
            found.append((left, right))

    renew(node, node.op, note)
    return found


class _Asking:
    """One condition, and the operation that asks for it."""

    def __init__(
        self, target: ExplainedClass, item: Merged, node: Node, condition: Condition
    ) -> None:
        self.target = target
        self.item = item
        self.node = node
        self.condition = condition
        self.offered = {s.name for s in target.settings if not s.runtime and s.dim is None}
        self.names: dict[str, Hint] = {}
        self.numbers: dict[str, int | Dim] = {}

    def follow(self) -> Bound | None:
        """The condition with arguments in it; None where it follows them otherwise."""
        types = self._name_sizes()
        if types is None:
            return None
        op = self.node.op
        for leaf in self._list_moving():
            symbol = self._name_option(leaf)
            if symbol is None:
                return None
            op = _put(op, leaf.field.split("."), symbol)
        if not self.names:
            return Bound(self.condition)
        inputs = tuple(
            None if v is None else Value(v.name, types.get(v.name, v.type))
            for v in self.node.inputs
        )
        for left, right in _list_asked(replace(self.node, op=op, inputs=inputs)):
            numbers = (left.substitute(self.numbers), right.substitute(self.numbers))
            if numbers == (self.condition.left, self.condition.right):
                read = left.symbols | right.symbols
                names = {symbol: hint for symbol, hint in self.names.items() if symbol in read}
                return Bound(replace(self.condition, left=left, right=right), names)
        return None

    def _name_sizes(self) -> dict[str, TensorType] | None:
        """The types of operands with symbols for numbers that are arguments; None where what the
        condition reads follows arguments in another way."""
        widths = self.target.tensors
        read = self.condition.left.symbols | self.condition.right.symbols
        types: dict[str, TensorType] = {}
        for place, ref in enumerate(self.item.refs):
            known = self.target.type_of(ref, 0)
            shape = list(known.shape)
            for axis, size in enumerate(shape):
                if self.offered.isdisjoint(widths.follows(ref, axis)):
                    continue
                width = widths.of(ref, axis)
                if size.known is not None and width is not None and self._knows(width.hint):
                    shape[axis] = self._add(width.hint, size.known)
                elif read & size.symbols:
                    return None
            types[self.item.sample.reads[place]] = TensorType(known.dtype, tuple(shape))
        return types

    def _list_moving(self) -> Iterator[Many]:
        """The options that are arguments, with which the condition is another."""
        asked = (self.condition.left, self.condition.right)
        for leaf in self.item.leaves():
            solution = leaf.solution
            if not leaf.field or solution is None or isinstance(solution, Tree):
                continue
            if self.offered.isdisjoint(hint_names(solution)):
                continue
            if any(asked not in _list_asked(other) for other in self._vary(leaf)):
                yield leaf

    def _vary(self, leaf: Many) -> Iterator[Node]:
        """The operation with other values of an option, which may stand deep inside of it."""
        option, *inner = leaf.field.split(".")
        if inner and not inner[-1].isdecimal() and isinstance(leaf.literal, int):
            for value in (leaf.literal + 1, 2 * leaf.literal, 1):
                yield replace(self.node, op=_put(self.node.op, [option, *inner], value))
        else:
            yield from vary(self.node, leaf.field)

    def _name_option(self, leaf: Many) -> Dim | None:
        """A symbol for an option that may be a size."""
        *outer, label = leaf.field.split(".")
        if label.isdecimal():
            label = outer.pop()
        kind = get_type_hints(type(_get(self.node.op, outer))).get(label)
        value, solution = leaf.literal, leaf.solution
        if Dim not in _list_kinds(kind) or not isinstance(value, int):
            return None
        if isinstance(solution, Tree) or not self._knows(solution):
            return None
        return self._add(solution, value)

    def _knows(self, hint: Hint | None) -> bool:
        return hint is not None and self.offered.issuperset(hint_names(hint))

    def _add(self, hint: Hint | None, number: int) -> Dim:
        assert hint is not None
        symbol = next((s for s, known in self.names.items() if known == hint), None)
        symbol = symbol or f"argument {len(self.names)}"
        self.names[symbol] = hint
        self.numbers[symbol] = number
        return Dim.of(symbol)


def _list_kinds(kind: object) -> Iterator[object]:
    """The types in a type: of `tuple[int | Dim, ...]` those of its items too."""
    yield kind
    for part in get_args(kind):
        yield from _list_kinds(part)


def _get(holder: Any, path: Sequence[str]) -> Any:
    """A part of an operation: `items.1.start`."""
    for step in path:
        is_list = isinstance(holder, tuple)
        holder = holder[int(step)] if is_list else getattr(holder, step)
    return holder


def _put(holder: Any, path: Sequence[str], value: object) -> Any:
    """An operation with another part."""
    step, *inner = path
    made = _put(_get(holder, [step]), inner, value) if inner else value
    if isinstance(holder, tuple):
        place = int(step)
        return (*holder[:place], made, *holder[place + 1 :])
    return replace(holder, **{step: made})
