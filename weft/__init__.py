"""Weft from Python: `spec = weft.load("x.weft")`, then its models, data, trains and files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.api import Spec, check, load, loads
    from weft.errors import WeftError

__all__ = ["Spec", "WeftError", "check", "load", "loads"]


def __getattr__(name: str) -> Any:
    """Brings the API in when it is first asked for: `weft --help` needs no compiler."""
    if name not in __all__:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    return getattr(import_module("weft.api"), name)
