"""Which parameters of a block act where no hint follows: loop bounds, numbers of copies, texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache

from compiler.elaborate.functions import FUNCTIONS
from compiler.syntax import (
    Attribute,
    Binary,
    Binding,
    Call,
    Comprehension,
    For,
    Generator,
    Item,
    Name,
    Named,
    Node,
    StageLabel,
    String,
    Subscript,
    Then,
)


def find_untraced(item: Item) -> frozenset[str]:
    """Names of parameters that reach a bound of a loop, a number of copies, an index of a list,
    a text or a function of numbers, directly or through bindings of the body."""
    nodes = list(walk(item.body))
    reached = {name for node in nodes for place in _untraced_places(node) for name in _names(place)}
    sources: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, Binding):
            sources.setdefault(node.name.text, set()).update(_names(node.value))
    waiting = list(reached)
    while waiting:
        for name in sources.get(waiting.pop(), ()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return frozenset(p.name.text for p in item.parameters if p.name.text in reached)


def _untraced_places(node: Node) -> Iterator[object]:
    match node:
        case For(iterable=iterable) | Generator(iterable=iterable):
            yield iterable
        case Then(right=Binary(operator="*", left=count)):
            yield count
        case Then(right=Named(expression=Binary(operator="*", left=count))):
            yield count
        case String(parts=parts):
            yield parts
        case StageLabel(indices=indices) | Subscript(indices=indices):
            yield indices
        case Call(function=Name(text=text), arguments=arguments) if text in FUNCTIONS:
            yield arguments
        case Comprehension(generators=generators):
            yield generators


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
