"""Copies of the product with a change that `docs/extending.md` shows as a diff."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("grammar", "compiler", "backends", "weft", "specs")
RUN = ("tests/__init__.py", "tests/conftest.py", "tests/warm_python.py", "tests/warm_server.py")
LAWS = ("tests/laws", *RUN)


@dataclass(frozen=True)
class Hunk:
    """Lines of a file, as they are and as they become; a new file has none before."""

    path: str
    before: str
    after: str


def read_hunks(title: str) -> Iterator[Hunk]:
    """The hunks of the diffs under a heading of the page."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", page.split(f"## {title}\n", 1)[1], flags=re.MULTILINE)[0]
    for diff in re.findall(r"```diff\n(.*?)```", section, re.DOTALL):
        for part in re.split(r"^--- .*\n\+\+\+ b/", diff, flags=re.MULTILINE)[1:]:
            path, _, body = part.partition("\n")
            for hunk in re.split(r"^@@.*\n", body, flags=re.MULTILINE)[1:]:
                lines = hunk.splitlines(keepends=True)
                before = "".join(line[1:] for line in lines if line[0] in " -")
                after = "".join(line[1:] for line in lines if line[0] in " +")
                yield Hunk(path, before, after)


@dataclass(frozen=True)
class Extended:
    """A copy of the product and of its laws that has the change, and the files of the product that
    it touches."""

    folder: Path
    touched: frozenset[str]

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a script prints that imports the copy."""
        return self._call("-c", script, *arguments)

    def hold_laws(self, name: str) -> subprocess.CompletedProcess[str]:
        """The laws of an op, which the copy has a strategy for."""
        laws = "tests/laws/test_laws.py"
        return self._call("-m", "pytest", "-q", "-p", "no:cacheprovider", laws, "-k", f"[{name}]")

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        command = [sys.executable, "-P", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )


def extend(title: str, folder: Path, *others: str) -> Extended:
    """The product with the changes that are shown under these headings."""
    for name in (*PRODUCT, *LAWS):
        if (ROOT / name).is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    hunks = [hunk for heading in (title, *others) for hunk in read_hunks(heading)]
    for hunk in hunks:
        path = folder / hunk.path
        if not hunk.before:
            assert not path.exists(), f"docs/extending.md: {hunk.path} is there already"
            path.write_text(hunk.after, encoding="utf-8")
            continue
        text = path.read_text(encoding="utf-8")
        assert text.count(hunk.before) == 1, f"docs/extending.md: {hunk.path} has changed"
        path.write_text(text.replace(hunk.before, hunk.after), encoding="utf-8")
    touched = (hunk.path for hunk in hunks if not hunk.path.startswith("tests/"))
    return Extended(folder, frozenset(touched))
