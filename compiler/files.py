"""Files are written whole or not at all, and only those that end are read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_serial = count(1)

_KINDS = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a named pipe, and only files are read",
    stat.S_IFSOCK: "it is a socket, and only files are read",
    stat.S_IFCHR: "it is a device, and only files are read",
    stat.S_IFBLK: "it is a device, and only files are read",
}


def name_kind(path: Path) -> str | None:
    """What a path is that is no regular file; None for one, and where there is nothing. Reading
    a pipe or a device may wait or go on for ever, so that whatever a spec or an option names is
    looked at before it is opened."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return _KINDS.get(stat.S_IFMT(mode))


def need_file(path: Path) -> None:
    """Raises the error of the system where a path is no regular file, or is not there.

    Raises:
        OSError: what it is instead.
    """
    try:
        path.stat()
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    kind = name_kind(path)
    if kind is not None:
        code = errno.EISDIR if path.is_dir() else errno.EINVAL
        raise OSError(code, kind, str(path))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it takes the place of `path` when the block ends
    well, and is removed when it does not. Makes missing folders.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The standard library's temporary files would bring `random` and its hashes into every check.
    name = f".{path.stem}.{os.getpid()}.{next(_serial)}{path.suffix}"
    temporary = path.with_name(name)
    os.close(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666))
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # A full disk is found out by a write, which does not know the file's name.
        error.filename = str(path) if error.filename is None else error.filename
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file (UTF-8) whole or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
