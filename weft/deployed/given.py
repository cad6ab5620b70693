"""Files that somebody names: there, and to be read."""

from __future__ import annotations

from pathlib import Path

from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import file_missing, file_unreadable
from compiler.system.files import need_file


def need_input(path: Path, *, build: bool = False) -> None:
    """Refuses a file of the command line that is not there, or is a pipe, a device or a folder.
    `build` says that builds leave it in its usual place.

    Raises:
        CompileError: what it is instead.
    """
    try:
        need_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CompileError([file_missing(None, str(path), build=build)]) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CompileError([file_unreadable(None, str(path), reason)]) from error
