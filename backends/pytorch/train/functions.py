"""Functions of a training script that come from graphs: column expressions and the objective."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace

from backends.pytorch.functions import emit_function
from backends.pytorch.train.column_statistics import fit_inside
from backends.pytorch.train.counting import guard_losses
from backends.pytorch.train.inlining import Inlined, inline
from backends.pytorch.train.models import find_classes
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.graph import Graph
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.writing.names import LOCAL_RESERVED, SCRIPT_GLOBALS, SCRIPT_LOCALS, name_all

LOADER_LOCALS = frozenset(
    {"bunch", "by_class", "cells", "chosen", "classes", "codes", "column", "counts", "encode"}
    | {"figures", "file", "files", "folder", "images", "labels", "mask_root", "masks", "names"}
    | {"mend_numbers", "order", "out", "path", "paths", "place", "read", "read_dates", "root"}
    | {"set", "sorted", "split", "splits", "suffixes", "table", "tables", "tensors", "text"}
)
"""Variables of the code that loads and divides rows, and what it calls."""

OBJECTIVE, COLUMNS = "compute_loss", "compute_columns"
"""What the functions of the objective and of column expressions are called."""


def emit_objective(script: ScriptSpec) -> list[str]:
    """`compute_loss`: from nets and a batch to the loss and what metrics read."""
    return _emit_objective(script, script.step).split("\n")


def inline_objective(
    script: ScriptSpec, outputs: Sequence[str], model: str = "model"
) -> Inlined | None:
    """The statements that compute these outputs of the objective of the net that a variable
    holds; None where they are written as a function."""
    if not script.single or emit_objective_function(script):
        return None
    return _inline_objective(script, outputs, model)


def emit_objective_function(script: ScriptSpec) -> list[str]:
    """`compute_loss`, unless the objective is written where it is used."""
    wanted = (("loss",), tuple(o.name for o in script.step.outputs))
    if script.single and all(_inline_objective(script, names, "model") for names in wanted):
        return []
    return emit_objective(script)


def _inline_objective(script: ScriptSpec, outputs: Sequence[str], model: str) -> Inlined | None:
    kept = tuple(o for o in script.step.outputs if o.name in outputs)
    step = DeadCode().run(replace(script.step, outputs=kept), Context())
    taken = (SCRIPT_GLOBALS | SCRIPT_LOCALS | set(script.parts)) - {"loss", model}
    return inline(_emit_objective(script, step, model), taken)


def _emit_objective(script: ScriptSpec, step: Graph, model: str = "model") -> str:
    key = (OBJECTIVE, model, *(output.name for output in step.outputs))
    if key not in script.written:
        script.written[key] = _emit_step(script, step, model)
    return script.written[key]


def _emit_step(script: ScriptSpec, step: Graph, model: str) -> str:
    names = name_all(net.name for net in script.train.nets)
    nets = {net.prefix: names[net.name] if net.prefix else model for net in script.train.nets}
    graphs = {net.prefix: net.net.graph for net in script.train.nets}
    trained = next((nets[n.prefix] for n in script.train.nets if not script.is_frozen(n)), "")
    step = guard_losses(step, script.train.data)
    return _emit(script, step, OBJECTIVE, nets, graphs, trained)


def inline_columns(script: ScriptSpec) -> Inlined | None:
    """The statements that compute the columns of raw ones; None where they are a function, or
    where the train takes raw columns as they are."""
    if not script.column_graph.nodes:
        return None
    return inline(_emit_columns(script), list_loader_names(script))


def list_loader_names(script: ScriptSpec) -> frozenset[str]:
    """What the code that loads and divides rows reads: no column is called so there."""
    statements = ast.parse("\n".join(script.train.data.source.imports())).body
    imported = {
        alias.asname or alias.name
        for statement in statements
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for alias in statement.names
    }
    return SCRIPT_GLOBALS | SCRIPT_LOCALS | LOCAL_RESERVED | LOADER_LOCALS | imported


def emit_column_function(script: ScriptSpec) -> list[str]:
    """`compute_columns`, unless the columns are computed where they are loaded."""
    if not script.column_graph.nodes or inline_columns(script) is not None:
        return []
    return _emit_columns(script).split("\n")


def _emit_columns(script: ScriptSpec) -> str:
    if (COLUMNS,) not in script.written:
        graph = fit_inside(script.column_graph, script.train.data.statistics)
        script.written[COLUMNS,] = _emit(script, graph, COLUMNS, {}, {})
    return script.written[COLUMNS,]


def _emit(
    script: ScriptSpec,
    graph: Graph,
    name: str,
    nets: Mapping[str, str],
    graphs: Mapping[str, Graph],
    trained: str = "",
) -> str:
    schedules = {f"schedule_{number + 1}" for number in range(len(script.train.groups))}
    taken = {*find_classes(script), *schedules, *script.functions}
    text = emit_function(graph, name=name, nets=nets, graphs=graphs, taken=taken, trained=trained)
    return text.strip()
