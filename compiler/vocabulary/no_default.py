"""The mark of a parameter that has no default: `None` is a value like others."""

from __future__ import annotations

from enum import Enum


class NoDefault(Enum):
    """Marks a parameter that has no default value."""

    NO_DEFAULT = "no default"


NO_DEFAULT = NoDefault.NO_DEFAULT
