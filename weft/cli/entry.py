"""Entry point of the process. It imports next to nothing at first, so that an interrupt while the
modules of a command are brought in ends it as one in the command does."""

from __future__ import annotations

import sys

from weft.cli.interrupt import STATUS, say_interrupted


def main() -> None:
    """Runs the command that the arguments ask for, and ends with its status."""
    try:
        from weft.cli.main import main as run

        run()
    except KeyboardInterrupt:
        say_interrupted()
        sys.exit(STATUS)
