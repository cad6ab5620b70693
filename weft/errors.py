"""What a user of Python is told: faults as one error, and warnings at the line that called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import bad_file
from compiler.report.render import render


class WeftError(CompileError):
    """What a command would have said: its text is the command's, `messages` holds the parts."""

    def __str__(self) -> str:
        return f"\n{render(self.messages)}"


@contextmanager
def speaking_as_commands() -> Iterator[None]:
    """Turns faults, those of files too, into the error that a command would print."""
    try:
        yield
    except WeftError:
        raise
    except CompileError as error:
        raise WeftError(error.messages) from error
    except OSError as error:
        if error.filename is None:
            raise
        reason = error.strerror or str(error)
        raise WeftError([bad_file(None, str(error.filename), reason)]) from error


@contextmanager
def warning() -> Iterator[Callable[[str], None]]:
    """Collects what a user of Python has to know beside the result, and warns of it at the line
    that called, also where an error ends the call."""
    told: list[str] = []
    try:
        yield told.append
    finally:
        for text in told:
            # From here over the context manager's `__exit__` and the method to its caller.
            warnings.warn(text, stacklevel=4)
