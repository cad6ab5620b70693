"""Tutorials are run: every command and every Python block, in order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
PLAIN = re.compile(r"weft [\w .=/:-]+")
"""A command in which a shell has nothing to replace."""
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.M | re.S)


def test_there_are_tutorials() -> None:
    assert PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_block_of_a_tutorial_runs(page: Path, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "weft"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m weft.cli.main "$@"\n')
    command.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks
    for program in (program for block in blocks for program in list_programs(*block)):
        done = subprocess.run(
            program, cwd=work, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"


def list_programs(language: str, text: str) -> list[list[str]]:
    """The programs that a block starts: commands of Weft alone need no shell."""
    if language == "python":
        return [[sys.executable, "-c", text]]
    lines = text.splitlines()
    if all(PLAIN.fullmatch(line) for line in lines):
        return [[sys.executable, "-m", "weft.cli.main", *line.split()[1:]] for line in lines]
    return [["sh", "-e", "-c", text]]
