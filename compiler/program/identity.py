"""What keys of builds are made of: typed items as text."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from enum import Enum

import numpy as np

from compiler.ir.graph import Graph
from compiler.ir.printer import print_graph
from compiler.report.source import Span


def identify(value: object) -> str:
    """Everything in a typed item but its spans, its text for people (`doc`) and what takes no part
    in comparisons. There is no list of fields: what a new clause fills counts as soon as the field
    is there."""
    match value:
        case Span():
            return ""
        case Graph():
            return print_graph(value)
        case np.ndarray():
            digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return f"{value.dtype}{value.shape} {digest}"
        case Mapping():
            return f"{{{', '.join(f'{identify(k)}: {identify(v)}' for k, v in value.items())}}}"
        case tuple() | list():
            return f"[{', '.join(map(identify, value))}]"
        case Enum():
            return str(value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    names = [f.name for f in dataclasses.fields(value) if f.compare and f.name != "doc"]
    given = [f"{name}={identify(getattr(value, name))}" for name in names]
    return f"{type(value).__name__}({', '.join(given)})"
