"""What an interrupt ends a command with. It imports next to nothing: one may come at any time."""

from __future__ import annotations

import sys

INTERRUPTED = "weft: interrupted"
STATUS = 130
"""The status of a command that was interrupted, as shells give it."""


def say_interrupted() -> None:
    """Says on standard error that an interrupt has ended the command."""
    print(INTERRUPTED, file=sys.stderr)
