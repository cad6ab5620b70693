"""Code that Weft writes for people to read and to edit: no edit is lost without a word."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from compiler.files import read_json, write_text
from weft.building.cache import hash_file

EARLIER = "earlier"
"""The folder beside generated files with what was there before and is not Weft's to delete."""
RECORD = Path(".weft") / "code.json"
"""Which files of a folder Weft wrote, with a hash of each."""


class GeneratedCode:
    """The generated code below a folder. `write` replaces what Weft wrote itself; of a file that
    is another one by now, edited or never Weft's, it keeps a copy and says where."""

    def __init__(self, root: Path, echo: Callable[[str], None]) -> None:
        self.root = root
        self.echo = echo

    def write(self, path: Path, text: str) -> None:
        """Writes a file whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        name, known = path.relative_to(self.root).as_posix(), self._read()
        if path.is_file() and not _holds(path, text) and hash_file(path) != known.get(name):
            self.echo(f"{path} is not as Weft wrote it; a copy is kept as {keep_copy(path)}")
        write_text(path, text)
        known[name] = hash_file(path)
        write_text(self.root / RECORD, json.dumps(known, indent=1, sort_keys=True) + "\n")

    def _read(self) -> dict[str, object]:
        found = read_json(self.root / RECORD)
        return found if isinstance(found, dict) else {}


def keep_copy(path: Path) -> Path:
    """Copies a file into a folder beside it that is named by its content; returns the copy."""
    kept = path.parent / EARLIER / hash_file(path)[:12] / path.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, kept)
    return kept


def forget(root: Path) -> None:
    """Takes away what a build remembers in its folder, but not which code is Weft's."""
    for path in (root / RECORD.parent).glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != RECORD.name:
            path.unlink()


def _holds(path: Path, text: str) -> bool:
    """Whether a file has a text in it already."""
    return path.read_text(encoding="utf-8", errors="surrogateescape") == text
