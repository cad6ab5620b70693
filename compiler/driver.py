"""The whole compiler on one screen: from a text to its typed program, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from compiler.elaborate.api import open_file, run_deep
from compiler.elaborate.items.allowances import Allowances
from compiler.elaborate.items.overrides import read_overrides, report_unknown_data
from compiler.elaborate.items.program import elaborate_program
from compiler.elaborate.items.sweeps import Chosen as ChosenValues
from compiler.elaborate.values.values import Val
from compiler.program.program import Program
from compiler.report.diagnostics import Message, Sink
from compiler.report.messages.files import file_missing, file_unreadable
from compiler.report.source import Source
from compiler.report.suggestions import did_you_mean
from compiler.system.files import list_names, read_source_text
from compiler.text.parse import parse
from compiler.text.tree.expressions import Expr
from compiler.text.tree.syntax import File

if TYPE_CHECKING:
    from compiler.data.base import OpenedSource
    from compiler.data.codes import TrainedWords

STAGES = ("tree", "program", "graphs")
"""What `--print-after=STAGE` can show: the syntax tree, the items with their settings, and the
graph of every net, data set and objective."""

Print = Callable[[str], None]
Read = Callable[[Path], str]
Observe = Callable[[Expr, Val], None]
Arrays = Mapping[str, Mapping[str, NDArray[Any]]]
Chosen = ChosenValues
"""The values that sweeps stand for, by sweep and parameter."""
FindWords = Callable[[File], Mapping[str, "TrainedWords"]]
"""The words of data items, by item, from the tree of a spec."""


def check(
    path: Path | str,
    *,
    overrides: Mapping[str, str] | None = None,
    sink: Sink,
    print_after: Mapping[str, Print] | None = None,
    arrays: Arrays | None = None,
    words: FindWords | None = None,
    read: Read = read_source_text,
    observe: Observe | None = None,
    opened: dict[str, OpenedSource] | None = None,
    chosen: Chosen | None = None,
) -> Program | None:
    """The typed program of a file. What is wrong is in `sink` afterwards.

    Args:
        path: a `.weft` file.
        overrides: values by NAME, which is `item.parameter` or a parameter alone where only one
            item has it; `digits.path` is an option of a data item's source.
        sink: takes the diagnostics.
        print_after: what to do with the text of a stage of `STAGES`.
        arrays: columns in place of the sources of data items, by item.
        words: finds what trainings have seen in the columns of data items: codes and numbers of
            categories are theirs then, whichever of these words the data holds now.
        read: brings the text of a file, this one and those that it uses: from the disk, or what
            an editor holds of it. It raises what `read_source_text` raises.
        observe: told every expression and its value, each time that it is elaborated: of an
            expression in a block, once for each call of the block.
        opened: takes the sources of data items whose columns could be read, by item.
        chosen: the values that sweeps stand for, by sweep and parameter, as their best trials
            have them. A sweep that would not draw these stands for the first of every space.

    Returns:
        The program without the items that were refused; None where a text leaves no tree.
    """
    source = read_source(Path(path), sink, read)
    if source is None:
        return None
    return check_source(
        source,
        overrides=overrides,
        sink=sink,
        print_after=print_after,
        arrays=arrays,
        words=words,
        read=read,
        observe=observe,
        opened=opened,
        chosen=chosen,
    )


def check_source(
    source: Source,
    *,
    overrides: Mapping[str, str] | None = None,
    sink: Sink,
    print_after: Mapping[str, Print] | None = None,
    arrays: Arrays | None = None,
    words: FindWords | None = None,
    read: Read = read_source_text,
    observe: Observe | None = None,
    opened: dict[str, OpenedSource] | None = None,
    chosen: Chosen | None = None,
) -> Program | None:
    """The typed program of a text: see `check`."""
    show = print_after or {}
    file = parse(source, sink)
    if "tree" in show:
        from compiler.describe import describe_tree  # few ask for it

        show["tree"](describe_tree(file))
    readable = not sink.has_errors
    values = read_overrides(file, overrides or {}, sink if readable else Sink())
    if readable:
        report_unknown_data(file, arrays or {}, sink)
    if readable and sink.has_errors:
        return None
    found = Sink()
    lines: set[int] = set()
    if file.directives:
        observe = _note_lines(source, lines, observe)
    scope = open_file(file, found, values, read=read, observe=observe)
    scope.session.words = words(file) if words is not None else {}
    if arrays:
        from compiler.data.memory import Memory  # a check of a file on the disk never needs it

        scope.session.sources = {name: Memory(columns) for name, columns in arrays.items()}
    program = run_deep(lambda: scope.session.attempt(lambda: elaborate_program(scope, chosen)))
    if opened is not None:
        opened.update(scope.session.opened)
    allowances = Allowances(used.file for used in scope.session.files.values())
    _report_found(allowances, scope.session.select(found.messages), file, lines, sink)
    if not readable or program is None:
        return None  # items without mistakes were checked, and are no whole program
    if program.variants and not sink.has_errors:
        _check_variants(program, sink)
    if show:
        _show_program(program, show)
    return program


def _check_variants(program: Program, sink: Sink) -> None:
    """Reports what no variant of a program can come to."""
    from compiler.compression.feasibility import find_impossible  # a spec may have none

    for message in find_impossible(program):
        sink.report(message)


def _show_program(program: Program, show: Mapping[str, Print]) -> None:
    """Prints the stages that a program can show."""
    from compiler.describe import describe_graphs, describe_program  # few ask for it

    for stage, describe in (("program", describe_program), ("graphs", describe_graphs)):
        if stage in show:
            show[stage](describe(program))


def _report_found(
    allowances: Allowances, found: Iterable[Message], file: File, lines: set[int], sink: Sink
) -> None:
    """Reports what an elaboration met, but for the lints that comments silence; then comments of
    the file that silence nothing, at the lines that were elaborated."""
    for message in (*allowances.mistakes, *allowances.select(found)):
        sink.report(message)
    if not sink.has_errors:
        for message in allowances.find_unused(file, lines):
            sink.report(message)


def _note_lines(source: Source, lines: set[int], observe: Observe | None) -> Observe:
    """Notes at which lines of a text expressions are elaborated, and tells them on."""

    def note(expression: Expr, value: Val) -> None:
        span = expression.span
        if span.source is source:
            lines.update(range(source.position(span.start)[0], source.position(span.end)[0] + 1))
        if observe is not None:
            observe(expression, value)

    return note


def read_source(path: Path, sink: Sink, read: Read = read_source_text) -> Source | None:
    """The text of a file; None where it cannot be read, which is reported."""
    try:
        return Source(str(path), read(path))
    except FileNotFoundError:
        close = did_you_mean(path.name, list_names(path.parent, "*.weft"))
        suggestion = str(path.with_name(close)) if close is not None else None
        sink.report(file_missing(None, str(path), suggestion))
    except UnicodeDecodeError as error:
        reason = f"it is not text in UTF-8 (byte {error.start})"
        sink.report(file_unreadable(None, str(path), reason))
    except OSError as error:
        sink.report(file_unreadable(None, str(path), error.strerror or str(error)))
    except ValueError as error:
        sink.report(file_unreadable(None, str(path), str(error)))
    return None
