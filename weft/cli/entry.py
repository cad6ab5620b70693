"""Entry point of the process. It imports next to nothing at first, so that an interrupt while the
modules of a command are brought in ends it as one in the command does."""

from __future__ import annotations

import gc
import os
import sys

from weft.cli.interrupt import STATUS, say_interrupted


def main() -> None:
    """Runs the command that the arguments ask for, and ends with its status."""
    # A check makes some hundred thousand objects that live until its end; looking for cycles
    # among them every 700 objects took a tenth of its time.
    gc.set_threshold(200_000, 20, 20)
    if sys.argv[1:2] in (["check"], ["show"]):
        # They multiply no matrices, and the threads that NumPy would start for that took a third
        # of the processor's time.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from weft.cli.main import main as run

        run()
    except KeyboardInterrupt:
        say_interrupted()
        sys.exit(STATUS)
