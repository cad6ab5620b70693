"""Updates in a training script: what its buffers become behind a step."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence

from backends.pytorch.train.buffers import list_buffers, spell_buffer
from backends.pytorch.train.code import Function, Statement
from backends.pytorch.train.computed import UpdateSpec
from backends.pytorch.train.functions import (
    call_computed,
    spell_nets,
    write_updates_computed,
)
from backends.pytorch.train.handing import find_needed, may_share
from backends.pytorch.train.inlining import inline, rename_variables
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.rows.handed import Manner
from compiler.vocabulary.clauses import join_words
from compiler.writing.names import SCRIPT_GLOBALS, free_name, safe_name
from compiler.writing.python import quote_docstring


def call_updates(script: ScriptSpec, step: str) -> Iterator[Statement]:
    """The statement behind a step that updates its buffers; none where it has no updates."""
    for made in script.updates:
        if made.step == step:
            given = [*_list_inputs(script, made), *script.draws.list_given(made.graph)]
            arguments = ["model", *(_spell_argument(script, name) for name in given)]
            yield f"{_name_function(made)}({', '.join(arguments)})"


def weigh_part(script: ScriptSpec) -> str:
    """What a part counts in its batch."""
    return f"len(part) / len({'columns[0]' if script.streams else 'chosen'})"


def begin_parts(script: ScriptSpec, step: str) -> Iterator[str]:
    """Statements before the parts of a batch: nothing is collected of them yet."""
    for name in _list_collected(script, step).values():
        yield f"{name}: list[Tensor] = []"


def collect_part(script: ScriptSpec, step: str) -> Iterator[str]:
    """Statements behind a part that keep what updates read of it."""
    manners = _list_varying(script, step)
    for variable, name in _list_collected(script, step).items():
        share = f" * ({weigh_part(script)})" if manners[variable] == "mean" else ""
        yield f"{name}.append({variable}.detach(){share})"


def join_parts(script: ScriptSpec, step: str) -> Iterator[str]:
    """Statements behind all parts that make of theirs what updates read of the batch."""
    manners = _list_varying(script, step)
    for variable, name in _list_collected(script, step).items():
        whole = (
            f"torch.stack({name}).sum(0)" if manners[variable] == "mean" else f"torch.cat({name})"
        )
        yield f"{variable} = {whole}"


def _list_varying(script: ScriptSpec, step: str) -> dict[str, Manner]:
    """What the updates of a step read that differs from part to part, and how it is brought
    together."""
    found: dict[str, Manner] = {}
    for made in script.updates if script.divides else ():
        if made.step == step:
            found |= dict(zip(_list_inputs(script, made), list_manners(script, made), strict=True))
    return {name: manner for name, manner in found.items() if manner != "same"}


def _list_collected(script: ScriptSpec, step: str) -> dict[str, str]:
    """The lists of what parts have of the variables that updates read, by these."""
    taken = {*script.argument_names.values(), *script.handed}
    return {name: free_name(f"{name}_parts", taken, "_") for name in _list_varying(script, step)}


def _name_function(made: UpdateSpec) -> str:
    return f"update_{safe_name(made.step)}_buffers" if made.step else "update_buffers"


def _list_inputs(script: ScriptSpec, made: UpdateSpec) -> list[str]:
    """The variables of a step that its updates read: what is handed on, then columns."""
    columns = made.graph.inputs[len(made.handed) :]
    return [*made.handed, *(script.argument_names[item.name] for item in columns)]


def _spell_argument(script: ScriptSpec, name: str) -> str:
    """A variable of a step as updates take it: in full precision."""
    handed = script.handed.get(name)
    if script.autocast and handed is not None and handed.value.type.dtype.is_float:
        return f"{name}.float()"
    return name


def write_updates(script: ScriptSpec) -> Iterator[Function | list[str]]:
    """The functions that update buffers; none where the train has no updates."""
    texts = write_updates_computed(script) if script.updates else {}
    for made in script.updates:
        yield from _write_update(script, made, texts[made.function])


def _write_update(
    script: ScriptSpec, made: UpdateSpec, text: str
) -> Iterator[Function | list[str]]:
    given = script.draws.type_given(made.graph)
    inlined = inline(text, {"model", *SCRIPT_GLOBALS}, sys.maxsize)
    if inlined is None:
        yield text.split("\n")
        inputs: Sequence[str] = _list_inputs(script, made)
        lines, results = _call_whole(script, made, inputs)
    else:
        nets, buffers = spell_nets(script, made.graph), list_buffers(script, made.graph)
        inputs = inlined.parameters[len(nets) :][: len(made.graph.inputs)]
        names = dict(zip(inlined.parameters, nets, strict=False))
        tensors = inlined.parameters[len(nets) + len(inputs) :]
        spelled = (spell_buffer(script, path) for path in buffers)
        names |= dict(zip(tensors, spelled, strict=False))
        lines = [rename_variables(line, names) for line in inlined.lines]
        results = [rename_variables(result, names) for result in inlined.results]
    yield Function(
        _name_function(made),
        (
            "model: nn.Module",
            *(f"{name}: Tensor" for name in inputs),
            *(f"{name}: {kind}" for name, kind in given.items()),
        ),
        "None",
        (
            *_bring_together(script, made, inputs),
            *lines,
            *_write_copies(script, made, results, {*inputs, *text.split()}),
        ),
        (_describe(made),),
        ("@torch.no_grad()",),
    )


def _bring_together(script: ScriptSpec, made: UpdateSpec, names: Sequence[str]) -> Iterator[str]:
    """Statements that make what all processes have of what one has."""
    manners = list_manners(script, made) if script.distributed else ()
    for name, manner in zip(names, manners, strict=False):
        if manner == "rows":
            yield f"{name} = all_rows({name})"
        elif manner == "mean":
            yield f"{name} = all_sum({name}.clone()) / WORLD"


def list_manners(script: ScriptSpec, made: UpdateSpec) -> list[Manner]:
    """How processes bring the inputs of updates together."""
    columns: list[Manner] = ["rows" for _ in made.graph.inputs[len(made.handed) :]]
    return [*(script.handed[name].manner for name in made.handed), *columns]


def _describe(made: UpdateSpec) -> str:
    names = join_words([f"`{quote_docstring(update.buffer)}`" for update in made.updates], "and")
    return f"Gives {names} {'their values' if made.updates[1:] else 'its value'} after a step."


def _call_whole(
    script: ScriptSpec, made: UpdateSpec, inputs: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The statements that call the function of updates, and its results."""
    call = call_computed(script, made, inputs=inputs)
    if len(made.updates) == 1:
        return [], [call]
    taken, names = {"model", *inputs}, []
    for update in made.updates:
        names.append(free_name(safe_name(update.buffer), taken, "_"))
        taken.add(names[-1])
    return [f"{', '.join(names)} = {call}"], names


