"""What the loss of a step and the updates behind it share: computed once, and handed on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.pytorch.train.computed import UpdateSpec
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.subgraph import extract_subgraph
from compiler.program.train import Train
from compiler.rows.handed import Handing, Manner
from compiler.writing.names import free_name, safe_name


@dataclass(frozen=True)
class Handed:
    """A value that the function of a step hands on to updates, and how processes bring it
    together."""

    value: Value
    manner: Manner


Plan = list[tuple[UpdateSpec, Mapping[str, Handed]]]
"""The functions of updates, each with what it is handed, by its variables."""


def plan_updates(train: Train, graph: Graph, functions: Collection[str], taken: set[str]) -> Plan:
    """What updates compute, and what they are handed. Their functions have names that are no
    `functions`, and variables that are not `taken`."""
    handing = Handing(train, graph)
    columns = {item.value.name for item in graph.inputs}
    found: Plan = []
    for step in dict.fromkeys(update.step for update in train.updates):
        updates = tuple(update for update in train.updates if update.step == step)
        read = handing.find_read(updates)
        values = [value for value in read if value.name not in columns]
        handed: dict[str, Handed] = {}
        for wish, value in zip(_name_values(handing.seen, values), values, strict=True):
            variable = free_name(safe_name(wish), taken, "_")
            taken.add(variable)
            handed[variable] = Handed(value, handing.find_manner(value))
        wanted = [replace(handing.outputs[u.output], name=f"new_{u.buffer}") for u in updates]
        part = _cut_behind(handing.seen, {n: h.value for n, h in handed.items()}, wanted, read)
        function = f"compute_{safe_name(step)}_updates" if step else "compute_updates"
        named = free_name(function, functions, "_")
        made = UpdateSpec(part, named, step=step, updates=updates, handed=tuple(handed))
        found.append((made, handed))
    return found


def _cut_behind(
    graph: Graph,
    handed: Mapping[str, Value],
    updates: Sequence[Output],
    read: Sequence[Value],
) -> Graph:
    """What the updates compute of what they are handed, by its variables. Calls of blocks of which
    a part is computed before are written where they are called."""
    part = extract_subgraph(graph, tuple(handed.values()), updates)
    columns = tuple(item for item in graph.inputs if item.value in read)
    part = replace(part, inputs=(*part.inputs[: len(handed)], *columns))
    inside = {node.outputs[0].name for node in part.nodes}
    split = {
        frame
        for node in graph.nodes
        if node.outputs[0].name not in inside
        for frame in node.scope.chain[1:]
    }
    taken = {v.name for node in part.nodes for v in node.outputs}
    taken |= {item.name for item in part.inputs} | set(part.parameter)
    renamed = {v.name: name for name, v in handed.items() if name not in taken}
    split |= {
        frame
        for node in part.nodes
        for frame in node.scope.chain[1:]
        if any(name in renamed for _, name in frame.tensors)
    }
    nodes = tuple(_open(node, split, graph.frame) for node in part.nodes)
    return _rename(replace(part, nodes=nodes), renamed)


def _rename(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The graph in which some values have other names."""

    def change(value: Value) -> Value:
        return replace(value, name=names.get(value.name, value.name))

    nodes = (
        replace(node, inputs=tuple(v and change(v) for v in node.inputs)) for node in graph.nodes
    )
    return replace(
        graph,
        inputs=tuple(replace(item, value=change(item.value)) for item in graph.inputs),
        nodes=tuple(nodes),
        outputs=tuple(replace(output, value=change(output.value)) for output in graph.outputs),
    )


def _open(node: Node, split: set[Frame], root: Frame) -> Node:
    return node if split.isdisjoint(node.scope.chain) else replace(node, scope=root)


def _makes(node: Node, names: set[str]) -> bool:
    return any(value.name in names for value in node.outputs)


def find_needed(graph: Graph, names: Iterable[str]) -> set[str]:
    """The values that these depend on, and themselves."""
    needed = set(names)
    for node in reversed(graph.nodes):
        if _makes(node, needed):
            needed.update(v.name for v in node.inputs if v is not None)
    return needed


def may_share(graph: Graph, value: str, parameters: Collection[str]) -> bool:
    """Whether a value may lie in the memory of one of these parameters: it is one, or some of its
    entries in other places or under another dtype."""
    makers = {v.name: node for node in graph.nodes for v in node.outputs}
    waiting = [value]
    while waiting:
        name = waiting.pop()
        if name in parameters:
            return True
        node = makers.get(name)
        if node is not None and (node.op.moves or node.op.converts) and not node.op.joins:
            waiting += [v.name for v in node.inputs if v is not None]
    return False


def _name_values(graph: Graph, values: Iterable[Value]) -> Iterator[str]:
    """What variables for values are best called: as the train does."""
    named = {a.value: a.name for a in reversed(graph.aliases) if a.frame is graph.frame}
    makers = {v.name: node for node in graph.nodes for v in node.outputs}
    for value in values:
        op = makers[value.name].op
        own = (op.variable or op.name) if value.name.startswith("%") else value.name
        yield named.get(value.name, own)
