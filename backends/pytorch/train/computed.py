"""What the functions of a training script compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from compiler.ir.graph import Graph, Node, Output
from compiler.ir.sizes import ROWS
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.train import MetricUse, Train, TrainStep, Update
from compiler.rows.handed import is_of_net

FIGURES, AUGMENT = "compute_figures", "augment"
"""What the functions of what only figures read, and of an augmentation, are called."""


@dataclass(frozen=True)
class FunctionSpec:
    """What a function of a script computes, as a graph, and its name."""

    graph: Graph
    function: str
    alone: bool = False
    """Whether one process runs it, whatever their number."""


@dataclass(frozen=True)
class StepSpec(FunctionSpec):
    """The function of a step: its loss, first, what figures read of what it computes anyway,
    and what is handed on to the updates of buffers, by its variables."""

    step: TrainStep = field(kw_only=True)
    handed: tuple[str, ...] = ()


@dataclass(frozen=True)
class UpdateSpec(FunctionSpec):
    """The function of what buffers are behind a step. Its inputs are columns, and what the
    function of the step hands on."""

    step: str = field(kw_only=True)
    updates: tuple[Update, ...] = field(kw_only=True)
    handed: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer of a script: its variable, its step, and the numbers of its groups among those
    of all steps."""

    name: str
    step: str
    groups: tuple[int, ...]


def prune(graph: Graph, outputs: Sequence[Output]) -> Graph:
    """The graph with these outputs, and no node that they do not need."""
    return DeadCode().run(replace(graph, outputs=tuple(outputs)), Context())


def cut_out(graph: Graph, outputs: Sequence[Output]) -> Graph:
    """The same without the inputs that they do not need, but with one where something has as many
    rows as a batch, or comes from nothing (`arange(10)`) and needs a device."""
    made = prune(graph, outputs)
    read = {v.name for node in made.nodes for v in node.inputs if v is not None}
    read |= {output.value.name for output in made.outputs}
    inputs = tuple(i for i in made.inputs if i.value.name in read)
    sized = any(ROWS in dim.symbols for n in made.nodes for v in n.outputs for dim in v.type.shape)
    sized |= any(not node.inputs and not node.op.random for node in made.nodes)
    return replace(made, inputs=inputs if inputs or not sized else made.inputs[:1])


def share_reads(train: Train, graph: Graph, uses: Sequence[MetricUse]) -> Mapping[str, set[str]]:
    """What the figures read, by the loss of the step whose function computes it: what a step
    computes but for a little."""
    losses = train.losses
    reads: dict[str, set[str]] = {loss: set() for loss in losses}
    outputs = {o.name: o for o in graph.outputs}
    computed = {loss: _list_nodes(graph, [outputs[loss]]).keys() for loss in losses}
    left: list[set[str]] = []
    for use in uses if losses else ():
        own = [name for name in use.reads if name in outputs]
        needed = _list_nodes(graph, [outputs[name] for name in own])
        costs = {
            loss: sum(
                is_of_net(train, graph, node) for name, node in needed.items() if name not in known
            )
            for loss, known in computed.items()
        }
        chosen = use.name if use.name in reads else min(losses, key=lambda loss: costs[loss])
        if not costs[chosen]:
            reads[chosen].update(own)
        else:
            left.append(set(own))
    for figure in left:  # what is computed elsewhere has other draws: a figure sees one of them
        for names in reads.values():
            if _draws(graph, [outputs[name] for name in names & figure]):
                names |= figure
                break
    return reads


def find_costly(train: Train, graph: Graph) -> bool:
    """Whether figures need products of matrices and the like, outside of the nets, that the losses
    do not need."""
    losses = [output for output in graph.outputs if output.name in train.losses]
    known = _list_nodes(graph, losses).keys()
    others = (node for name, node in _list_nodes(graph, graph.outputs).items() if name not in known)
    return any(
        node.op.multiply_adds(
            [v.type for v in node.inputs if v is not None], [v.type for v in node.outputs]
        )
        != 0
        for node in others
        if not is_of_net(train, graph, node)
    )


def _draws(graph: Graph, outputs: Sequence[Output]) -> bool:
    """Whether any of the outputs follows from a draw."""
    return any(node.op.random for node in _list_nodes(graph, outputs).values())


def _list_nodes(graph: Graph, outputs: Sequence[Output]) -> dict[str, Node]:
    """The nodes that outputs need, by the names of what they make."""
    return {node.outputs[0].name: node for node in prune(graph, outputs).nodes}
