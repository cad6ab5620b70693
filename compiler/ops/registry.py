"""The registry of ops: importing a family is what registers its classes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import compiler.ops as package
from compiler.ir.graph import Op
from compiler.vocabulary.signature import Registry

OPS: Registry[Op] = Registry("op")
"""Every primitive op; full once `load_ops` has imported the families."""


@cache
def load_ops() -> Registry[Op]:
    """The registry with every family of `compiler.ops` in it; there is no list of them."""
    for info in sorted(iter_modules(package.__path__), key=lambda item: item.name):
        import_module(f"{package.__name__}.{info.name}")
    return OPS
