"""`weft build`: everything a spec asks for, in order, and nothing twice."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from compiler.report.diagnostics import CompileError
from compiler.writing.python import show
from weft.cli.checking import check_again, check_file
from weft.cli.options import (
    Assignments,
    Device,
    DeviceOption,
    OutputFolder,
    SpecFile,
    choose_folder,
)
from weft.cli.printing import print_messages, say


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("build")
    def build_command(
        file: SpecFile,
        output: OutputFolder = None,
        force: Annotated[bool, typer.Option("--force", help="Make everything anew.")] = False,
        device: DeviceOption = Device.AUTO,
        assignments: Assignments = None,
        explain: Annotated[
            bool, typer.Option("--explain", help="Say for each layer what passes did, and why.")
        ] = False,
    ) -> None:
        """Train, compress, compile, verify, measure: from a spec to verified ONNX files and a
        report.

        What is up to date is not made again; a build that was interrupted goes on where it
        stopped. The folder is output/SPEC unless -o names one. A `require` that does not hold
        ends the build with status 1, after the report is written.

        Examples:

            weft build digits.weft

            weft build digits.weft -o out --set fit.epochs=5 --force
        """
        program = check_file(file, assignments)
        from backends.onnx_runtime.session import Device as Place
        from weft.building.build import Build
        from weft.building.describing import explain_outcome

        folder = choose_folder(output, file)
        recheck = check_again(file, assignments)
        place = Place(device.value)
        build = Build(program, folder, place, force=force, echo=say, recheck=recheck)
        report = build.make()
        print_report(report.spec, [(s.title, s.rows) for s in report.sections])
        if explain:
            for outcome in report.outcomes:
                for line in explain_outcome(outcome):
                    say(line)
        print_messages(report.warnings)
        say(f"report: {folder / 'report.md'}, {folder / 'report.html'}")
        if report.failures:
            raise CompileError(report.failures)


def print_report(spec: str, sections: list[tuple[str, tuple[tuple[str, str], ...]]]) -> None:
    """The report as a table on the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(show(spec)), title_justify="left", box=None, show_header=False)
    for _ in range(2):
        table.add_column(overflow="fold")
    for title, rows in sections:
        table.add_row(Text(show(title)), "", style="bold")
        for what, figure in rows:
            table.add_row(Text(f"  {show(what)}"), Text(show(figure)))
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)