def _write_copies(
    script: ScriptSpec, made: UpdateSpec, results: Sequence[str], taken: set[str]
) -> Iterator[str]:
    """Statements that give buffers their numbers. Where one follows from what another was before,
    all are computed first; what may be a view of a buffer is copied before that changes."""
    own = {update.buffer for update in made.updates}
    outputs = [output.value.name for output in made.graph.outputs]
    needed = [find_needed(made.graph, [name]) for name in outputs]
    before = ({u.buffer for u in made.updates[:place]} for place in range(len(outputs)))
    mixed = any(not read.isdisjoint(n) for read, n in zip(needed, before, strict=True))
    found = []
    for update, result, value in zip(made.updates, results, outputs, strict=True):
        if may_share(made.graph, value, own):
            result = f"{_enclose(result)}.clone()"
        if mixed and not result.isidentifier():
            name = free_name(safe_name(update.buffer), taken, "_")
            taken.add(name)
            yield f"{name} = {result}"
            result = name
        found.append(f"{spell_buffer(script, update.buffer)}.copy_({result})")
    yield from found


def _enclose(expression: str) -> str:
    simple = isinstance(
        ast.parse(expression, mode="eval").body,
        ast.Name | ast.Attribute | ast.Call | ast.Subscript,
    )
    return expression if simple else f"({expression})"
