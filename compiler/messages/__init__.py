"""Every sentence a user can read, one theme per module; importing this fills `MESSAGES`."""

from importlib import import_module
from pkgutil import iter_modules

for _module in sorted(info.name for info in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
