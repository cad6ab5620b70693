"""`weft inspect`: where a trained net looks, what its layers see, how it tells rows apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from weft.cli.checking import check_file
from weft.cli.options import Assignments, OutputFormat, SpecFile, choose_folder
from weft.cli.printing import say, say_lines

TrainOrNet = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="A train, or TRAIN.NET. Default: the first."),
]
Form = Annotated[OutputFormat, typer.Option("--format", help="How to print.")]
Rows = Annotated[
    str | None, typer.Option("--rows", metavar="N,N", help="Rows of the split. Default: first 8.")
]
Split = Annotated[
    str | None, typer.Option("--split", help="Default: test, or the last that there is.")
]
ClassName = Annotated[
    str | None,
    typer.Option("--class", metavar="CLASS", help="Number or word. Default: the predicted one."),
]
LayerPath = Annotated[
    str | None,
    typer.Option("--layer", metavar="PATH", help="Of Grad-CAM. Default: the last with a map."),
]
FeaturePath = Annotated[
    str | None,
    typer.Option(
        "--features", metavar="PATH", help="Layer of the features. Default: before the last one."
    ),
]
OutputName = Annotated[
    str | None, typer.Option("--scores", metavar="OUTPUT", help="Default: the first output.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="WAY",
        help="grad-cam, integrated-gradients, saliency, attention, filters or features. "
        "Can be repeated. Default: all that apply.",
    ),
]
Folder = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Of the training or build.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("inspect")(inspect_command)


def inspect_command(
    file: SpecFile,
    name: TrainOrNet = None,
    rows: Rows = None,
    split: Split = None,
    class_: ClassName = None,
    layer: LayerPath = None,
    features: FeaturePath = None,
    scores: OutputName = None,
    only: Only = None,
    output: Folder = None,
    form: Form = OutputFormat.TEXT,
    assignments: Assignments = None,
) -> None:
    """Look into a trained net: Grad-CAM, integrated gradients, saliency, attention, the filters of
    the first layer, and features of all rows with PCA and t-SNE.

    Writes pictures, arrays and inspect.html into DIR/TRAIN/inspect, of several nets into
    DIR/TRAIN/inspect/NET; the report of the next `weft build` shows the pictures too. Rows are
    counted from 0 within their split.

    Examples:

        weft inspect digits.weft

        weft inspect digits.weft fit --rows 0,5,7 --class 3 --layer conv2

        weft inspect digits.weft --only features --split val
    """
    from weft.deployed.trained_data import find_words
    from weft.inspection.inspecting import PAGE, find_folder, inspect_net
    from weft.inspection.subject import Choice, open_subject
    from weft.results.chosen import read_chosen
    from weft.results.lock import hold_folder

    root = choose_folder(output, file)
    words = partial(find_words, folder=root)
    program = check_file(file, assignments, words=words, chosen=read_chosen(root))
    choice = Choice(rows, split, class_, layer, features, scores)
    subject = open_subject(program, name, root, choice)
    folder = find_folder(subject.train, subject.net, root / subject.train.name)
    with hold_folder(root, [subject.train.name]):
        found = inspect_net(subject, only or (), folder)
    if form is OutputFormat.JSON:
        say_lines(json.dumps(found, indent=2))
        return
    _show(found)
    say(f"wrote {folder / PAGE}")


def _show(found: Mapping[str, Any]) -> None:
    """Prints a line for each row and each method."""
    from weft.inspection.page import describe_notes, describe_row

    for row in found["rows"]:
        say(describe_row(row))
    for method, notes in found["methods"].items():
        say(f"{method}: {describe_notes(method, notes)}")
    for method, reason in found["left_out"].items():
        say(f"{method}: not shown, {reason}")
