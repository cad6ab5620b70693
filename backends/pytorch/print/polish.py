"""Lists of modules as a person writes them: repeats and runs that differ in numbers only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from backends.pytorch.terms.terms import Form, Part, Tree, call, rebuild, subtrees
from compiler.writing.names import free_name, safe_name

SHORTEST_RUN = 4
MOST_COLUMNS = 3
LAST_WRITTEN_OUT = 2
"""A repeat of up to so many is written out."""


def polish(part: Part) -> Part:
    """The tree with repeats and runs in containers as comprehensions."""

    def change(item: Part) -> Part:
        if not isinstance(item, Tree):
            return item
        if item.form is Form.LIST:
            return replace(item, parts=_compress(list(_expand(item.parts))))
        if item.form is Form.CALL and not item.keys:
            head, *rest = item.parts
            if head == Tree(Form.NAME, "nn.Sequential"):
                return replace(item, parts=(head, *_compress(list(_expand(rest)))))
        return item

    return rebuild(part, change)


def _expand(parts: list[Part] | tuple[Part, ...]) -> Iterator[Part]:
    for part in parts:
        if not isinstance(part, Tree) or part.form is not Form.REPEAT:
            yield part
            continue
        count, body = part.parts
        written = isinstance(count, Tree) and count.form is Form.LITERAL
        if written and isinstance(count, Tree) and int(count.label) <= LAST_WRITTEN_OUT:
            yield from [body] * int(count.label)
        else:
            yield Tree(Form.EACH, "_", (body, call("range", count)))


def _compress(parts: list[Part]) -> tuple[Part, ...]:
    """Four or more calls in a row that differ in few literals become a comprehension."""
    if len(parts) < SHORTEST_RUN:
        return tuple(parts)
    made: list[Part] = []
    start = 0
    while start < len(parts):
        stop = start
        shape = _shape(parts[start])
        while stop < len(parts) and _is_call(parts[stop]) and _shape(parts[stop]) == shape:
            stop += 1
        run = [p for p in parts[start:stop] if isinstance(p, Tree)]
        each = _make_comprehension(run) if len(run) >= SHORTEST_RUN else None
        if each is not None:
            made.append(each)
            start = stop
        else:
            made.append(parts[start])
            start += 1
    return tuple(made)


def _is_call(part: Part) -> bool:
    return isinstance(part, Tree) and part.form in (Form.CALL, Form.BUILD)


def _shape(part: Part) -> object:
    match part:
        case Tree(Form.LITERAL):
            return "?"
        case Tree(form, label, parts, keys, target):
            return (form, label, keys, id(target), *map(_shape, parts))
    return part


def _make_comprehension(run: list[Tree]) -> Tree | None:
    rows = [list(_literals(tree)) for tree in run]
    columns = list(zip(*rows, strict=True))
    vary = [k for k, column in enumerate(columns) if len(set(column)) > 1]
    if not vary:
        return Tree(Form.EACH, "_", (run[0], call("range", Tree(Form.LITERAL, str(len(run))))))
    if len(vary) > MOST_COLUMNS:
        return None
    names: dict[int, str] = {}
    wishes = list(_names(run[0]))
    taken = {tree.label for tree in subtrees(run[0]) if tree.form is Form.NAME}
    for k in vary:
        names[k] = free_name(safe_name(wishes[k] or "abc"[len(names)]), taken)
        taken.add(names[k])
    count = iter(range(len(columns)))

    def open_literal(part: Part) -> Part:
        if not isinstance(part, Tree) or part.form is not Form.LITERAL:
            return part
        place = next(count)
        return Tree(Form.NAME, names[place]) if place in names else part

    body = rebuild(run[0], open_literal)
    items = [tuple(Tree(Form.LITERAL, row[k]) for k in vary) for row in rows]
    over = [row[0] if len(row) == 1 else Tree(Form.TUPLE, "", row) for row in items]
    label = ", ".join(names[k] for k in vary)
    return Tree(Form.EACH, label, (body, Tree(Form.LIST, "", tuple(over))))


def _literals(part: Part) -> Iterator[str]:
    if isinstance(part, Tree):
        if part.form is Form.LITERAL:
            yield part.label
        for child in part.parts:
            yield from _literals(child)


def _names(part: Part, wish: str = "") -> Iterator[str]:
    """What the callee calls each literal; "" where it does not say."""
    if not isinstance(part, Tree):
        return
    if part.form is Form.LITERAL:
        yield wish
        return
    first = len(part.parts) - len(part.keys)
    for place, child in enumerate(part.parts):
        yield from _names(child, part.keys[place - first] if place >= first else "")
