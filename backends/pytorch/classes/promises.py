"""Run-time checks of a class: which of its arguments the sizes in them follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backends.pytorch.classes.dependence import names_in
from backends.pytorch.classes.explained import Promise, find_called
from backends.pytorch.classes.merged import Merged
from backends.pytorch.classes.options import find_promises, keeps_promise, option_of, vary
from backends.pytorch.classes.widths import Widths
from backends.pytorch.terms.terms import Form, Part, Tree
from compiler.ir.graph import Node
from compiler.ir.hint import hint_names, read_size_name

Followed = dict[Promise, set[str | tuple[int, int]]]
"""Promises, and what they follow of what a class is given; nothing of those that stay."""


def find_promised(widths: Widths, *, joined: bool) -> Followed:
    """What each promise of equal sizes that the operations of a class make follows of what it is
    given: of those that join tensors, or of all others."""
    found: Followed = {}
    for item in widths.target.items:
        for promise, names in _find_followed(widths, item, joined):
            followed = (read_size_name(name) or name for name in names)
            found.setdefault(promise, set()).update(followed)
    return found


def _find_followed(
    widths: Widths, item: Merged, joined: bool
) -> Iterator[tuple[Promise, Iterable[str]]]:
    for member in item.members.values():
        for node in member.nodes if item.sample.op != "call" else ():
            for promise in find_promises(node) if node.op.joins == joined else ():
                yield promise, _find_moving(widths, item, node, promise)
    for part in (*(variant.constructor for variant in item.variants), item.expression):
        yield from _find_in_calls(widths, item, part, joined)


def _find_moving(widths: Widths, item: Merged, node: Node, promise: Promise) -> Iterator[str]:
    """What a promise of an operation follows: options and sizes with which it is another."""
    single = len(item.sample.nodes) == 1
    written = [(field.partition(".")[0], hint) for field, hint in node.origin.hints]
    for leaf in item.leaves():
        kept = single and type(leaf.literal) is int and keeps_promise(node, promise, leaf.literal)
        if option_of(leaf) and not kept and _decides(node, promise, option_of(leaf)):
            yield from names_in(leaf)
            yield from (n for of, h in written if of == option_of(leaf) for n in hint_names(h))
    for ref in item.refs:
        instance = min(item.instances)
        for axis in range(widths.target.type_of(ref, instance).rank):
            size = widths.target.axis(ref, axis, instance)
            if not (single and isinstance(size, int) and keeps_promise(node, promise, size)):
                yield from widths.dependence.of(ref, axis)


def _decides(node: Node, promise: Promise, option: str) -> bool:
    return any(promise not in find_promises(other) for other in vary(node, option))


def _find_in_calls(
    widths: Widths, item: Merged, part: Part | None, joined: bool
) -> Iterator[tuple[Promise, Iterable[str]]]:
    """What the promises inside of a class or loop follow of what is around it."""
    for tree, inner in find_called(part):
        given = dict(zip(tree.keys, tree.parts[len(tree.parts) - len(tree.keys) :], strict=True))
        made = inner.limits.joined if joined else inner.limits.promised
        for promise, followed in made.items():
            yield promise, ()
            for one in followed:
                yield promise, _find_given(widths, item, tree, given.get(str(one)), one)


def _find_given(
    widths: Widths, item: Merged, tree: Tree, part: Part | None, one: str | tuple[int, int]
) -> Iterator[str]:
    if isinstance(one, tuple):
        yield from widths.dependence.of(item.refs[one[0]], one[1])
    elif part is not None:
        yield from names_in(part)
    if tree.form is Form.FOR:
        yield from names_in(tree.parts[0])
