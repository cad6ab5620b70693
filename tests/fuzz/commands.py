"""Specs that pass the check, through `show` and `compile` as the command line runs them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from compiler.program.program import Program
from weft.cli.crash import VARIABLE
from weft.cli.main import CRASHED, run_command

SMALL = 100_000
"""Parameters of a net that is compiled to ONNX too."""

NODES = 40
"""Nodes of a net that is compiled to ONNX too."""


def run_commands(text: str, folder: Path, program: Program) -> None:
    """Show the nets of a sound spec and compile them.

    Raises:
        AssertionError: a command broke down; with its traceback.
    """
    path = folder / "fuzz.weft"
    path.write_text(text, encoding="utf-8", newline="")
    with TemporaryDirectory() as out:
        run("show", str(path))
        run("compile", str(path), "-o", out, "--pytorch")
        if is_small(program):
            run("compile", str(path), "-o", out, "--onnx", "--no-verify")


def is_small(program: Program) -> bool:
    """Whether every net is small enough to be drawn and written."""
    graphs = [net.graph for net in (*program.models.values(), *program.nets.values())]
    sizes = [sum(p.value.type.size.known or SMALL for p in graph.parameters) for graph in graphs]
    return max(sizes, default=0) < SMALL and max((len(g.nodes) for g in graphs), default=0) < NODES


def run(*arguments: str) -> None:
    """Runs a command in this process; a fault of Weft is an assertion with its traceback."""
    printed = io.StringIO()
    status: object = 0
    with arranged(arguments), redirect_stdout(io.StringIO()), redirect_stderr(printed):
        try:
            run_command()
        except SystemExit as end:
            status = end.code
    assert status in (0, 1, None), f"status {status} of weft {arguments[0]}\n{printed.getvalue()}"
    assert status != CRASHED


@contextmanager
def arranged(arguments: tuple[str, ...]) -> Iterator[None]:
    """The command line and the environment of a run."""
    before, sys.argv = sys.argv, ["weft", *arguments]
    os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        sys.argv = before
        del os.environ[VARIABLE]
