"""`weft train`: write the training of a spec as PyTorch code and run it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compiler.program.program import Program
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import nothing_to_do, unknown_item
from compiler.report.suggestions import did_you_mean
from weft.building.plan import order_trains
from weft.cli.checking import check_file
from weft.cli.options import Assignments, Device, DeviceOption, SpecFile, choose_folder
from weft.cli.printing import say

if TYPE_CHECKING:
    from weft.results.generated import GeneratedFiles

TrainName = Annotated[
    str | None, typer.Argument(metavar="[TRAIN]", help="Which train; none: all of them.")
]
Folder = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default: output/SPEC.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Start anew, and delete what a training left.")
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs", min=1, metavar="N", help="Train N epochs in all; with --resume, go on to these."
    ),
]
CodeOnly = Annotated[
    bool, typer.Option("--code-only", help="Write model.py and train.py, run nothing.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("train")(train_command)


def train_command(
    file: SpecFile,
    name: TrainName = None,
    output: Folder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    epochs: Epochs = None,
    code_only: CodeOnly = False,
    device: DeviceOption = Device.AUTO,
    assignments: Assignments = None,
) -> None:
    """Train nets: writes DIR/TRAIN/model.py and train.py, and runs them.

    The code stands alone: it runs without Weft, and under torchrun where the spec says
    `processes ddp`. The folder then holds best.safetensors, last.pt, metrics.jsonl and
    results.json. Where a training was begun, one of --resume, which asks for the same settings,
    and --overwrite has to be given.

    Examples:

        weft train digits.weft

        weft train digits.weft fit --set fit.lr=1e-3 --resume

        weft train digits.weft fit --resume --epochs 60

        weft train digits.weft --code-only -o out

        torchrun --nproc-per-node 2 out/fit/train.py
    """
    program = check_file(file, assignments)
    from backends.pytorch.run.running import refuse_epochs
    from weft.results.generated import GeneratedFiles
    from weft.results.lock import hold_folder

    root = choose_folder(output, file)
    trains = choose_trains(program, name)
    if epochs is not None:
        for train in trains:
            refuse_epochs(train, epochs)
        trains = [replace(train, epochs=epochs) for train in trains]
    files = GeneratedFiles(root, say)
    job = None if code_only else Job(program.source.folder, device, resume, overwrite, epochs)
    with hold_folder(root, [train.name for train in trains]):
        for train in trains:
            _train(train, root / train.name, program.source.folder, files, job)


@dataclass(frozen=True)
class Job:
    """How scripts are run: what paths of data start from, where, and what becomes of results that
    are there already."""

    data_root: Path
    device: Device
    resume: bool
    overwrite: bool
    epochs: int | None


def _train(train: Train, folder: Path, root: Path, files: GeneratedFiles, job: Job | None) -> None:
    """Writes the code of a train, and runs it where there is a job."""
    from backends.pytorch.run.running import refuse_loss
    from backends.pytorch.train.folder import write_training
    from compiler.ir.memory import need_weights
    from weft.deployed.compiling import check_data

    if job is not None:
        need_weights(train.graph)
        longer = job.epochs is not None
        refuse_loss(train, folder, resume=job.resume, overwrite=job.overwrite, longer=longer)
    write_training(train, folder, root=root, files=files)
    say(f"wrote {folder / 'model.py'} and {folder / 'train.py'}")
    if job is not None:
        check_data(train)
        _run(train, folder, job)


def _run(train: Train, folder: Path, job: Job) -> None:
    """Runs the script of a train, with its progress, and prints what it measured."""
    from backends.pytorch.run.running import run_training
    from backends.pytorch.train.script_spec import ScriptSpec
    from compiler.loading import read_trained
    from weft.building.report import format_metrics
    from weft.results.progress import follow_epochs

    with follow_epochs(train.epochs) as on_progress:
        results = run_training(
            folder,
            data_root=job.data_root,
            resume=job.resume,
            overwrite=job.overwrite,
            device=job.device.value,
            epochs=job.epochs,
            on_progress=on_progress,
            span=train.span,
            source=train.data.span,
        )
    read_trained(train, results.weights, train.span)
    for split, figures in results.figures.items():
        say(f"{split}: {format_metrics(figures, [m.name for m in train.metrics])}")
    if not train.learns:
        say(f"nothing is trained; weights: {results.weights}")
        return
    best = f"best epoch {results.best_epoch} of {results.epochs} ({ScriptSpec(train).choice})"
    say(f"{best}, {results.seconds:.1f} s; weights: {results.weights}")


def choose_trains(program: Program, name: str | None) -> list[Train]:
    """The train of that name, or all.

    Raises:
        CompileError: there is none.
    """
    known = tuple(program.trains)
    if not known:
        raise CompileError([nothing_to_do(None, "train", "`train`")])
    if name is None:
        return list(order_trains(program, program.trains))
    if name not in program.trains:
        raise CompileError([unknown_item(None, "train", name, known, did_you_mean(name, known))])
    return [program.trains[name]]
