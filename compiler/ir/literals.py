"""Literals of the textual form: field values, dims, types and hints from their trees."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any

from lark import Token, Tree

from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintCall,
    HintChoose,
    HintConst,
    HintItem,
    HintList,
    HintName,
    HintSize,
    HintText,
    HintUnary,
)
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Described, find_registry

Branch = Tree[Token]
ReadGraph = Callable[[Branch], object]


class GraphSyntaxError(ValueError):
    """Text that is no graph."""


@dataclasses.dataclass(frozen=True)
class Record:
    """`name(field=value, …)` before the class that it names is known."""

    name: str
    fields: Mapping[str, object]


def read_literal(tree: Branch | Token, read_graph: ReadGraph) -> object:
    """The value of a literal; a record stays one until its class is known."""
    if isinstance(tree, Token):
        raise GraphSyntaxError(f"unexpected {tree}")
    match tree.data:
        case "text":
            return json.loads(str(tree.children[0]))
        case "integer":
            return int(str(tree.children[0]))
        case "real":
            return float(str(tree.children[0]))
        case "true" | "false":
            return bool(tree.data == "true")
        case "none":
            return None
        case "dim_value":
            return read_dim(tree.children[0])
        case "dtype":
            return DType(read_word(tree.children[0]))
        case "tuple":
            return tuple(read_literal(t, read_graph) for t in tree.children)
        case "list":
            return [read_literal(t, read_graph) for t in tree.children]
        case "record":
            name, *fields = tree.children
            return Record(read_word(name), read_fields(Tree("fields", fields), read_graph))
        case "graph":
            return read_graph(tree)
    raise GraphSyntaxError(f"unexpected {tree.data}")


def read_fields(tree: Branch, read_graph: ReadGraph) -> dict[str, object]:
    """`field=value` pairs."""
    pairs = (t.children for t in tree.children if isinstance(t, Tree))
    return {read_word(name): read_literal(value, read_graph) for name, value in pairs}


def make_record(record: Record, classes: Mapping[str, type], owner: str) -> Any:
    """The dataclass a record stands for; nested records are classes its annotations mention.

    Raises:
        GraphSyntaxError: the class or a field does not exist.
    """
    cls = classes.get(record.name)
    if cls is None:
        raise GraphSyntaxError(f"{owner} has no {record.name}")
    hints = typing.get_type_hints(cls)
    values = {}
    for name, value in record.fields.items():
        if name not in hints:
            raise GraphSyntaxError(f"{record.name} has no field {name}")
        values[name] = _make_nested(value, _find_classes(hints[name]), record.name)
    return cls(**values)


def _make_nested(value: object, classes: Mapping[str, type], owner: str) -> object:
    if isinstance(value, Record):
        return make_record(value, classes, owner)
    if isinstance(value, tuple):
        return tuple(_make_nested(item, classes, owner) for item in value)
    return value


def _find_classes(annotation: object) -> dict[str, type]:
    """Dataclasses that an annotation mentions, by name."""
    found: dict[str, type] = {}
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        name = getattr(annotation, "name", None)
        found[name if isinstance(name, str) else annotation.__name__] = annotation
    elif isinstance(annotation, type) and issubclass(annotation, Described):
        registry = find_registry(annotation)
        found.update({cls.name: cls for cls in registry.classes()} if registry else {})
    for part in typing.get_args(annotation):
        found.update(_find_classes(part))
    return found


def read_word(tree: Branch | Token) -> str:
    """A bare word, or a name between backquotes."""
    text = str(tree if isinstance(tree, Token) else tree.children[0])
    return str(json.loads(f'"{text[1:-1]}"')) if text.startswith("`") else text


def read_type(tree: Branch | Token) -> TensorType:
    """`f32[batch, 3]`."""
    assert isinstance(tree, Tree)
    dtype, *dims = tree.children
    return TensorType(DType(read_word(dtype)), tuple(map(read_dim, dims)))


def read_dim(tree: Branch | Token) -> Dim:
    """Arithmetic on symbols and ints."""
    assert isinstance(tree, Tree)
    if tree.data == "number":
        return Dim.of(int(str(tree.children[0])))
    if tree.data == "symbol":
        return Dim.of(read_word(tree.children[0]))
    if tree.data == "pow":
        return read_dim(tree.children[0]) ** int(str(tree.children[1]))
    operands = [read_dim(t) for t in tree.children]
    match tree.data:
        case "add":
            return operands[0] + operands[1]
        case "sub":
            return operands[0] - operands[1]
        case "mul":
            return operands[0] * operands[1]
        case "floordiv":
            return operands[0] // operands[1]
        case "neg":
            return -operands[0]
    raise GraphSyntaxError(f"unexpected {tree.data} in a dimension")


def read_hint(tree: Branch | Token) -> Hint:
    """A hint in prefix form: (`*` 2 width)."""
    assert isinstance(tree, Tree)
    match tree.data, tree.children:
        case "hint_name", [word]:
            return HintName(read_word(word))
        case "hint_unary", [symbol, operand]:
            return HintUnary(str(symbol)[1:-1], read_hint(operand))
        case "hint_binary", [symbol, left, right]:
            return HintBinary(str(symbol)[1:-1], read_hint(left), read_hint(right))
        case "hint_choose", [condition, then, otherwise]:
            return HintChoose(read_hint(condition), read_hint(then), read_hint(otherwise))
        case "hint_call", [word, *arguments]:
            return HintCall(read_word(word), tuple(map(read_hint, arguments)))
        case "hint_size", [value, axis]:
            return HintSize(read_value_name(value), int(str(axis)))
        case "hint_item", [items, index]:
            return HintItem(read_hint(items), read_hint(index))
        case "hint_items", parts:
            return HintList(tuple(map(read_hint, parts)))
        case "hint_join", parts:
            return HintText(tuple(map(read_hint, parts)))
        case "hint_list", items:
            values = (read_hint(t) for t in items)
            return HintConst(tuple(p.value for p in values if isinstance(p, HintConst)))  # type: ignore[misc]
    literal = Tree(str(tree.data).removeprefix("hint_"), tree.children)
    return HintConst(read_literal(literal, _refuse_graph))  # type: ignore[arg-type]


def read_value_name(token: Branch | Token) -> str:
    """`%x` and `%"x"` as the name of a value; `%12` is one itself."""
    text = str(token)
    if text.startswith('%"'):
        return str(json.loads(text[1:]))
    return text if text[1:].isdigit() else text[1:]


def _refuse_graph(tree: Branch) -> object:
    raise GraphSyntaxError("a hint holds no graph")
