"""One build or training at a time writes into a folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from compiler.report.diagnostics import CompileError
from compiler.report.messages.item_names import folder_in_use
from weft.results.generated import OWN
from weft.results.links import refuse_links

NAME = ".weft.lock"
"""The file in a folder that says who writes there. The system holds the lock and lets go of it when
its process ends in whatever way: a file that was left behind keeps nobody out."""
_PLACE = 1 << 30
"""The byte that Windows locks: nobody else can read what is locked there."""


@contextmanager
def hold_folder(folder: Path, names: Iterable[str] = ()) -> Iterator[None]:
    """Keeps others out of a folder, in which files and folders of these names are to be written;
    makes it where it is missing.

    Raises:
        CompileError: another process holds it, or there is a link in it.
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder, (NAME, *OWN, *names))
    path = folder / NAME
    with _open_locked(path) as file:
        file.truncate(0)
        file.write(f"{os.getpid()} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no file that is open
                path.unlink()


def _open_locked(path: Path) -> IO[str]:
    # A link that was made since links were looked for is not followed; Windows has no such flag.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    while True:
        descriptor = os.open(path, flags, 0o666)
        file = os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace")
        if not _lock(file):
            with file:
                holder, _, since = _read_note(file).partition(" ")
            raise CompileError([folder_in_use(None, str(path.parent), holder, since)])
        # Whoever held it before may have removed the file between our two steps.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _read_note(file: IO[str]) -> str:
    """What the holder of a lock has written; it does so right after it has the lock."""
    for _ in range(20):
        file.seek(0)
        note = file.read()
        if note:
            return note
        time.sleep(0.05)
    return ""


def _lock(file: IO[str]) -> bool:
    """Whether the file is locked now; no where somebody else has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_PLACE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
