"""`weft data`: look at the data before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compiler.data.base import OpenedSource
from compiler.driver import check
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError, Message, Severity, Sink
from compiler.report.render import render_json
from compiler.report.suggestions import did_you_mean
from compiler.rows.validation import validate_data
from weft.cli.options import (
    Assignments,
    Format,
    OutputFolder,
    OutputFormat,
    SpecFile,
    choose_folder,
    split_assignments,
)
from weft.cli.printing import print_messages, print_page, say

if TYPE_CHECKING:
    from compiler.rows.loading import LoadedData
    from weft.survey.survey import Survey

DataName = Annotated[
    str | None, typer.Argument(metavar="[DATA]", help="Which data item; none: all trained on.")
]
Html = Annotated[
    bool, typer.Option("--html", help="Also write DIR/data.html, with pictures of samples.")
]
PAGE = "data.html"
"""The page of a survey in the folder of a build."""


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("data")(data_command)


def data_command(
    file: SpecFile,
    name: DataName = None,
    html: Html = False,
    output: OutputFolder = None,
    form: Format = OutputFormat.TEXT,
    assignments: Assignments = None,
) -> None:
    """Look at data that something is trained on: columns, splits, classes, copies, leaks.

    For every target of a loss or metric: how many rows of each class stand in each split, and how
    strongly each column that is read goes together with it. A column that is the target under
    another name is a warning. The page also shows histograms, and training rows before and
    after augmentation.

    Examples:

        weft data digits.weft

        weft data digits.weft digits --html

        weft data --format=json digits.weft
    """
    sink = Sink()
    opened: dict[str, OpenedSource] = {}
    overrides = split_assignments(assignments)
    program = check(file, overrides=overrides, sink=sink, opened=opened)
    if program is None or sink.has_errors:
        print_messages(sink.messages, form)
        raise typer.Exit(1)
    found = _survey(program, opened, name, sink)
    if form is OutputFormat.JSON:
        told = {"data": {one.survey.name: asdict(one.survey) for one in found}}
        print_page(render_json(sink.messages, told))
    else:
        _print(found)
        print_messages(sink.messages)
    if html and found:
        _write(file, output, found, sink.messages)
    if sink.has_errors:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Surveyed:
    """A survey, the first train that it is for, and the rows of that train."""

    survey: Survey
    train: Train
    rows: LoadedData


def _survey(
    program: Program, opened: Mapping[str, OpenedSource], name: str | None, sink: Sink
) -> list[Surveyed]:
    """Surveys of the data item of that name, or of all that trains are on; of those that cannot be
    read it is reported.

    Raises:
        CompileError: no train is on data of that name.
    """
    from compiler.data.summary import summarize_source
    from compiler.report.messages.surveys import column_is_target, data_is_not_trained_on
    from weft.survey.survey import survey_data

    users: dict[str, list[Train]] = {}
    for train in program.trains.values():
        for one in train.data.parts:
            users.setdefault(one.name, []).append(train)
    if (name is not None and name not in users) or not users:
        near = did_you_mean(name, tuple(users)) if name is not None else None
        raise CompileError([data_is_not_trained_on(None, name or "", tuple(users), near)])
    found = []
    loaded = {train.name: validate_data(train, sink) for train in program.trains.values()}
    for data, trains in users.items():
        whole = loaded[trains[0].name]
        if whole is None or name not in (None, data):
            continue
        part = whole.beside[data][0] if whole.beside else whole
        columns = list(summarize_source(opened[data])) if data in opened else []
        survey = survey_data(part, columns, trains)
        found.append(Surveyed(survey, trains[0], whole))
        for target in survey.targets:
            if target.leaks:
                sink.report(column_is_target(trains[0].data.span, target.column, target.leaks))
    return found


def _print(found: Sequence[Surveyed]) -> None:
    from weft.survey.text import describe_survey

    for number, one in enumerate(found):
        for line in ["", *describe_survey(one.survey)] if number else describe_survey(one.survey):
            say(line)


def _write(
    file: Path, output: Path | None, found: Sequence[Surveyed], messages: Sequence[Message]
) -> None:
    """Writes the page, whole or not at all."""
    from compiler.system.files import replacing
    from weft.survey.page import write_survey
    from weft.survey.samples import draw_samples

    place = choose_folder(output, file) / PAGE
    place.parent.mkdir(parents=True, exist_ok=True)
    warnings = [m.text.title for m in messages if m.severity is Severity.WARNING]
    sheets = {one.survey.name: list(draw_samples(one.train, one.rows)) for one in found}
    page = write_survey(file.name, [one.survey for one in found], sheets, warnings)
    with replacing(place) as part:
        part.write_text(page, encoding="utf-8")
    say(f"wrote {place}")
