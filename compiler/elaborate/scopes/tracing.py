"""Which parameters of a block act where no hint follows: in loops, numbers of copies, paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain

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
    Block,
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
    NoneLiteral,
    StageLabel,
    String,
    Then,
    Unary,
    Unpack,
)
from compiler.vocabulary.initializers import INITIALIZERS


def find_untraced(
    item: Item, is_own: Callable[[str], bool], find: Callable[[str], object]
) -> dict[str, tuple[Span, ...]]:
    """Parameters, and sizes that the signature names, that reach places where no hint follows,
    directly or through bindings of the body, with these places: loops, numbers of copies,
    conditions that change from turn to turn, paths, initial values that no initializer draws, and
    functions that Python does not have. `is_own` says of a name whether the file means something
    else by it than the function, and `find` gives the block that it means, if it is one."""
    nodes = list(walk(item.body))
    bound = _Bindings(item, nodes, is_own)
    parameters = {n for p in item.parameters for n in (p.name.text, *_names(p.type))}
    found: dict[str, dict[Span, None]] = {}
    for node in nodes:
        for place, tree in _untraced_places(node, is_own, find):
            # a path is written anew in each turn: it may say the names of its loop
            turns = {} if isinstance(node, StageLabel) else bound.turning
            asked, read = _split_tests(tree)
            reached = _close(read, (bound.sources, turns)) | _close(asked, (bound.absent, turns))
            for parameter in reached & parameters:
                found.setdefault(parameter, {})[place] = None
    return {name: tuple(places) for name, places in found.items()}


class _Bindings:
    """What the names of a body are made from. `absent` says it of whether they are `none`: what
    an operation makes never is, whatever its numbers are."""

    def __init__(self, item: Item, nodes: Sequence[Node], is_own: Callable[[str], bool]) -> None:
        self.is_own = is_own
        self.sources: dict[str, set[str]] = {}
        self.absent: dict[str, set[str]] = {}
        self.turning: dict[str, set[str]] = {}
        for one in item.parameters:  # a default that uses others hands on what they are
            self._bind(one.name, one.default)
        for node in nodes:
            match node:
                case Binding(name=name, value=value):
                    self._bind(name, value)
                case Unpack(names=several, value=value):
                    for name in several:
                        self._bind(name, value)
                case For(names=several, iterable=iterable):
                    for name in several:
                        self.turning.setdefault(name.text, set()).update(_names(iterable))

    def _bind(self, name: Name, value: Expr | None) -> None:
        self.sources.setdefault(name.text, set()).update(_names(value))
        if not self._makes_tensor(value):
            self.absent.setdefault(name.text, set()).update(_names(value))

    def _makes_tensor(self, value: Expr | None) -> bool:
        """Whether an expression is an operation, which makes a tensor of whatever it is given."""
        match value:
            case Group(inner=inner) | Named(expression=inner):
                return self._makes_tensor(inner)
            case Then(right=right):
                return self._is_operation(right) or self._makes_tensor(right)
            case Call(function=function):
                return self._is_operation(function)
            case Binary(operator="+" | "-" | "*" | "/" | "@") | Unary(operator="+" | "-"):
                return True
        return False

    def _is_operation(self, layer: Expr) -> bool:
        match layer:
            case Name(text=text):
                return OPS.get(text) is not None and not self.is_own(text)
            case Named(expression=inner):
                return self._is_operation(inner)
        return False


def _split_tests(tree: object) -> tuple[Iterator[str], Iterator[str]]:
    """The names that a condition only asks of whether they are `none`, and all others in it."""
    match tree:
        case Binary(operator="==" | "!=", left=Name(text=text), right=NoneLiteral()):
            return iter([text]), iter(())
        case Binary(operator="and" | "or", left=left, right=right):
            rows = (_split_tests(left), _split_tests(right))
            return chain(rows[0][0], rows[1][0]), chain(rows[0][1], rows[1][1])
        case Unary(operator="not", operand=inner) | Group(inner=inner):
            return _split_tests(inner)
    return iter(()), _names(tree)


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


def _untraced_places(
    node: Node, is_own: Callable[[str], bool], find: Callable[[str], object]
) -> Iterator[tuple[Span, object]]:
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
            yield node.span, tuple(_find_starts(text, arguments, is_own, find))
        case Comprehension(generators=generators):
            yield node.span, generators
        case Clause(word=word, operands=operands) if word.text in ("param", "buffer"):
            declared = (o.value for o in operands if isinstance(o.value, Declare))
            values = (d.value for d in declared if d.value is not None)
            yield node.span, tuple(value for value in values if not _is_initializer(value))


def _find_starts(
    callee: str,
    arguments: Sequence[Argument],
    is_own: Callable[[str], bool],
    find: Callable[[str], object],
) -> Iterator[Expr]:
    """Arguments that say how weights start, in other ways than as the call of an initializer in
    the call of an op, whose numbers hints follow."""
    of_op = OPS.get(callee) is not None and not is_own(callee)
    block = find(callee)
    for argument in arguments:
        called = _is_initializer(argument.value)
        starts = argument.name is not None and (called or _starts(block, argument.name.text))
        if starts and not (called and of_op):
            yield argument.value


def _starts(block: object, argument: str) -> bool:
    """Whether an argument says how weights start: a block declares it, and may call another number
    `rate_init`; of an op, and of a layer that is not known yet, its name tells."""
    if not isinstance(block, Block):
        return names_start(argument)
    declared = (p.type for p in block.parameters if p.name.text == argument)
    return any(kind is not None and kind.name.text == "initializer" for kind in declared)


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
