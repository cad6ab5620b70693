"""Functions of a training script that come from graphs: column expressions and the objective."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from backends.pytorch.functions import emit_function, list_functions
from backends.pytorch.train.buffers import list_buffers, spell_buffer
from backends.pytorch.train.column_statistics import fit_inside, give_figures
from backends.pytorch.train.computed import FIGURES, FunctionSpec, prune
from backends.pytorch.train.counting import guard_losses
from backends.pytorch.train.detaching import free_detached
from backends.pytorch.train.dissolving import dissolve_calls
from backends.pytorch.train.inlining import Inlined, inline, rename_variables
from backends.pytorch.train.models import find_classes
from backends.pytorch.train.rates import name_setting_ramps
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.graph import Graph
from compiler.writing.names import (
    LOCAL_RESERVED,
    SCRIPT_GLOBALS,
    SCRIPT_LOCALS,
    name_all,
)
from compiler.writing.python import write_string

LOADER_LOCALS = frozenset(
    {"bunch", "by_class", "cells", "chosen", "classes", "codes", "column", "counts", "encode"}
    | {"figures", "file", "files", "folder", "images", "labels", "mask_root", "masks", "names"}
    | {"mend_numbers", "order", "out", "path", "paths", "place", "read", "read_dates", "root"}
    | {"set", "sorted", "split", "splits", "suffixes", "table", "tables", "tensors", "text"}
    | {
        "balanced",
        "begins",
        "ends",
        "groups",
        "first",
        "keep",
        "parts",
        "starts",
        "steps",
        "stretches",
        "times",
        "usual",
    }
)
"""Variables of the code that loads and divides rows, and what it calls."""

OBJECTIVE, COLUMNS, SELECT = "compute_loss", "compute_columns", "select_rows"
"""What the functions of the objective, of column expressions, and of the conditions of rows are
called."""


def emit_objective(script: ScriptSpec) -> list[str]:
    """`compute_loss`: from nets and a batch to the loss and what metrics read of it; one for each
    step where several take turns, one for what metrics alone read, and one for each sample."""
    return _join(script, _list_all(script))


def _list_all(script: ScriptSpec) -> list[FunctionSpec]:
    """All that functions of the script compute."""
    others = (*script.samples, *script.beginnings.values(), *script.updates)
    return [*_list_augmenting(script), *list_computed(script), *others]


def _join(script: ScriptSpec, computed: Sequence[FunctionSpec]) -> list[str]:
    """The functions of what is computed, but for those of updates, which are written where these
    are made."""
    written = write_computed(script, computed)
    own = {made.function for made in script.updates}
    texts = [text for name, text in written.items() if name not in own]
    return "\n\n\n".join(texts).split("\n") if texts else []


def write_computed(script: ScriptSpec, computed: Sequence[FunctionSpec]) -> dict[str, str]:
    """The functions of what is computed, by name; those of blocks that several of them call
    once."""
    written: dict[str, str] = {}
    for made in computed:
        functions = _list_functions(script, made, ())
        clashing = {name for name, text in functions.items() if written.get(name, text) != text}
        written |= _list_functions(script, made, clashing) if clashing else functions
    return written


def write_updates_computed(script: ScriptSpec) -> dict[str, str]:
    """The functions of what buffers become, by name."""
    written = write_computed(script, _list_all(script))
    return {made.function: written[made.function] for made in script.updates}


def list_computed(script: ScriptSpec) -> list[FunctionSpec]:
    """What the functions of steps that take turns compute, and one of what only figures read."""
    return [*script.steps, *([script.rest] if script.rest is not None else [])]


def _list_augmenting(script: ScriptSpec) -> list[FunctionSpec]:
    """What the function of the augmentation computes, where there is one."""
    return [script.augmentation] if script.augmentation is not None else []


def call_computed(
    script: ScriptSpec,
    made: FunctionSpec,
    model: str = "model",
    inputs: Sequence[str] | None = None,
) -> str:
    """The call of such a function: with nets, and columns by the variables of outputs, unless
    those of its inputs are given."""
    nets = spell_nets(script, made.graph, model)
    columns = inputs
    if columns is None:
        columns = [script.argument_names[item.name] for item in made.graph.inputs]
    buffers = (spell_buffer(script, path) for path in list_buffers(script, made.graph))
    given = [*buffers, *script.draws.list_given(made.graph, alone=made.alone)]
    return f"{made.function}({', '.join([*nets, *columns, *given])})"


def spell_nets(script: ScriptSpec, graph: Graph, model: str = "model") -> list[str]:
    """The nets that take part in a graph, where all of them are at hand."""
    return [
        f"{model}[{write_string(net.name)}]" if net.prefix else model
        for net in script.find_nets(graph)
    ]


def _list_functions(script: ScriptSpec, made: FunctionSpec, taken: Iterable[str]) -> dict[str, str]:
    """The functions of what is computed, its own last."""
    used = script.find_nets(made.graph)
    names = name_all(net.name for net in used)
    nets = {net.prefix: names[net.name] if net.prefix else "model" for net in used}
    learning = (nets[net.prefix] for net in used if not script.is_frozen(net))
    given = script.draws.type_given(made.graph, alone=made.alone)
    made_here = list_functions(
        dissolve_calls(script.draws.seed(guard_losses(made.graph, script.data), alone=made.alone)),
        name=made.function,
        nets=nets,
        graphs={net.prefix: net.net.graph for net in used},
        taken={*_list_taken(script), *taken},
        trained=next(learning, ""),
        given=given,
        free=list_buffers(script, made.graph),
    )
    measures = made.function == FIGURES
    return {name: free_detached(text, measures=measures) for name, text in made_here.items()}


def inline_objective(
    script: ScriptSpec, outputs: Sequence[str], model: str = "model"
) -> Inlined | None:
    """The statements that compute these outputs of the objective of the net that a variable
    holds; None where they are written as a function."""
    if not _is_inlined(script):
        return None
    return _inline_objective(script, outputs, model)


def emit_objective_function(script: ScriptSpec) -> list[str]:
    """`compute_loss`, unless the objective is written where it is used; what samples and the
    augmentation need."""
    if not _is_inlined(script):
        return emit_objective(script)
    return _join(script, [*_list_augmenting(script), *script.samples])


def _is_inlined(script: ScriptSpec) -> bool:
    """Whether the objective is written where it is used."""
    if not script.single or script.alternates or script.train.buffers:
        return False
    wanted = [tuple(o.name for o in script.graph.outputs)]
    wanted += [("loss",)] if script.train.learns else []
    return all(_inline_objective(script, names, "model") for names in wanted)


def _inline_objective(script: ScriptSpec, outputs: Sequence[str], model: str) -> Inlined | None:
    step = prune(script.graph, [o for o in script.graph.outputs if o.name in outputs])
    given = script.draws.list_given(step)
    taken = (SCRIPT_GLOBALS | SCRIPT_LOCALS | set(script.parts)) - {"loss", model, *given}
    inlined = inline(_emit_objective(script, step, model), taken)
    if inlined is None or not given:
        return inlined
    return replace(inlined, parameters=inlined.parameters[: -len(given)])


def _emit_objective(script: ScriptSpec, step: Graph, model: str = "model") -> str:
    key = (OBJECTIVE, model, *(output.name for output in step.outputs))
    if key not in script.written:
        script.written[key] = _emit_step(script, step, model)
    return script.written[key]


def _emit_step(script: ScriptSpec, step: Graph, model: str) -> str:
    used = script.find_nets(script.graph)
    names = name_all(net.name for net in used)
    nets = {net.prefix: names[net.name] if net.prefix else model for net in used}
    graphs = {net.prefix: net.net.graph for net in used}
    trained = next((nets[n.prefix] for n in used if not script.is_frozen(n)), "")
    given = script.draws.type_given(step)
    step = dissolve_calls(script.draws.seed(guard_losses(step, script.data)))
    return _emit(script, step, OBJECTIVE, nets, graphs, trained, given)


def inline_columns(script: ScriptSpec) -> Inlined | None:
    """The statements that compute the columns of raw ones; None where they are a function, or
    where the train takes raw columns as they are."""
    if not script.column_graph.nodes:
        return None
    return inline(_emit_columns(script), list_loader_names(script))


def inline_conditions(
    script: ScriptSpec, read: Mapping[str, str], taken: Collection[str]
) -> Inlined | None:
    """The statements that say which rows are kept, of raw columns by their variables; None where
    they are a function."""
    text = _emit_conditions(script)
    inlined = inline(text, {*list_loader_names(script), *taken})
    if inlined is None or not inlined.assigned.isdisjoint(inlined.parameters):
        return None
    names = dict(zip(inlined.parameters, read.values(), strict=True))
    lines = tuple(rename_variables(line, names) for line in inlined.lines)
    return replace(
        inlined,
        lines=lines,
        results=tuple(rename_variables(result, names) for result in inlined.results),
    )


def emit_condition_functions(script: ScriptSpec) -> list[str]:
    """`select_rows`, or one for each data set, unless the conditions are written where rows are
    loaded."""
    lines: list[str] = []
    for each in script.sets:
        where = each.data.where
        if where is None or inline_conditions(each, {i.name: i.name for i in where.inputs}, ()):
            continue
        lines += [*(["", ""] if lines else []), *_emit_conditions(each).split("\n")]
    return lines


def name_conditions(script: ScriptSpec) -> str:
    """The function that says which rows of a data set are kept."""
    own = script.data is not script.train.data
    return script.loader.replace("load", "select", 1) if own else SELECT


def _emit_conditions(script: ScriptSpec) -> str:
    where = script.data.where
    assert where is not None, "there are conditions"
    if (SELECT,) not in script.written:
        script.written[SELECT,] = _emit(script, where, name_conditions(script), {}, {})
    return script.written[SELECT,]


def list_loader_names(script: ScriptSpec) -> frozenset[str]:
    """What the code that loads and divides rows reads: no column is called so there."""
    statements = ast.parse("\n".join(script.data.source.imports())).body
    imported = {
        alias.asname or alias.name
        for statement in statements
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for alias in statement.names
    }
    known = SCRIPT_GLOBALS | SCRIPT_LOCALS | LOCAL_RESERVED | LOADER_LOCALS | imported
    if script.data.members:
        return known
    code = script.data.source.code(script.data.schema)
    return known | _list_bound(
        [*code.lines, *([f"{code.opened}\n    pass"] if code.opened else [])]
    )


def _list_bound(lines: Sequence[str]) -> set[str]:
    """The names that statements bind."""
    nodes = list(ast.walk(ast.parse("\n".join(lines))))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.name for n in nodes if isinstance(n, ast.FunctionDef)}


def emit_column_functions(script: ScriptSpec) -> list[str]:
    """`compute_columns`, or one for each data set, unless the columns are computed where they are
    loaded."""
    lines: list[str] = []
    defined: set[str] = set()
    for each in script.sets:
        if not each.column_graph.nodes or inline_columns(each) is not None:
            continue
        text = _emit_columns(each)
        if not defined.isdisjoint(_list_defined(text)):  # blocks that several data sets call
            text = _write_columns(each, defined)
        defined |= _list_defined(text)
        lines += ["", "", *text.split("\n")] if lines else text.split("\n")
    return lines


def name_columns(script: ScriptSpec) -> str:
    """The function that computes the columns of a data set."""
    own = script.data is not script.train.data
    return (
        script.loader.replace("load", "compute", 1).replace("_rows", "_columns") if own else COLUMNS
    )


def _list_defined(text: str) -> set[str]:
    return set(re.findall(r"^def (\w+)", text, re.MULTILINE))


def _emit_columns(script: ScriptSpec) -> str:
    if (COLUMNS,) not in script.written:
        script.written[COLUMNS,] = _write_columns(script)
    return script.written[COLUMNS,]


def _write_columns(script: ScriptSpec, defined: Iterable[str] = ()) -> str:
    graph = script.column_graph
    if script.streams:
        graph = give_figures(graph, script.statistics)
    else:
        graph = fit_inside(graph, script.data.statistics)
    return _emit(script, graph, name_columns(script), {}, {}, defined=defined)


def _emit(
    script: ScriptSpec,
    graph: Graph,
    name: str,
    nets: Mapping[str, str],
    graphs: Mapping[str, Graph],
    trained: str = "",
    given: Mapping[str, str] | None = None,
    defined: Iterable[str] = (),
) -> str:
    text = emit_function(
        graph,
        name=name,
        nets=nets,
        graphs=graphs,
        taken={*_list_taken(script), *defined},
        trained=trained,
        given=given,
    )
    return free_detached(text.strip())


def _list_taken(script: ScriptSpec) -> set[str]:
    """What functions of blocks may not be called."""
    schedules = {f"schedule_{number + 1}" for number in range(len(script.train.groups))}
    steps = {made.function for made in _list_all(script)}
    numbers = {number.function for number in script.numbers.numbers.values()}
    numbers |= {*script.numbers.ramps.values(), *name_setting_ramps(script).values()}
    return {*find_classes(script), *schedules, *script.functions, *steps, *numbers}
