"""Trains with arguments: which are one and the same, and what they are called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import ArgumentValue, DTypeValue, Known, Val
from compiler.types.dims import Dim
from compiler.writing.files import file_key
from compiler.writing.python import show

SHORT = 16
"""Characters of a value that stands in a name as it is."""
LONGEST = 80
"""Characters of a name; a longer one is a checksum of what it stands for."""


def find_key(given: Mapping[str, ArgumentValue]) -> object:
    """What tells arguments apart; None where they are not told apart by their values (layers)."""
    keys = {name: _key_of(item.value) for name, item in given.items()}
    return None if None in keys.values() else tuple(sorted(keys.items()))


def _key_of(value: Val) -> object:
    items = plain_items(value)
    if items is not None:
        keys = tuple(map(_key_of, items))
        return None if None in keys else keys
    match value:
        case Known(number):
            return type(number).__name__, repr(number)
        case DTypeValue(dtype):
            return "dtype", str(dtype)
    return None


def is_open(value: Val) -> bool:
    """Whether a value is known only when a net runs: a size of a model."""
    if isinstance(value, Known) and isinstance(value.value, Dim):
        return True
    return any(map(is_open, plain_items(value) or ()))


def write_arguments(given: Mapping[str, ArgumentValue]) -> str:
    """`k=0, width=8`, for people."""
    return ", ".join(f"{name}={_write(item.value)}" for name, item in given.items())


def _write(value: Val) -> str:
    items = plain_items(value)
    if items is not None:
        return f"[{', '.join(map(_write, items))}]"
    match value:
        case Known(None):
            return "none"
        case Known(bool() as truth):
            return str(truth).lower()
        case Known(str() as text):
            return f'"{show(text)}"'
        case Known(number):
            return str(number)
        case DTypeValue(dtype):
            return str(dtype)
    return describe(value)


def name_instance(train: str, given: Mapping[str, ArgumentValue], taken: Collection[str]) -> str:
    """`member_k0`: the name of a train with arguments, which is that of its folder too. What is no
    short number or word stands there as a checksum."""
    parts = [f"_{name}{_name(_write(item.value))}" for name, item in given.items()]
    wish = train + "".join(parts)
    if len(wish) > LONGEST or not wish.isascii():
        wish = f"{train}_{_checksum(write_arguments(given))}"
    keys = set(map(file_key, taken))
    made, count = wish, 2
    while file_key(made) in keys:
        made, count = f"{wish}_{count}", count + 1
    return made


def _name(text: str) -> str:
    """A value as a part of a name: a file's name ends behind a dot."""
    plain = text.replace(".", "p").replace("+", "")
    return plain if re.fullmatch(rf"-?[0-9a-z]{{1,{SHORT}}}(-[0-9]+)?", plain) else _checksum(text)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
