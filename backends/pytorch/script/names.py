"""Python names and literals for what a spec calls things."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection

_TAKEN = frozenset(keyword.kwlist) | frozenset(dir(builtins))


def to_identifier(name: str, taken: Collection[str] = ()) -> str:
    """The nearest Python name: `PT08.S1(CO)` -> `PT08_S1_CO`; a name that is taken by Python or
    by `taken` gets a number."""
    text = re.sub(r"\W+", "_", name).strip("_") or "value"
    if text[0].isdigit():
        text = f"_{text}"
    found, number = text, 2
    while found in taken or found in _TAKEN:
        found, number = f"{text}_{number}", number + 1
    return found


def write_literal(value: object) -> str:
    """A compile-time value as Python, strings in double quotes as formatters write them."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, tuple | list):
        items = ", ".join(write_literal(item) for item in value)
        if isinstance(value, list):
            return f"[{items}]"
        return f"({items},)" if len(value) == 1 else f"({items})"
    return repr(value)
