"""Fills the registry of compression passes: importing a module registers its classes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import walk_packages

import compiler.compression as package


@cache
def load_compression() -> None:
    """Imports every module of the compression vocabulary; there is no list of them."""
    found = walk_packages(package.__path__, package.__name__ + ".")
    for info in sorted(found, key=lambda item: item.name):
        import_module(info.name)
