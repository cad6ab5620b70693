"""Fills the registries of optimizers, schedules and metrics: importing registers the classes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import compiler.training as package


@cache
def load_training() -> None:
    """Imports every module of the training vocabulary; there is no list of them."""
    for info in sorted(iter_modules(package.__path__), key=lambda item: item.name):
        import_module(f"{package.__name__}.{info.name}")
