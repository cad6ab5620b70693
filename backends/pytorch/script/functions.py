"""Functions of a training script that come from graphs: column expressions and the objective."""

from __future__ import annotations

from backends.pytorch.modules import emit_function
from backends.pytorch.script.facts import Facts
from backends.pytorch.script.fitting import fit_inside


def emit_objective(facts: Facts) -> list[str]:
    """`compute_loss`: from nets and a batch to the loss and what metrics read."""
    nets = {net.prefix: net.name if net.prefix else "model" for net in facts.train.nets}
    return emit_function(facts.step, name="compute_loss", nets=nets).strip().split("\n")


def emit_column_function(facts: Facts) -> list[str]:
    """`compute_columns`, from raw columns; none where the train takes them as they are."""
    if not facts.column_graph.nodes:
        return []
    graph = fit_inside(facts.column_graph, facts.train.data.statistics)
    return emit_function(graph, name="compute_columns", nets={}).strip().split("\n")
