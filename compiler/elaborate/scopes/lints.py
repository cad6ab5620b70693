"""Warnings: names never read, statements never reached, calls that are hardly meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.values.values import ArgumentValue, Tensor
from compiler.ir.graph import Op
from compiler.ops.convolution import Conv
from compiler.report.diagnostics import Message
from compiler.report.messages.lints import (
    channels_given_twice,
    constant_condition,
    label_names_arithmetic,
    never_reached,
    softmax_before_loss,
    unused_binding,
    unused_input,
    unused_parameter,
)
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Argument,
    Attribute,
    Binary,
    Binding,
    Block,
    Call,
    Clause,
    Conditional,
    Declare,
    For,
    Generator,
    If,
    Item,
    Model,
    Name,
    Named,
    Node,
    Operand,
    Return,
    Scan,
    ScanOver,
    StageLabel,
    Statement,
    Sweep,
    Then,
    Train,
    TypeExpr,
    Unary,
    Unpack,
    Variant,
)

LONG = 8
"""Kernels shorter than this are usual, and widths of layers hardly ever are."""


def check_call(body: Body, op: Op, operands: Sequence[ArgumentValue | None], span: Span) -> None:
    """Warns where a call of an op is right and hardly meant."""
    _check_loss_input(body, op, operands, span)
    _check_channels(body, op, operands, span)


def _check_loss_input(
    body: Body, op: Op, operands: Sequence[ArgumentValue | None], span: Span
) -> None:
    """Warns where a loss gets the result of the function that it applies itself."""
    first = operands[0] if operands else None
    if not op.applies or first is None or not isinstance(first.value, Tensor):
        return
    maker = first.value.home.makers.get(first.value.value.name, "")
    if maker in op.applies:
        body.report(softmax_before_loss(span, op.name, maker, first.value.made))


def _check_channels(
    body: Body, op: Op, operands: Sequence[ArgumentValue | None], span: Span
) -> None:
    """Warns where a convolution seems to be given the channels of its input, as in PyTorch."""
    first = operands[0] if operands else None
    if not isinstance(op, Conv) or first is None or not isinstance(first.value, Tensor):
        return
    kernel, stride = op.kernel, op.stride
    if not isinstance(kernel, int) or not isinstance(stride, int) or kernel < LONG:
        return
    if 1 < stride < kernel and stride % 2 and first.value.type.shape[1] == op.out:
        body.report(channels_given_twice(span, op.out, kernel, stride))


def check_label(body: Body, named: Named) -> None:
    """Warns where a label names arithmetic, and its last part may be meant."""
    whole = named.expression
    match whole:
        case Binary(right=last) | Conditional(otherwise=last) | Unary(operand=last):
            if any(isinstance(node, Call | Then) for node in walk(last)):
                span = named.label.span
                body.report(label_names_arithmetic(span, span.text, whole.span, last.span))


# --- names ------------------------------------------------------------------------------------


def find_unused(item: Item) -> Iterator[Message]:
    """Warnings about names of an item that nothing reads, and statements nothing reaches."""
    read = reads(item.body)
    yield from _find_unused_parameters(item, read)
    if not isinstance(item, Block | Model):
        return  # the names of a data item are columns
    for parameter in item.parameters:
        read |= reads(parameter.default) | reads(parameter.type)
    if isinstance(item, Model):
        yield from _find_unused_inputs(item, read)
    yield from _find_unused_bindings(item.body, read)
    yield from _find_dead(item.body)
    for node in walk(item.body):
        if isinstance(node, If | Conditional) and not reads(node.condition):
            yield constant_condition(node.condition.span)


def _find_unused_parameters(item: Item, read: set[str]) -> Iterator[Message]:
    """Parameters that neither the body reads, nor the head that names models and data, nor
    another parameter."""
    used = set(read)
    read = used | reads(_read_head(item))
    bound: set[str] = set()
    for parameter in item.parameters:
        read |= reads(parameter.default) | reads(parameter.type)
    for parameter in item.parameters:
        name = parameter.name
        sizes = reads(parameter.type) - bound  # names that this parameter gives a size
        bound |= sizes
        shown = not used.isdisjoint(sizes)
        if name.text not in read and not shown and not name.text.startswith("_"):
            yield unused_parameter(name.span, name.text, item.name.text)


def _read_head(item: Item) -> tuple[object, ...]:
    """What stands between the parameters of an item and its body."""
    match item:
        case Train(of=of, on=on):
            return (of, *on)
        case Variant(of=of) | Sweep(of=of):
            return (of,)
    return ()


def reads(tree: object) -> set[str]:
    """Names that a tree of syntax reads: not those that it binds, nor attributes, labels and
    names of arguments."""
    found: set[str] = set()
    waiting: list[object] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case Name(text=text):
                found.add(text)
            case tuple():
                waiting.extend(node)
            case Node():
                waiting.extend(read_parts(node))
    return found


def read_parts(node: Node) -> Sequence[object]:
    """The parts of a node that are read."""
    match node:
        case Binding(type=type, value=value):
            return (type.dims if type is not None else None, value)
        case Declare(type=type, value=value):
            return (type.dims, value)
        case Unpack(value=value) | Attribute(base=value) | Operand(value=value):
            return (value,)
        case Argument(value=value):
            return (value,)
        case For(iterable=iterable, body=body):
            return (iterable, body)
        case StageLabel(base=base, indices=indices):
            return (() if isinstance(base, Name) else base, indices)
        case Clause(operands=operands, tails=tails, body=body):
            return (operands, tails, body)
    return _children(node)


def _children(node: Node) -> Sequence[object]:
    # A class hashes, if not its instances.
    return [getattr(node, name) for name in _parts(type(node))]  # type: ignore[arg-type]


@cache
def _parts(cls: type[Node]) -> tuple[str, ...]:
    """The fields of a class of nodes that may hold names that it reads."""
    skipped = {"span", "operator_span", "doc"}
    if cls in (TypeExpr, ScanOver):
        skipped.add("name")
    if cls is Generator:
        skipped.add("names")
    return tuple(field.name for field in fields(cls) if field.name not in skipped)


def _find_unused_inputs(item: Model, read: set[str]) -> Iterator[Message]:
    for node in walk(item.body):
        if isinstance(node, Clause) and node.word.text == "input":
            for operand in node.operands:
                declare = operand.value
                if isinstance(declare, Declare) and declare.name.text not in read:
                    yield unused_input(declare.name.span, declare.name.text)


def _find_unused_bindings(statements: Sequence[Statement], read: set[str]) -> Iterator[Message]:
    """Names that nothing in the whole item reads, and last bindings at the outer level that
    nothing after them reads. Of names that a value is unpacked to, one that is read is enough:
    the others only fill places."""
    for names in _bindings(statements):
        if all(name.text not in read for name in names):
            for name in names:
                if not name.text.startswith("_"):
                    yield unused_binding(name.span, name.text)
    for index, statement in enumerate(statements):
        names = _bound(statement)
        words = [name.text for name in names if name.text in read]
        if words and _is_forgotten(statements[index + 1 :], {n.text for n in names}):
            yield from (unused_binding(n.span, n.text) for n in names if n.text in words)


def _is_forgotten(following: Sequence[Statement], names: set[str]) -> bool:
    """Whether statements read none of the names, or bind all of them anew before they do."""
    waiting = set(names)
    for statement in following:
        if not reads((statement,)).isdisjoint(waiting):
            return False
        waiting -= {name.text for name in _bound(statement)}
        if not waiting:
            return True
    return True


def _bindings(statements: Sequence[Statement]) -> Iterator[tuple[Name, ...]]:
    for statement in statements:
        match statement:
            case If(then=then, otherwise=otherwise):
                yield from _bindings((*then, *(otherwise or ())))
            case For(body=body) | Scan(body=body):
                yield from _bindings(body)
            case _:
                yield _bound(statement)


def _bound(statement: Statement) -> tuple[Name, ...]:
    """The names that one statement binds together."""
    match statement:
        case Binding(name=name):
            return (name,)
        case Unpack(names=names):
            return names
    return ()


def _find_dead(statements: Sequence[Statement]) -> Iterator[Message]:
    for index, statement in enumerate(statements):
        match statement:
            case Return() if index + 1 < len(statements):
                following = statements[index + 1]
                yield never_reached(following.span, statement.span)
                return
            case If(then=then, otherwise=otherwise):
                yield from _find_dead(then)
                yield from _find_dead(otherwise or ())
            case For(body=body):
                yield from _find_dead(body)
