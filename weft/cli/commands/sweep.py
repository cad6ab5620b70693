"""`weft sweep`: search the parameters of a train or variant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from compiler.program.program import Program
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import nothing_to_do, unknown_item
from compiler.report.suggestions import did_you_mean
from compiler.system.files import write_text
from weft.cli.checking import check_again, check_file
from weft.cli.commands.build import print_report
from weft.cli.options import (
    Assignments,
    Device,
    DeviceOption,
    OutputFolder,
    SpecFile,
    choose_folder,
)
from weft.cli.printing import say

SweepName = Annotated[
    str | None, typer.Argument(metavar="[SWEEP]", help="Which sweep; none: all of them.")
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Where trials are recorded: sqlite:///FILE, postgresql://…, journal:FILE.",
    ),
]
Count = Annotated[
    int, typer.Option("--workers", metavar="N", help="Processes that take trials.", min=1, max=512)
]
Join = Annotated[
    bool, typer.Option("--join", help="Take trials of a sweep that runs, and write no report.")
]


LAUNCH = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from weft.cli.entry import main
main()
"""
"""Runs a command of the same Weft, wherever that is installed."""


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("sweep")(sweep_command)


def sweep_command(
    file: SpecFile,
    name: SweepName = None,
    output: OutputFolder = None,
    workers: Count = 1,
    storage: Storage = None,
    join: Join = False,
    device: DeviceOption = Device.AUTO,
    assignments: Assignments = None,
) -> None:
    """Search the parameters of trains and variants: runs the trials of a sweep that are missing.

    Each trial is an ordinary training in DIR/SWEEP/trials. Several processes may work on one
    sweep, also on several machines that share a storage; one that is killed loses no trial.
    `weft build` runs sweeps too, and builds what they have chosen.

    Examples:

        weft sweep digits.weft

        weft sweep digits.weft tune --workers 4

        weft sweep digits.weft tune --storage postgresql://user@host/trials --join
    """
    program = check_file(file, assignments)
    from backends.onnx_runtime.session import Device as Place
    from weft.building.build_outputs import open_context
    from weft.building.page import write_page
    from weft.building.report import Report
    from weft.building.sweep_stages import SweepRunner, Workers
    from weft.results.chosen import SUMMARY
    from weft.results.lock import hold_folder

    names = choose_sweeps(program, name)
    folder = choose_folder(output, file)
    context = open_context(folder, Place(device.value), say, say)
    recheck = check_again(file, assignments)
    for chosen in names:
        given = [str(file), chosen, "-o", str(folder), "--device", device.value]
        spawn = make_spawner(given, storage, assignments or ())
        hold = partial(hold_folder, folder, program.trains)
        runner = SweepRunner(program, context, recheck, Workers(workers, spawn, storage), hold)
        if join:
            runner.join(chosen)
            continue
        section = runner.settle(chosen).describe(folder)
        page = (folder / chosen / SUMMARY).with_name("report.html")
        write_text(page, write_page(Report(file.name, (section,))))
        print_report(file.name, [(section.title, section.rows)])
        say(f"trials: {folder / chosen / SUMMARY}, {page}")


def choose_sweeps(program: Program, name: str | None) -> list[str]:
    """The sweep of that name, or all.

    Raises:
        CompileError: there is none.
    """
    known = tuple(program.sweeps)
    if not known:
        raise CompileError([nothing_to_do(None, "sweep", "`sweep`")])
    if name is None:
        return list(known)
    if name not in program.sweeps:
        raise CompileError([unknown_item(None, "sweep", name, known, did_you_mean(name, known))])
    return [name]


def make_spawner(
    given: Sequence[str], storage: str | None, assignments: Sequence[str]
) -> Callable[[], subprocess.Popen[bytes]]:
    """What starts another process that takes trials, with the same arguments."""
    options = ["--join", *(["--storage", storage] if storage is not None else [])]
    options += [part for text in assignments for part in ("--set", text)]
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-P", "-c", LAUNCH, root, "sweep", *given, *options]
    return lambda: subprocess.Popen(command)
