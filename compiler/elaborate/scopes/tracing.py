"""Which parameters of a block act where no hint follows: in loops, numbers of copies, paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from compiler.elaborate.values.functions import FUNCTIONS
from compiler.ir.hint import HINT_FUNCTIONS
from compiler.ir.operands import names_start
from compiler.ops.registry import OPS
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Argument,
    Attribute,
    Binary,
    Binding,
    Call,
    Clause,
    Comprehension,
    Declare,
    Expr,
    For,
    Group,
    If,
    Item,
    Name,
    Named,
    Node,
    StageLabel,
    String,
    Then,
)
from compiler.vocabulary.initializers import INITIALIZERS


def find_untraced(item: Item, is_own: Callable[[str], bool]) -> dict[str, tuple[Span, ...]]:
    """Parameters, and sizes that the signature names, that reach places where no hint follows,
    directly or through bindings of the body, with these places: loops, numbers of copies,
    conditions that change from turn to turn, paths, initial values that no initializer draws, and
    functions that Python does not have. `is_own` says of a name whether the file means something
    else by it than the function."""
    nodes = list(walk(item.body))
    sources: dict[str, set[str]] = {}
    turning: dict[str, set[str]] = {}
    for one in item.parameters:  # a default that uses others hands on what they are
        sources.setdefault(one.name.text, set()).update(_names(one.default))
    for node in nodes:
        match node:
            case Binding(name=name, value=value):
                sources.setdefault(name.text, set()).update(_names(value))
            case For(names=several, iterable=iterable):
                for bound in several:
                    turning.setdefault(bound.text, set()).update(_names(iterable))
    parameters = {n for p in item.parameters for n in (p.name.text, *_names(p.type))}
    found: dict[str, dict[Span, None]] = {}
    for node in nodes:
        for place, tree in _untraced_places(node, is_own):
            # a path is written anew in each turn: it may say the names of its loop
            steps = (sources,) if isinstance(node, StageLabel) else (sources, turning)
            reached = _close(_names(tree), steps)
            for parameter in reached & parameters:
                found.setdefault(parameter, {})[place] = None
    return {name: tuple(places) for name, places in found.items()}


def _close(names: Iterator[str], steps: Sequence[Mapping[str, set[str]]]) -> set[str]:
    """Names, and all that they are made from."""
    reached = set(names)
    waiting = list(reached)
    while waiting:
        name = waiting.pop()
        new = {source for step in steps for source in step.get(name, ())} - reached
        reached |= new
        waiting += new
    return reached


def _untraced_places(node: Node, is_own: Callable[[str], bool]) -> Iterator[tuple[Span, object]]:
    match node:
        case For(iterable=iterable):
            yield node.span, iterable
        case If(condition=condition):
            yield node.span, condition
        case Then(right=Binary(operator="*", left=count) as copies):
            yield copies.span, count
        case Then(right=Named(expression=Binary(operator="*", left=count) as copies)):
            yield copies.span, count
        case StageLabel(base=base, indices=indices):
            yield node.span, (base, indices) if isinstance(base, String) else indices
        case Call(function=Name(text=text), arguments=arguments):
            if text in FUNCTIONS and text not in HINT_FUNCTIONS and not is_own(text):
                yield node.span, arguments
            yield node.span, tuple(_find_starts(text, arguments, is_own))
        case Comprehension(generators=generators):
            yield node.span, generators
        case Clause(word=word, operands=operands) if word.text in ("param", "buffer"):
            declared = (o.value for o in operands if isinstance(o.value, Declare))
            values = (d.value for d in declared if d.value is not None)
            yield node.span, tuple(value for value in values if not _is_initializer(value))


def _find_starts(
    callee: str, arguments: Sequence[Argument], is_own: Callable[[str], bool]
) -> Iterator[Expr]:
    """Arguments that say how weights start, in other ways than as the call of an initializer in
    the call of an op, whose numbers hints follow."""
    of_op = OPS.get(callee) is not None and not is_own(callee)
    for argument in arguments:
        called = _is_initializer(argument.value)
        starts = argument.name is not None and (called or names_start(argument.name.text))
        if starts and not (called and of_op):
            yield argument.value


def _is_initializer(value: Expr) -> bool:
    """Whether a weight starts as the call of an initializer says, whose numbers hints follow."""
    match value:
        case Group(inner=inner):
            return _is_initializer(inner)
        case Call(function=Name(text=text)):
            return INITIALIZERS.get(text) is not None
    return False


def _names(tree: object) -> Iterator[str]:
    for node in walk(tree):
        if isinstance(node, Name):
            yield node.text


def walk(tree: object) -> Iterator[Node]:
    """Every node in a tree, or in a tuple of trees, in the order of the text. Names of
    attributes and arguments are left out: they refer to nothing here."""
    waiting: list[object] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting += node[::-1]
        elif isinstance(node, Node):
            yield node
            # A class hashes, if not its instances.
            parts = _parts(type(node))  # type: ignore[arg-type]
            waiting += [getattr(node, name) for name in parts]


@cache
def _parts(cls: type[Node]) -> tuple[str, ...]:
    """The fields of a class of nodes that may hold what a node refers to, from last to first."""
    names = (field.name for field in reversed(dataclasses.fields(cls)))
    kept = (name for name in names if name != "span" and not name.endswith("_span"))
    return tuple(name for name in kept if name != "name" or not issubclass(cls, Attribute))
