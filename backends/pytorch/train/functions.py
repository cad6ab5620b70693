"""Functions of a training script that come from graphs: column expressions and the objective."""

from __future__ import annotations

from collections.abc import Mapping

from backends.pytorch.functions import emit_function
from backends.pytorch.train.counting import guard_losses
from backends.pytorch.train.facts import Facts
from backends.pytorch.train.fitting import fit_inside
from backends.pytorch.train.models import find_classes
from compiler.ir.graph import Graph
from compiler.writing.names import name_all


def emit_objective(facts: Facts) -> list[str]:
    """`compute_loss`: from nets and a batch to the loss and what metrics read."""
    names = name_all(net.name for net in facts.train.nets)
    nets = {net.prefix: names[net.name] if net.prefix else "model" for net in facts.train.nets}
    graphs = {net.prefix: net.net.graph for net in facts.train.nets}
    trained = next((nets[n.prefix] for n in facts.train.nets if not facts.is_frozen(n)), "")
    step = guard_losses(facts.step, facts.train.data)
    return _emit(facts, step, "compute_loss", nets, graphs, trained)


def emit_column_function(facts: Facts) -> list[str]:
    """`compute_columns`, from raw columns; none where the train takes them as they are."""
    if not facts.column_graph.nodes:
        return []
    graph = fit_inside(facts.column_graph, facts.train.data.statistics)
    return _emit(facts, graph, "compute_columns", {}, {})


def _emit(
    facts: Facts,
    graph: Graph,
    name: str,
    nets: Mapping[str, str],
    graphs: Mapping[str, Graph],
    trained: str = "",
) -> list[str]:
    schedules = {f"schedule_{number + 1}" for number in range(len(facts.train.groups))}
    taken = {*find_classes(facts), *schedules, *facts.functions}
    text = emit_function(graph, name=name, nets=nets, graphs=graphs, taken=taken, trained=trained)
    return text.strip().split("\n")
