"""`weft fmt`: one canonical layout for specs."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from compiler.driver import read_source
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.system.files import write_text
from compiler.text.format.format import format_source
from weft.cli.printing import print_messages, say


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("fmt")
    def format_command(
        files: Annotated[
            list[Path], typer.Argument(metavar="FILE...", help=".weft files; - is standard input.")
        ],
        only_check: Annotated[
            bool, typer.Option("--check", help="Change nothing; status 1 if a file would change.")
        ] = False,
        diff: Annotated[
            bool, typer.Option("--diff", help="Change nothing; print what would change.")
        ] = False,
    ) -> None:
        """Format specs in place.

        A file with a syntax error is left as it is and reported.

        Examples:

            weft fmt net.weft

            weft fmt --check specs/*.weft

            cat net.weft | weft fmt -
        """
        statuses = [_format(path, only_check=only_check, diff=diff) for path in files]
        if not all(statuses):
            raise typer.Exit(1)


def _format(path: Path, *, only_check: bool, diff: bool) -> bool:
    """Formats one file; whether it is well."""
    sink = Sink()
    standard_input = str(path) == "-"
    source = Source("<stdin>", sys.stdin.read()) if standard_input else read_source(path, sink)
    if source is None:
        print_messages(sink.messages)
        return False
    text = format_source(source, sink)
    if sink.has_errors:
        print_messages(sink.messages)
        return False
    same = text == source.text
    if diff and not same:
        old, new = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(old, new, str(path), f"{path} (formatted)"))
    elif only_check and not same:
        say(f"{path} is not formatted")
    elif standard_input:
        sys.stdout.write(text)
    elif not (same or only_check):
        write_text(path, text)
        say(f"formatted {path}")
    return same or not (only_check or diff)
