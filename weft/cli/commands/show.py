"""`weft show`: a net as a table of its blocks, or as a drawing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from compiler.ir.cost import Summary, summarize, walk
from compiler.ir.drawing import draw_graph
from compiler.ir.graph import Graph, Parameter
from compiler.ir.weights import match_paths
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import bad_assignment, unknown_item
from compiler.report.suggestions import did_you_mean
from compiler.system.files import write_text
from compiler.vocabulary.signature import write_call
from compiler.writing.python import show
from weft.cli.checking import check_file
from weft.cli.options import (
    Assignments,
    BuildFolder,
    Format,
    OutputFormat,
    SpecFile,
    default_folder,
)
from weft.cli.printing import say, say_lines

LARGEST = 2**31 - 1
"""The largest size that figures are given for."""
NAMED = 8
"""How many parameters of a group are named."""


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    app.command("show")(show_command)


def show_command(
    file: SpecFile,
    item: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A model, net, train, variant."),
    ] = None,
    assignments: Assignments = None,
    depth: Annotated[int, typer.Option("--depth", help="Levels of blocks to open.", min=0)] = 1,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="DIM=N", help="Size of a symbolic dim; batch is 1."),
    ] = None,
    graph: Annotated[
        Path | None, typer.Option("--graph", metavar="SVG", help="Draw the net into a file.")
    ] = None,
    build: BuildFolder = None,
    form: Format = OutputFormat.TEXT,
) -> None:
    """Show shapes, parameters, FLOPs and memory of a net, block by block.

    FLOPs count a multiply-add as two operations. Memory is that of the outputs of all ops
    in the row, as training would keep them. Of a train, each optimizer is shown with its
    settings and the parameters that it holds.

    Examples:

        weft show net.weft

        weft show resnet.weft ResNet18 --depth 2 --size h=224 --size w=224

        weft show net.weft DigitNet --graph net.svg

        weft show digits.weft tiny
    """
    program = check_file(file, assignments)
    if item is not None and item in program.variants:
        graphs = _recall(program, item, build or default_folder(file))
    else:
        graphs = _choose(program, item)
    given = _read_sizes(sizes, {s for g in graphs.values() for s in g.symbols})
    if graph is not None:
        _draw(graphs, graph, depth)
        return
    trains = [t for t in program.trains.values() if item in (None, t.name)]
    _print(graphs, trains, given, depth, form)


def _print(
    graphs: Mapping[str, Graph],
    trains: Sequence[Train],
    given: Mapping[str, int],
    depth: int,
    form: OutputFormat,
) -> None:
    """The tables of the nets, then what the optimizers of trains hold."""
    if form is OutputFormat.JSON:
        shown = {name: _to_json(g, given) for name, g in graphs.items()}
        shown |= {f"train {t.name}": {"groups": _encode_groups(t)} for t in trains}
        say_lines(json.dumps(shown, indent=2))
    else:
        for name, chosen in graphs.items():
            _print_table(name, chosen, depth, given)
        for train in trains:
            _print_groups(train)


def _recall(program: Program, variant: str, folder: Path) -> Mapping[str, Graph]:
    """The net of a variant: what passes left, only a build knows, and only this needs a backend."""
    from weft.building.build_outputs import recall_variant

    return {variant: recall_variant(program, program.variants[variant], folder)[0].graph}


def _draw(graphs: Mapping[str, Graph], path: Path, depth: int) -> None:
    """Draws each net into a file; the second one and later ones get their names in theirs."""
    for index, (name, chosen) in enumerate(graphs.items()):
        place = path if index == 0 else path.with_stem(f"{path.stem}_{name}")
        write_text(place, draw_graph(chosen, depth=depth))
        say(f"wrote {place}")


def _choose(program: Program, item: str | None) -> Mapping[str, Graph]:
    graphs = {n: net.graph for n, net in {**program.models, **program.nets}.items()}
    graphs |= {
        f"{train.name}.{trained.name}": trained.net.graph
        for train in program.trains.values()
        for trained in train.nets
        if trained.net.graph not in graphs.values()
    }
    if item is None:
        # A net that is its model with default arguments would only repeat the model's table.
        return {n: g for n, g in graphs.items() if n in program.models} or graphs
    if item in graphs:
        return {item: graphs[item]}
    if item in program.trains:
        return {t.name: t.net.graph for t in program.trains[item].nets}
    known = (*graphs, *program.trains, *program.variants)
    raise CompileError(
        [unknown_item(None, "model, net, train or variant", item, known, did_you_mean(item, known))]
    )


def _read_sizes(texts: list[str] | None, known: set[str]) -> dict[str, int]:
    """The sizes that were given, and a batch of 1.

    Raises:
        CompileError: a size is no whole number from 1 to `LARGEST`, or no net has it.
    """
    sizes = {"batch": 1}
    for text in texts or ():
        for pair in text.split(","):
            name, _, number = pair.partition("=")
            if not re.fullmatch(r" *[0-9]{1,10} *", number) or not 0 < int(number) <= LARGEST:
                raise CompileError([bad_assignment(None, text, "--size")])
            if name.strip() not in known:
                names = tuple(sorted(known))
                near = did_you_mean(name.strip(), names)
                raise CompileError([unknown_item(None, "open size", name.strip(), names, near)])
            sizes[name.strip()] = int(number)
    return sizes


def _print_table(name: str, graph: Graph, depth: int, sizes: Mapping[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    summary = summarize(graph)
    caption = show(_caption(graph, sizes))
    table = Table(title=show(name), caption=caption, title_justify="left", box=None)
    table.add_column("block")
    table.add_column("output")
    for heading in ("parameters", "FLOPs", "memory"):
        table.add_column(heading, justify="right")
    for level, row in walk(summary, depth):
        label = f"{row.path}: {row.kind}" if row.path and level else row.kind
        table.add_row(
            "  " * level + show(label),
            show(str(row.output.substitute(sizes))) if row.output else "",
            f"{row.parameters:,}" if row.parameters else "",
            _scale(_count(row, sizes, "flops"), 1000, ("", " k", " M", " G", " T")),
            _scale(_count(row, sizes, "memory"), 1024, (" B", " KiB", " MiB", " GiB")),
        )
    console = Console(
        width=None if sys.stdout.isatty() else 120,
        soft_wrap=True,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(table, end="\n\n")


def _find_groups(train: Train) -> Iterator[tuple[str, tuple[str, ...], Mapping[str, Parameter]]]:
    """Each group of parameters: its step and optimizer, its patterns, and what it holds. Frozen
    parameters come last; they have no optimizer."""
    for step in train.steps:
        called = f"{step.name}: " if step.name else ""
        for group in step.groups:
            held = train.find_held(step, group)
            yield f"{called}{write_call(group.optimizer)}", group.patterns or step.over, held
    frozen = match_paths(train.trainable, train.freeze)
    if frozen:
        yield "", train.freeze, {path: train.trainable[path] for path in frozen}


def _encode_groups(train: Train) -> list[object]:
    return [
        {"optimizer": optimizer or None, "over": list(patterns), "parameters": list(held)}
        for optimizer, patterns, held in _find_groups(train)
    ]


def _print_groups(train: Train) -> None:
    """What each optimizer of a train holds."""
    if not train.learns:
        say("")
        say(f"train {train.name}: evaluates, and trains nothing")
    for optimizer, patterns, held in _find_groups(train):
        numbers = sum(p.value.type.size.known or 0 for p in held.values())
        over = ", ".join(f'"{p}"' for p in patterns) or ("the rest" if train.groups[1:] else "all")
        count = f"{len(held)} parameter{'' if len(held) == 1 else 's'}"
        say("")
        given = f" ({train.arguments})" if train.arguments else ""
        say(f"train {train.name}{given}: {optimizer or 'frozen'}")
        say(f"    over {over}: {count}, {numbers:,} numbers")
        say(f"    {_shorten(list(held))}")
    for line in _describe_thaws(train):
        say(line)


def _describe_thaws(train: Train) -> Iterator[str]:
    """What is frozen at first, a line each."""
    for thaw in train.thaws:
        held = match_paths(train.trainable, thaw.patterns)
        yield f"    frozen until epoch {thaw.epochs}: {_shorten(held)}"


def _shorten(paths: Sequence[str]) -> str:
    shown = [*paths[:NAMED], f"and {len(paths) - NAMED} more"] if len(paths) > NAMED + 1 else paths
    return ", ".join(shown)


def _caption(graph: Graph, sizes: Mapping[str, int]) -> str:
    used = ", ".join(f"{s}={sizes[s]}" for s in graph.symbols if s in sizes)
    missing = [s for s in graph.symbols if s not in sizes]
    text = f"at {used}" if used else ""
    if missing:
        text += "; " if text else ""
        text += "give " + " ".join(f"--size {s}=N" for s in missing) + " for the missing figures"
    return text


def _count(row: Summary, sizes: Mapping[str, int], what: str) -> int | None:
    figure = 2 * row.multiply_adds if what == "flops" else row.activation_bytes
    return figure.substitute(sizes).known


def _scale(number: int | None, step: int, units: tuple[str, ...]) -> str:
    if number is None:
        return "?"
    if number == 0:
        return ""
    size, unit = float(number), 0
    while size >= step and unit < len(units) - 1:
        size, unit = size / step, unit + 1
    return f"{size:,.0f}{units[unit]}" if unit == 0 else f"{size:,.1f}{units[unit]}"


def _to_json(graph: Graph, sizes: Mapping[str, int]) -> object:
    def encode(row: Summary) -> dict[str, object]:
        return {
            "path": row.path,
            "kind": row.kind,
            "output": str(row.output) if row.output else None,
            "parameters": row.parameters,
            "flops": _count(row, sizes, "flops"),
            "memory_bytes": _count(row, sizes, "memory"),
            "children": [encode(child) for child in row.children],
        }

    return encode(summarize(graph))
