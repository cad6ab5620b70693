"""Fills the registries of spaces, samplers and pruners: importing registers the classes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import compiler.sweeping as package


@cache
def load_sweeping() -> None:
    """Imports every module of what sweeps are made of; there is no list of them."""
    for info in sorted(iter_modules(package.__path__), key=lambda item: item.name):
        import_module(f"{package.__name__}.{info.name}")
