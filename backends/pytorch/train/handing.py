"""What the loss of a step and the updates behind it share: computed once, and handed on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.subgraph import extract_subgraph


def find_handed(
    graph: Graph,
    losses: Sequence[Output],
    updates: Sequence[Output],
    is_early: Callable[[Node], bool],
) -> tuple[Value, ...]:
    """The values that the function of a step hands on to its updates: what the loss needs anyway,
    and what `is_early` holds of, with all that they are computed of."""
    needed = find_needed(graph, (o.value.name for o in updates))
    starts = [o.value.name for o in losses]
    starts += [n.outputs[0].name for n in graph.nodes if _makes(n, needed) and is_early(n)]
    early = find_needed(graph, starts)
    made = {v.name: v for node in graph.nodes for v in node.outputs}
    late = [node for node in graph.nodes if _makes(node, needed) and not _makes(node, early)]
    read = [v.name for node in late for v in node.inputs if v is not None]
    read += [o.value.name for o in updates]
    return tuple(made[name] for name in dict.fromkeys(read) if name in made and name in early)


def drop_detached(graph: Graph) -> Graph:
    """The graph as updates see it, which keep no gradients: nothing is detached in it."""
    values: dict[str, Value] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(v and values.get(v.name, v) for v in node.inputs)
        if node.op.moves and node.op.is_flat and len(inputs) == 1 and inputs[0] is not None:
            values[node.output.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    outputs = (replace(o, value=values.get(o.value.name, o.value)) for o in graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=tuple(outputs))


def cut_behind(graph: Graph, handed: Mapping[str, Value], updates: Sequence[Output]) -> Graph:
    """What the updates compute of what they are handed, by its variables. Calls of blocks of which
    a part is computed before are written where they are called."""
    part = extract_subgraph(graph, tuple(handed.values()), updates)
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


def name_values(graph: Graph, values: Iterable[Value]) -> Iterator[str]:
    """What variables for values are best called: as the train does."""
    named = {a.value: a.name for a in reversed(graph.aliases) if a.frame is graph.frame}
    makers = {v.name: node for node in graph.nodes for v in node.outputs}
    for value in values:
        op = makers[value.name].op
        own = (op.variable or op.name) if value.name.startswith("%") else value.name
        yield named.get(value.name, own)
