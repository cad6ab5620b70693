"""`weft weights`: what a weights file holds, and how its names become those of a net."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from compiler.ir.graph import Graph
from compiler.ir.weights import StoredTensor
from compiler.program.net import LoadWeights, Net
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.files import unknown_item
from compiler.report.messages.repositories import bad_repository, bad_revision
from compiler.report.suggestions import did_you_mean
from compiler.text.parse import parse
from compiler.text.tree.strings import write_spec_string
from compiler.text.tree.syntax import Clause, Then
from compiler.weights.files import find_files, open_tensors
from compiler.weights.names import SCHEME, is_revision, read_name
from weft.cli.checking import check_file
from weft.cli.options import Assignments
from weft.cli.printing import say
from weft.cli.proposing import Proposal, propose

SHOWN = 8
"""How many names are shown of those that nothing fits."""


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    app.command("weights")(weights_command)


def weights_command(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A .safetensors file, the index of several, a folder, or hf:OWNER/NAME.",
            show_default=False,
        ),
    ],
    spec: Annotated[
        Path | None,
        typer.Option("--for", metavar="SPEC", help="A spec whose net is to load the file."),
    ] = None,
    net: Annotated[
        str | None, typer.Option("--net", metavar="NAME", help="Which model or net of the spec.")
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="NAME", help="Branch, tag or commit of a repository."),
    ] = None,
    assignments: Assignments = None,
) -> None:
    """List the tensors of a weights file, or propose the options with which a net loads it.

    Names are brought together by shapes and words; the proposal is what `load` takes, with what is
    to be split, joined or transposed. What no rule reaches, and what neither shapes nor words tell,
    is named. Without --net, it is for the only net of the spec, with its arguments, else for the
    only model.

    Examples:

        weft weights resnet18.safetensors

        weft weights bert.safetensors --for encoder.weft --net Bert

        weft weights hf:openai-community/gpt2 --for gpt.weft
    """
    tensors = _open(file, revision)
    if spec is None:
        _print_tensors(tensors)
        return
    chosen = _choose(spec, assignments, net)
    wanted = {p.path: p.value.type.known_shape or () for p in chosen.graph.parameters}
    _print_proposal(file, revision, chosen, len(wanted), propose(tensors, wanted))


def _open(file: str, revision: str | None) -> Mapping[str, StoredTensor]:
    """The tensors of a file or a repository, whose commit is said.

    Raises:
        CompileError: it cannot be read, or is none.
    """
    of_file = not file.startswith(SCHEME)
    if not of_file and read_name(file) is None:
        raise CompileError([bad_repository(None, file)])
    if revision is not None and (of_file or not is_revision(revision)):
        raise CompileError([bad_revision(None, revision, of_file=of_file)])
    files = find_files(LoadWeights(file, revision=revision), Path())
    if files.commit is not None:
        say(f"{file} at commit {files.commit}")
    return open_tensors(files, None)


def _print_tensors(tensors: Mapping[str, StoredTensor]) -> None:
    width = max(map(len, tensors), default=0)
    for path, tensor in tensors.items():
        say(f"{path:{width}}  {tensor.stored}[{', '.join(map(str, tensor.shape))}]")
    count = sum(math.prod(tensor.shape) for tensor in tensors.values())
    say(f"{len(tensors):,} tensors, {count:,} numbers")


@dataclass(frozen=True)
class _Chosen:
    """The model or net that is to find its weights, and the line that makes it a net."""

    name: str
    graph: Graph
    line: str


def _choose(spec: Path, assignments: list[str] | None, wanted: str | None) -> _Chosen:
    """What is meant: the one of that name, else the only net, with the arguments that the file
    gives it, or the only model.

    Raises:
        CompileError: there is none, or several to choose from.
    """
    program = check_file(spec, assignments)
    only = next((side for side in (program.nets, program.models) if side), {})
    if wanted is None and len(only) == 1:
        wanted = next(iter(only))
    if wanted is not None and wanted in program.nets:
        net = program.nets[wanted]
        return _Chosen(wanted, net.graph, f"net {wanted} = {_read_call(net)}")
    if wanted is not None and wanted in program.models:
        made = f"net {wanted.lower()} = {wanted}()"
        return _Chosen(wanted, program.models[wanted].graph, made)
    known, name = (*program.models, *program.nets), wanted or ""
    near = did_you_mean(name, known)
    raise CompileError([unknown_item(None, "model or net", name, known, near)])


def _read_call(net: Net) -> str:
    """The call of a model as the file writes it, without what loads and adapts the net."""
    assert net.span is not None, "a net of a file has its place there"
    source = net.span.source
    clauses = (item for item in parse(source, Sink()).items if isinstance(item, Clause))
    operands = (operand for clause in clauses for operand in clause.operands)
    made = next(o.value for o in operands if o.name is not None and o.name.text == net.name)
    while isinstance(made, Then):
        made = made.left
    return " ".join(source.text[made.span.start : made.span.end].split())


def _print_proposal(
    file: str, revision: str | None, chosen: _Chosen, count: int, proposal: Proposal
) -> None:
    unknown = sum(len(group.weights) for group in proposal.undecided)
    right = count - len(proposal.missing) - unknown
    shown = file if file.startswith(SCHEME) else Path(file).name
    more = f"; {unknown:,} undecided" if unknown else ""
    say(f"{right:,} of {count:,} weights of {chosen.name} are in {shown}{more}")
    if right:
        given = [write_spec_string(file)]
        if revision is not None:
            given.append(f"revision={write_spec_string(revision)}")
        say(f"{chosen.line} -> load({', '.join([*given, *proposal.options])})")
    if proposal.has_parts:
        say("parts are taken to lie behind one another in the order of the list: compare outputs")
    for pattern in proposal.fused:
        written = write_spec_string(pattern)
        say(
            f"undecided, as no shape tells: whether the parts of {written} alternate from head to "
            f"head, as in GPT-NeoX and BLOOM; then add groups=[{written} -> HEADS] with the number "
            "of heads"
        )
    if proposal.unclear:
        say(
            "square, so that no shape tells whether they lie transposed; add them to `transpose=`, "
            f'or with "!" in front where they do not: {_shorten(proposal.unclear)}'
        )
    for group in proposal.undecided:
        say(
            f"undecided, as neither shapes nor names tell: {_shorten(group.olds)} of the file "
            f"could be {_shorten(group.news)}"
        )
    if proposal.undecided:
        say("put the pairs that you know in front, in `rename=`")
    for what, paths in (
        ("not in the file, or of another shape", proposal.missing),
        ("in the file only", proposal.surplus),
    ):
        if paths:
            say(f"{what}: {_shorten(paths)}")
    if proposal.left_out:
        reasons = [f"{path} ({reason})" for path, reason in proposal.left_out.items()]
        say(f"left out by rule: {_shorten(reasons)}")


def _shorten(words: Sequence[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
