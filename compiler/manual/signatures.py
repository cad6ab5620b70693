"""How calls of the vocabulary are written: operands, and options with types and defaults."""

from __future__ import annotations

import types
import typing

from compiler.types.dims import Dim
from compiler.vocabulary.signature import Described, Operand, Option, write_value


def write_signature(cls: type[Described]) -> str:
    """How a call is written: operands, then options with their types and defaults."""
    options = {o.name for o in cls.options()}
    parts = [_write_operand(o) for o in cls.operands if not o.named]
    parts += [_write_option(o) for o in cls.options()]
    parts += [_write_operand(o) for o in cls.operands if o.named and o.name not in options]
    return f"{cls.name}({', '.join(parts)})"


def write_type(annotation: object) -> str:
    """The type of an option in the language's words."""
    if annotation is type(None):
        return "none"
    if annotation is Dim:
        return "size"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__.lower()
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(write_value(a) for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(write_type(a) for a in arguments))
    return "list"


def _write_operand(operand: Operand) -> str:
    name = f"[{operand.name}, …]" if operand.variadic else operand.name
    return f"{name}?" if operand.optional else name


def _write_option(option: Option) -> str:
    text = f"{option.name}: {write_type(option.annotation)}"
    return text if option.required else f"{text} = {write_value(option.default)}"
