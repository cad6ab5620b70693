"""Files are written whole or not at all, and only those that end are read."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_SPEC = 16 << 20
"""Bytes of the longest spec that is read."""

LONGEST_RECORD = 64 << 20
"""Bytes of the longest file of JSON that is read."""

_KINDS = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a named pipe, no file",
    stat.S_IFSOCK: "it is a socket, no file",
    stat.S_IFCHR: "it is a device, no file",
    stat.S_IFBLK: "it is a device, no file",
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


def need_file(path: Path) -> int:
    """The size of a regular file, which may be opened.

    Raises:
        OSError: it is not there, or what it is instead.
    """
    try:
        size = path.stat().st_size
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), repr(str(path))) from error
    kind = name_kind(path)
    if kind is not None:
        raise OSError(errno.EISDIR if path.is_dir() else errno.EINVAL, kind, str(path))
    return size


def read_source_text(path: Path) -> str:
    """The text of a spec, without a byte order mark.

    Raises:
        OSError: it is no regular file, or far too long for a spec.
        UnicodeDecodeError: it is no text in UTF-8.
    """
    size = need_file(path)
    if size > LONGEST_SPEC:
        reason = f"it has {size:,} bytes, and a spec has at most {LONGEST_SPEC:,}"
        raise OSError(errno.EFBIG, reason, str(path))
    return path.read_text(encoding="utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """The value that a text of JSON holds; None where it is none: cut short, of other bytes, or
    nested deeper than anything that Weft writes."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read_json(path: Path) -> Any:
    """The value in a file of JSON; None where there is no file that can be read, or no JSON, or
    more than anything that Weft writes."""
    try:
        return parse_json(path.read_bytes()) if need_file(path) <= LONGEST_RECORD else None
    except OSError:
        return None


def match_files(folder: Path, pattern: str) -> list[Path]:
    """The paths that a pattern matches, relative to a folder or absolute, sorted.

    Raises:
        ValueError: it is no pattern.
    """
    root = Path(Path(pattern).anchor)  # empty where it is relative
    start = root if root.is_absolute() else folder
    return sorted(start.glob(str(Path(pattern).relative_to(root))))


def list_names(folder: Path, pattern: str = "*") -> list[str]:
    """The names in a folder that match a pattern, sorted; none where it cannot be looked into."""
    try:
        return sorted(entry.name for entry in folder.glob(pattern))
    except (OSError, ValueError):
        return []


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it takes the place of `path` when the block ends
    well, and is removed when it does not. Makes missing folders.

    Raises:
        OSError: the folder cannot be written.
    """
    kind = name_kind(path)
    if kind is not None and not path.is_dir():  # `/dev/full` would become a file
        raise OSError(errno.EINVAL, kind, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The standard library's temporary files would bring `random` and its hashes into every check.
    name = f".{path.stem}.{os.urandom(8).hex()}{path.suffix}"
    temporary = path.with_name(name)
    # Nobody can guess the name and put a link there, and what is there is not opened.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # A full disk is found out by a write, which does not know the file's name, and what
        # stands in the way of the file by a step that knows the temporary one.
        if error.filename is None or str(error.filename) == str(temporary):
            error.filename = str(path)
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
