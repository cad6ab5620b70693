"""Names in blocks that nothing has called yet: unknown ones are found without elaborating."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.elaborate.calls.net_functions import is_net_function
from compiler.elaborate.scopes.context import FileScope
from compiler.elaborate.scopes.lints import read_parts
from compiler.elaborate.scopes.lookup import explain_unknown, refuse_meant
from compiler.elaborate.scopes.modes import MODE
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.values.functions import CONSTANTS, FUNCTIONS
from compiler.ops.registry import OPS
from compiler.report.diagnostics import Message
from compiler.report.messages.names import unknown_name
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import (
    Binding,
    Call,
    Clause,
    Declare,
    For,
    Generator,
    Item,
    Name,
    Named,
    Node,
    Operand,
    ScanOver,
    Then,
    TypeExpr,
    Unpack,
)
from compiler.types.tensor import DType
from compiler.vocabulary.clauses import MODEL, SCAN
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.net_functions import LOAD, NET_FUNCTIONS

TENSOR = "tensor"
"""The word that makes a tensor of a list."""


def find_unknown_names(scope: FileScope, item: Item) -> Iterator[Message]:
    """A message for every name in an item that means nothing wherever it is called from."""
    bound = set(_bound_names(item))
    applied = {id(name) for name in _applied_names(item)}
    for name in _read_names(item):
        word = name.text
        if word in bound or _is_built_in(word) or find_entry(scope, word, name.span) is not None:
            continue
        refusal = refuse_meant(name)
        if refusal is not None:
            yield refusal
            continue
        known = [*bound, *scope.names(), *OPS.names(), *FUNCTIONS, *NET_FUNCTIONS.names()]
        kind = "layer" if id(name) in applied else "name"
        note = explain_unknown(word)
        suggestion = did_you_mean(word, known) if note is None else None
        yield unknown_name(name.span, word, kind, suggestion, note)


def _is_built_in(word: str) -> bool:
    return (
        word in (LOAD, TENSOR, MODE, "_")
        or is_net_function(word)
        or OPS.get(word) is not None
        or word in FUNCTIONS
        or word in CONSTANTS
        or INITIALIZERS.get(word) is not None
        or any(d.value == word for d in DType)
    )


def _bound_names(item: Item) -> Iterator[str]:
    """Every name that an item binds somewhere: parameters, sizes in types, bindings, loops."""
    for parameter in item.parameters:
        yield parameter.name.text
    for node in walk((item.parameters, item.body)):
        match node:
            case Binding(name=name) | ScanOver(name=name) | Declare(name=name):
                yield name.text
            case Unpack(names=names) | For(names=names) | Generator(names=names):
                yield from (n.text for n in names)
            case Operand(name=Name(text=text)):
                yield text
            case TypeExpr(dims=dims):
                yield from (d.text for d in dims or () if isinstance(d, Name))


def _read_names(item: Item) -> Iterator[Name]:
    words = MODEL.clauses.keys() | SCAN.clauses.keys()
    waiting: list[object] = [item.body, tuple(p.default for p in item.parameters)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Name):
            yield node
        elif isinstance(node, Clause) and node.word.text not in words:
            continue  # refused as a whole
        elif isinstance(node, tuple):
            waiting.extend(reversed(node))
        elif isinstance(node, Node):
            waiting.extend(reversed(read_parts(node)))


def _applied_names(item: Item) -> Iterator[Name]:
    """Names that stand where a layer is meant."""
    for node in walk(item.body):
        match node:
            case Call(function=Name() as name) | Then(right=Name() as name):
                yield name
            case Then(right=Named(expression=Name() as name)):
                yield name
