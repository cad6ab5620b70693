"""Functions of a tensor, and makers of modules, as something to pass to a class."""

from __future__ import annotations

from dataclasses import replace

from backends.pytorch.fold.items import Item
from backends.pytorch.terms.expressions import Expressions, resolve
from backends.pytorch.terms.terms import (
    Form,
    Hole,
    Operand,
    Part,
    Tree,
    is_scalar,
    name,
    skeleton,
)
from compiler.writing.python import ClassName, CodeName


def find_function(item: Item) -> CodeName | None:
    """An expression that is a function of one tensor as something to pass: `F.relu`, or
    `nn.LeakyReLU(0.2)` where it has options; None for any other."""
    match item.expression:
        case Tree(Form.CALL, parts=(Tree(Form.NAME, head), Operand(0), *options)) if not item.slot:
            if all(isinstance(part, Hole) for part in options):
                short = resolve(item.expression, name)
                if isinstance(short, Tree) and len(short.parts) == 2:
                    return CodeName(head)
                if item.module is not None:
                    return CodeName(Expressions(str).text(resolve(item.module, name)))
    return None


def find_given(item: Item) -> str:
    """The argument of its block, a layer, that a function of one tensor comes from; "" for one
    that the block names itself."""
    given = {a.name for node in item.nodes for a in node.scope.arguments if not is_scalar(a.value)}
    spans = (node.origin.span for node in item.nodes)
    said = {span.text for span in spans if span is not None}
    return said.pop() if len(said) == 1 and said <= given else ""


def open_modules(trees: dict[int, Part]) -> dict[int, Part]:
    """Constructors that are one but for modules without sizes (`nn.ReLU()` in one,
    `nn.LeakyReLU(0.2)` in another) with holes for what makes them; others as they are."""
    opened = _open_classes(list(trees.values())) if len(trees) > 1 else None
    return trees if opened is None else dict(zip(trees, opened, strict=True))


def _open_classes(parts: list[Part]) -> list[Part] | None:
    if len({skeleton(part) for part in parts}) == 1:
        return parts
    makers = [_name_maker(part) for part in parts]
    if None not in makers:
        return [Tree(Form.CALL, "", (Hole(maker, "act"),)) for maker in makers]
    trees = [part for part in parts if isinstance(part, Tree)]
    first = trees[0] if trees else None
    if first is None or len(trees) < len(parts):
        return None
    for tree in trees:
        alike = replace(tree, parts=first.parts) == first
        if not alike or len(tree.parts) != len(first.parts):
            return None
    columns = [_open_classes(list(c)) for c in zip(*(t.parts for t in trees), strict=True)]
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return None
    rows = zip(*known, strict=True)
    return [replace(tree, parts=row) for tree, row in zip(trees, rows, strict=True)]


def _name_maker(part: Part) -> ClassName | None:
    """What makes a module without weights, as something to pass: `nn.ReLU`, or
    `partial(nn.LeakyReLU, negative_slope=0.2)` where it has options."""
    match part:
        case Tree(Form.CALL, "", (Tree(Form.NAME, head), *options)) if head.startswith("nn."):
            if not options:
                return ClassName(head)
            if all(isinstance(o, Hole) and o.dim is None and o.hint is None for o in options):
                written = Expressions(str).text(resolve(part, name))
                return ClassName(f"partial({head}, {written.removeprefix(f'{head}(')}")
    return None
