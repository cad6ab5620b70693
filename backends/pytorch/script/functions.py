"""Functions of a training script that come from graphs: column expressions and the objective."""

from __future__ import annotations

from collections.abc import Mapping

from backends.pytorch.functions import emit_function
from backends.pytorch.script.facts import Facts
from backends.pytorch.script.fitting import fit_inside
from backends.pytorch.script.models import find_classes
from compiler.ir.graph import Graph

OWN_NAMES = frozenset(
    {
        "Training",
        "all_sum",
        "average_gradients",
        "clear_folder",
        "compute_columns",
        "compute_loss",
        "evaluate",
        "load_checkpoint",
        "load_columns",
        "load_splits",
        "main",
        "save",
        "save_checkpoint",
        "shrink_groups",
        "schedule",
        "split_parameters",
        "split_rows",
        "start_process",
        "train",
        "train_epoch",
    }
)
"""Names that the script defines; functions of blocks get others."""


def emit_objective(facts: Facts) -> list[str]:
    """`compute_loss`: from nets and a batch to the loss and what metrics read."""
    nets = {net.prefix: net.name if net.prefix else "model" for net in facts.train.nets}
    graphs = {net.prefix: net.net.graph for net in facts.train.nets}
    trained = next((nets[n.prefix] for n in facts.train.nets if not facts.is_frozen(n)), "")
    return _emit(facts, facts.step, "compute_loss", nets, graphs, trained)


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
    taken = (OWN_NAMES | set(find_classes(facts))) - {name}
    text = emit_function(graph, name=name, nets=nets, graphs=graphs, taken=taken, trained=trained)
    return text.strip().split("\n")
