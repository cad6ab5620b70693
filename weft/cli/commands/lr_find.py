"""`weft lr-find`: which learning rate to begin with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weft.cli.checking import check_file
from weft.cli.commands.train import TrainName, choose_trains
from weft.cli.options import (
    Assignments,
    Device,
    DeviceOption,
    OutputFolder,
    OutputFormat,
    SpecFile,
    choose_folder,
)
from weft.cli.printing import say, say_lines

if TYPE_CHECKING:
    from backends.pytorch.run.rates import FoundRate
    from compiler.program.train import Train

Least = Annotated[float, typer.Option("--from", metavar="LR", help="Rate of the first step.")]
Most = Annotated[float, typer.Option("--to", metavar="LR", help="Rate of the last step.")]
Steps = Annotated[int, typer.Option("--steps", metavar="N", help="Steps.", min=20, max=100_000)]


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("lr-find")(lr_find_command)


def lr_find_command(
    file: SpecFile,
    name: TrainName = None,
    output: OutputFolder = None,
    least: Least = 1e-6,
    most: Most = 1.0,
    steps: Steps = 200,
    device: DeviceOption = Device.AUTO,
    form: Annotated[OutputFormat, typer.Option("--format", help="How to print.")] = (
        OutputFormat.TEXT
    ),
    assignments: Assignments = None,
) -> None:
    """Find a learning rate: train for a few steps whose rate grows, and see where the loss falls.

    Nothing of a training in DIR is touched. The rate of the steepest fall of the smoothed loss is a
    good one to begin with; where the loss turns is too high. With several groups of parameters it
    is the rate of the first, and the others keep their ratio to it.

    Examples:

        weft lr-find digits.weft

        weft lr-find digits.weft fit --from 1e-5 --to 10 --steps 500
    """
    from backends.pytorch.run.rates import find_rate
    from compiler.ir.memory import need_weights
    from weft.building.rate_pictures import write_rates
    from weft.deployed.compiling import check_data
    from weft.results.lock import hold_folder

    program = check_file(file, assignments)
    train = choose_trains(program, name)[0]
    _refuse(train, least, most)
    need_weights(train.graph)
    check_data(train)
    root = choose_folder(output, file)
    place = root / f"{train.name}-lr-find"
    with hold_folder(root, [place.name]):
        found = find_rate(
            train,
            place,
            data_root=program.source.folder,
            least=least,
            most=most,
            steps=steps,
            device=device.value,
        )
        page = write_rates(file.name, train, found, place)
    _print(train, found, page, form)


def _refuse(train: Train, least: float, most: float) -> None:
    """Refuses a search that makes no sense.

    Raises:
        CompileError: it does not.
    """
    from compiler.report.diagnostics import CompileError
    from compiler.report.messages.training_machinery import no_rate_to_find, rates_do_not_grow

    if not 0 < least < most < float("inf"):
        raise CompileError([rates_do_not_grow(None, least, most)])
    if len(train.steps) != 1 or any(
        g.optimizer.evaluates or g.optimizer.solves for g in train.groups
    ):
        raise CompileError([no_rate_to_find(train.span, train.name)])


def _print(train: Train, found: FoundRate, page: Path, form: OutputFormat) -> None:
    if form is OutputFormat.JSON:
        probes = [[p.rate, p.loss, p.smooth] for p in found.probes]
        shown = {"steepest": found.steepest, "tenth": found.tenth, "probes": probes}
        say_lines(json.dumps({train.name: shown}, indent=2))
        return
    if found.steepest is None or found.tenth is None:
        say(f"{train.name}: the loss falls at no rate; look at {page}")
        return
    say(
        f"{train.name}: lr={found.steepest:.2g}, where the loss falls fastest; "
        f"lr={found.tenth:.2g}, a tenth of the rate of the lowest loss"
    )
    say(f"{len(found.probes)} steps; wrote {page}")
