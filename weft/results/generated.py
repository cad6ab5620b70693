"""Files that Weft writes for people to read, to edit and to replace: no change is lost without a
word."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compiler.system.files import read_json, write_text
from weft.results.cache import hash_file
from weft.results.links import refuse_link_to

EARLIER = "earlier"
"""The folder beside generated files with what was there before and is not Weft's to delete."""
RECORD = Path(".weft") / "code.json"
"""Which files of a folder Weft wrote, with a hash of each."""
OWN = (RECORD.parts[0], EARLIER)
"""The folders that Weft makes for itself beside what it is asked for."""


class GeneratedFiles:
    """The generated files below a folder: code, weights, ONNX files, reports. What Weft wrote
    itself is replaced; of a file that is another one by now, edited or never Weft's, a copy is
    kept, and `warn` is told where."""

    def __init__(self, root: Path, warn: Callable[[str], None]) -> None:
        self.root = root
        self.warn = warn

    def write(self, path: Path, text: str) -> None:
        """Writes a text file whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        with self.replacing(path):
            write_text(path, text)

    @contextmanager
    def replacing(self, *paths: Path) -> Iterator[None]:
        """Stands around the writing of files. Those that are not as Weft wrote them are copied
        before; a copy of what was only written again is taken away.

        Raises:
            CompileError: a file or its place is a link.
        """
        for path in (self.root / RECORD, *paths):
            refuse_link_to(self.root, path)
        known = self._read()
        changed = [p for p in paths if p.is_file() and hash_file(p) != known.get(self._name(p))]
        kept = {path: _Copy(path, self.root) for path in changed}
        try:
            yield
        finally:
            for path, copy in kept.items():
                if path.is_file() and hash_file(path) == hash_file(copy.path):
                    copy.drop()
                else:
                    self.warn(f"{path} is not as Weft wrote it; a copy is kept as {copy.path}")
            self._note(paths)

    def _note(self, paths: tuple[Path, ...]) -> None:
        """Records the files as they are now."""
        known = self._read()
        for path in paths:
            if path.is_file():
                known[self._name(path)] = hash_file(path)
        write_text(self.root / RECORD, json.dumps(known, indent=1, sort_keys=True) + "\n")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _read(self) -> dict[str, str]:
        found = read_json(self.root / RECORD)
        known = found.items() if isinstance(found, dict) else ()
        return {name: value for name, value in known if isinstance(value, str)}


class _Copy:
    """A copy of a file in a folder beside it that is named by its content."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path.parent / EARLIER / hash_file(path)[:12] / path.name
        refuse_link_to(root, self.path)
        self.is_new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, self.path)

    def drop(self) -> None:
        """Takes the copy away, unless it was kept before."""
        if not self.is_new:
            return
        self.path.unlink()
        for folder in (self.path.parent, self.path.parent.parent):
            if not any(folder.iterdir()):
                folder.rmdir()
