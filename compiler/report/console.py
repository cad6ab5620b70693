"""Console sessions: the examples of messages about files, commands and runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compiler.records import dataclass

PROMPT = "$ "
SHOW = "cat "
PRINTED = Path(__file__).with_name("printed")
"""What the sessions print of their messages, a file per code. The tests run every session, hold
this against it, and write it with `--accept`."""


@dataclass(frozen=True)
class Step:
    """A command of a session. `cat FILE` shows a file that the session needs; what follows it up
    to the next prompt is its text."""

    command: str
    text: str = ""

    @property
    def file(self) -> str:
        """The file that is shown; empty for a command that does something."""
        return self.command.removeprefix(SHOW) if self.command.startswith(SHOW) else ""


def read_session(text: str) -> Sequence[Step]:
    """The steps of a session: lines that begin with a prompt, and the files between them.

    Raises:
        ValueError: for text that does not begin with a prompt, and for text behind a command that
            shows no file.
    """
    steps: list[Step] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(PROMPT):
            steps.append(Step(line.removeprefix(PROMPT).rstrip("\n")))
        elif steps and steps[-1].file:
            steps[-1] = Step(steps[-1].command, steps[-1].text + line)
        else:
            raise ValueError(f"no file is shown that could hold the line {line!r}")
    return steps


def read_printed(code: str) -> str:
    """What the session of a message prints of it; empty for a message without a session."""
    path = PRINTED / f"{code}.txt"
    return path.read_text(encoding="utf-8") if path.exists() else ""
