"""Entry point of the process. It imports nothing else at first, so that an interrupt while the
modules of a command are brought in ends it as one in the command does."""

from __future__ import annotations

import sys

INTERRUPTED = "weft: interrupted"
STATUS = 130
"""The status of a command that was interrupted, as shells give it."""


def say_interrupted() -> None:
    """Says on standard error that an interrupt has ended the command."""
    print(INTERRUPTED, file=sys.stderr)


def main() -> None:
    """Runs the command that the arguments ask for, and ends with its status."""
    try:
        from weft.cli.main import main as run

        run()
    except KeyboardInterrupt:
        say_interrupted()
        sys.exit(STATUS)
