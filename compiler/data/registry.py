"""Fills the registry of data sources: importing a module registers its class."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import compiler.data as package
from compiler.data.base import SOURCES, DataSource
from compiler.vocabulary.signature import Registry


@cache
def load_sources() -> Registry[DataSource]:
    """The registry with every source of `compiler.data` in it; there is no list of them."""
    for info in sorted(iter_modules(package.__path__), key=lambda item: item.name):
        import_module(f"{package.__name__}.{info.name}")
    return SOURCES
