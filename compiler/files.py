"""Files are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_serial = count(1)


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
