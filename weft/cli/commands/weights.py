"""`weft weights`: what a weights file holds, and how its names become those of a net."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from compiler.ir.graph import Graph
from compiler.ir.weights import WeightsError, list_tensors
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import unknown_item
from compiler.report.messages.weights import weights_unreadable
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.strings import write_spec_string
from weft.cli.checking import check_file
from weft.cli.options import Assignments
from weft.cli.printing import say
from weft.cli.rename_rules import Proposal, propose_rules

SHOWN = 8
"""How many names are shown of those that nothing fits."""


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    app.command("weights")(weights_command)


def weights_command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .safetensors file.", show_default=False),
    ],
    spec: Annotated[
        Path | None,
        typer.Option("--for", metavar="SPEC", help="A spec whose net is to load the file."),
    ] = None,
    net: Annotated[
        str | None, typer.Option("--net", metavar="NAME", help="Which model or net of the spec.")
    ] = None,
    assignments: Assignments = None,
) -> None:
    """List the tensors of a weights file, or propose the `rename=[…]` under which a net loads it.

    Names are brought together by shapes and words; the proposal is what `load` takes, and what no
    rule reaches is named.

    Examples:

        weft weights resnet18.safetensors

        weft weights bert.safetensors --for encoder.weft --net Bert
    """
    try:
        tensors = list_tensors(file)
    except WeightsError as error:
        raise CompileError([weights_unreadable(None, str(error))]) from error
    if spec is None:
        _print_tensors(tensors)
        return
    name, graph = _choose(spec, assignments, net)
    wanted = {p.path: p.value.type.known_shape or () for p in graph.parameters}
    proposal = propose_rules({path: shape for path, (_, shape) in tensors.items()}, wanted)
    _print_proposal(file, name, len(wanted), proposal)


def _print_tensors(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    width = max(map(len, tensors), default=0)
    for path, (dtype, shape) in tensors.items():
        say(f"{path:{width}}  {dtype}[{', '.join(map(str, shape))}]")
    count = sum(math.prod(shape) for _, shape in tensors.values())
    say(f"{len(tensors):,} tensors, {count:,} numbers")


def _choose(spec: Path, assignments: list[str] | None, wanted: str | None) -> tuple[str, Graph]:
    """The net that is meant: the one of that name, or the only one.

    Raises:
        CompileError: there is none, or several to choose from.
    """
    program = check_file(spec, assignments)
    graphs = {name: net.graph for name, net in {**program.models, **program.nets}.items()}
    if wanted is None and len(program.models) == 1:
        wanted = next(iter(program.models))
    if wanted not in graphs:
        known, name = tuple(graphs), wanted or ""
        near = did_you_mean(name, known)
        raise CompileError([unknown_item(None, "model or net", name, known, near)])
    return wanted, graphs[wanted]


def _print_proposal(file: Path, name: str, count: int, proposal: Proposal) -> None:
    right = count - len(proposal.missing)
    say(f"{right:,} of {count:,} weights of {name} are in {file.name}")
    options = []
    if proposal.rules:
        rules = (f"{write_spec_string(o)} -> {write_spec_string(n)}" for o, n in proposal.rules)
        options.append(f"rename=[{', '.join(rules)}]")
    if right:
        arguments = ", ".join([write_spec_string(str(file)), *options])
        say(f"net {name.lower()} = {name}() -> load({arguments})")
    for what, paths in (
        ("not in the file, or of another shape", proposal.missing),
        ("in the file only", proposal.surplus),
    ):
        if paths:
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            say(f"{what}: {', '.join(paths[:SHOWN])}{more}")
