"""Functions of a training script that come from graphs: column expressions and the objective."""

from __future__ import annotations

from collections.abc import Mapping

from backends.pytorch.functions import emit_function
from backends.pytorch.train.column_statistics import fit_inside
from backends.pytorch.train.counting import guard_losses
from backends.pytorch.train.models import find_classes
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.graph import Graph
from compiler.writing.names import name_all


def emit_objective(script: ScriptSpec) -> list[str]:
    """`compute_loss`: from nets and a batch to the loss and what metrics read."""
    names = name_all(net.name for net in script.train.nets)
    nets = {net.prefix: names[net.name] if net.prefix else "model" for net in script.train.nets}
    graphs = {net.prefix: net.net.graph for net in script.train.nets}
    trained = next((nets[n.prefix] for n in script.train.nets if not script.is_frozen(n)), "")
    step = guard_losses(script.step, script.train.data)
    return _emit(script, step, "compute_loss", nets, graphs, trained)


def emit_column_function(script: ScriptSpec) -> list[str]:
    """`compute_columns`, from raw columns; none where the train takes them as they are."""
    if not script.column_graph.nodes:
        return []
    graph = fit_inside(script.column_graph, script.train.data.statistics)
    return _emit(script, graph, "compute_columns", {}, {})


def _emit(
    script: ScriptSpec,
    graph: Graph,
    name: str,
    nets: Mapping[str, str],
    graphs: Mapping[str, Graph],
    trained: str = "",
) -> list[str]:
    schedules = {f"schedule_{number + 1}" for number in range(len(script.train.groups))}
    taken = {*find_classes(script), *schedules, *script.functions}
    text = emit_function(graph, name=name, nets=nets, graphs=graphs, taken=taken, trained=trained)
    return text.strip().split("\n")
