"""Every sentence a user can read, one theme per module."""

from importlib import import_module
from pkgutil import iter_modules


def load_messages() -> None:
    """Import every theme, after which `MESSAGES` is full.

    A command that only reports imports the themes it uses.
    """
    for module in sorted(info.name for info in iter_modules(__path__)):
        import_module(f"{__name__}.{module}")
