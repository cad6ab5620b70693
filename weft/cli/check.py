"""`weft check`: find every fault before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.reporting import Assignments, Format, OutputFormat, check_file


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("check")
    def check_command(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".weft files.")],
        assignments: Assignments = None,
        form: Format = OutputFormat.TEXT,
        data: Annotated[
            bool, typer.Option("--data", help="Also load the data and look at the numbers.")
        ] = False,
    ) -> None:
        """Check specs: names, shapes, types, clauses.

        Every fault found is printed, with the line it stands on; the status is 1 if there was
        an error.

        Examples:

            weft check net.weft

            weft check --format=json net.weft

            weft check --set fit.width=32 --data net.weft
        """
        failed = False
        for path in files:
            try:
                program = check_file(path, assignments, form)
            except typer.Exit:
                failed = True
                continue
            if data:
                from weft.data_checks import check_data

                check_data(program)
        if failed:
            raise typer.Exit(1)
