"""Initializers: how the numbers of a fresh weight are drawn. Importing registers every class."""

from importlib import import_module
from pkgutil import iter_modules

from compiler.vocabulary.initializers.base import INITIALIZERS, Initializer, Numbers

__all__ = ["INITIALIZERS", "Initializer", "Numbers"]

for module in sorted(info.name for info in iter_modules(__path__)):
    import_module(f"{__name__}.{module}")
