"""`weft explain`: the page of a message."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from compiler.explain import explain
from compiler.report.diagnostics import MESSAGES, CompileError
from compiler.report.messages import load_messages
from compiler.report.messages.files import unknown_code
from compiler.report.suggestions import did_you_mean
from weft.cli.printing import print_page, say, use_color


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("explain")
    def explain_command(
        code: Annotated[
            str | None, typer.Argument(metavar="CODE", help="A code, e.g. W0312; none: list all.")
        ] = None,
    ) -> None:
        """Explain a message: what it means, what causes it, and how to mend that.

        Examples:

            weft explain W0312

            weft explain
        """
        load_messages()
        if code is None:
            for known in sorted(MESSAGES):
                say(f"{known}  {MESSAGES[known].summary}")
            return
        page = explain(code.upper(), color=use_color(sys.stdout.isatty()))
        if page is None:
            suggestion = did_you_mean(code.upper(), sorted(MESSAGES))
            raise CompileError([unknown_code(None, code, suggestion)])
        print_page(page)
