"""Graphs as plain functions: the objective of a train, and the columns of a data set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain

from backends.pytorch.classes.calls import Call, NetCall
from backends.pytorch.classes.fold import fold_graphs
from backends.pytorch.fold.holders import Holders
from backends.pytorch.fold.index import relative_path
from backends.pytorch.print.writer import write_class
from backends.pytorch.terms.naming import user_name
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node


def emit_function(
    graph: Graph,
    *,
    name: str,
    nets: Mapping[str, str],
    graphs: Mapping[str, Graph] | None = None,
    taken: Iterable[str] = (),
    trained: str = "",
    given: Mapping[str, str] | None = None,
    free: Collection[str] = (),
) -> str:
    """The text of a graph as a function, after functions for the blocks it calls; see
    `list_functions`."""
    made = list_functions(
        graph,
        name=name,
        nets=nets,
        graphs=graphs,
        taken=taken,
        trained=trained,
        given=given,
        free=free,
    )
    return "\n\n\n".join(made.values()) + "\n"


def list_functions(
    graph: Graph,
    *,
    name: str,
    nets: Mapping[str, str],
    graphs: Mapping[str, Graph] | None = None,
    taken: Iterable[str] = (),
    trained: str = "",
    given: Mapping[str, str] | None = None,
    free: Collection[str] = (),
) -> dict[str, str]:
    """The texts of a graph as a function, last, and of functions for the blocks it calls, by name.

    It takes the nets, then the inputs of the graph, then its parameters that no net holds, and
    returns the outputs in order. What blocks assert of their arguments is not asked again: they
    are called with those alone that the graph has.

    Args:
        graph: what it computes, e.g. the step of a train.
        name: what it is called.
        nets: where each net's parameters live (`"m."`, `""`), and the argument that holds it: an
            identifier, another one for each.
        graphs: each net's own graph, by the same key; needed for nets with several outputs.
        taken: names that functions of blocks may not have.
        trained: the argument that is in training mode when the function trains.
        given: types of further arguments, by name, which stand last.
        free: paths of parameters that no net holds, though it holds all others.
    """
    graph = replace(graph, assertions=())
    calls = dict(find_calls(graph, nets, graphs or {}))
    names = {name, *nets.values(), *taken}
    holders = Holders(nets, trained, given or {}, free)
    folded = fold_graphs([graph], nets=calls, as_function=True, taken=names, holders=holders)
    root = folded.root(graph).target
    modules = tuple(dict.fromkeys(nets.values()))
    named = replace(root, name=name, doc="", modules_given=modules)
    written = [named if target is root else target for target in folded.classes]
    return {target.name: "\n".join(write_class(target)) for target in written}


def function_arguments(graph: Graph, nets: Mapping[str, str]) -> tuple[str, ...]:
    """Names of what the function of a graph takes: nets, inputs, then free parameters by path."""
    calls = dict(find_calls(graph, nets, {}))
    folded = fold_graphs([graph], nets=calls, as_function=True, holders=Holders(nets))
    index = folded.indexes[0]
    return (*nets.values(), *index.formals(index.root))


def find_calls(
    graph: Graph, nets: Mapping[str, str], graphs: Mapping[str, Graph]
) -> Iterator[tuple[Frame, NetCall]]:
    """Frames right under the root that are calls of nets, or of nets inside them."""
    paths = {prefix.removesuffix("."): prefix for prefix in nets}
    nodes: dict[Frame, list[Node]] = {}
    for node in graph.nodes:
        if len(node.scope.chain) > 1:
            nodes.setdefault(node.scope.chain[1], []).append(node)
    inner = InnerNets(nets, graphs)
    for frame, inside in nodes.items():
        prefix = paths.get(frame.path)
        if prefix is None:
            call = inner.find(frame, _find_leaving(graph, frame, inside))
            if call is not None:
                yield frame, call
            continue
        formals = tuple(value for _, value in frame.tensors)
        results = _find_results(graph, frame, inside, graphs.get(prefix))
        yield frame, NetCall(nets[prefix], formals, results)


class InnerNets:
    """The nets inside the nets of a train: where their modules are, and what they take."""

    def __init__(self, nets: Mapping[str, str], graphs: Mapping[str, Graph]) -> None:
        self.nets = nets
        self.graphs = graphs
        self.holders = Holders(nets)

    @cached_property
    def modules(self) -> dict[tuple[str, str], tuple[Frame, Call]]:
        """A call of every module of every net, by its path and its block."""
        folded = fold_graphs(list(self.graphs.values())) if self.graphs else None
        found: dict[tuple[str, str], tuple[Frame, Call]] = {}
        for prefix, graph in self.graphs.items():
            for frame, call in folded.calls.items() if folded is not None else ():
                if frame.chain[0] is graph.frame and not call.target.is_function and frame.path:
                    found.setdefault((prefix + frame.path, frame.block), (frame, call))
        return found

    def find(self, frame: Frame, leaving: Sequence[str]) -> NetCall | None:
        """A frame of the train as a call of a module inside a net; None where it is none, or
        where the module takes or returns more than its call says."""
        if len(leaving) > 1 or not self.holders.holds(frame.path):
            return None
        own, call = self.modules.get((frame.path, frame.block), (None, None))
        if own is None or call is None or len(call.target.outputs) != 1:
            return None
        names = {value: formal for formal, value in own.tensors}
        given = dict(frame.tensors)
        values = (call.target.formal_value(p, call.instance) for p in range(len(own.tensors)))
        if len(call.target.places) != len(own.tensors):
            return None
        formals = [given.get(names.get(value, "")) for value in values]
        known = tuple(value for value in formals if value is not None)
        if len(known) < len(formals):
            return None
        return NetCall(self.holders.spell_module(frame.path), known, tuple(leaving) or (None,))


def _find_leaving(graph: Graph, frame: Frame, inside: list[Node]) -> list[str]:
    """Names of the values that a frame makes and something outside of it reads."""
    made = {v.name for node in inside for v in node.outputs}
    outer = (n for n in graph.nodes if frame not in n.scope.chain)
    read = chain(
        (v.name for n in outer for v in n.inputs if v is not None),
        (o.value.name for o in graph.outputs),
    )
    return list(dict.fromkeys(name for name in read if name in made))


def _find_results(
    graph: Graph, frame: Frame, inside: list[Node], net: Graph | None
) -> tuple[str | None, ...]:
    """Names, in this graph, of what a net returns; None for an output that nothing reads."""
    leaving = _find_leaving(graph, frame, inside)
    if net is None or len(net.outputs) == 1:
        assert len(leaving) <= 1, f"{frame.block} returns several tensors: its graph is needed"
        return tuple(leaving) or (None,)
    return tuple(
        _find_result(output.value.name, frame, inside, net, leaving) for output in net.outputs
    )


def _find_result(
    value: str, frame: Frame, inside: list[Node], net: Graph, leaving: Sequence[str]
) -> str | None:
    """The counterpart of a value of a net's own graph: the same output of the same node (nodes
    that the objective does not need may be gone), or, where training changes the nodes, the value
    of that name."""
    maker = next((n for n in net.nodes if any(o.name == value for o in n.outputs)), None)
    if maker is not None:
        key = _place(maker, net.frame)
        own = [node for node in net.nodes if _place(node, net.frame) == key]
        here = [node for node in inside if _place(node, frame) == key]
        if len(own) == len(here):
            node = here[next(n for n, one in enumerate(own) if one is maker)]
            found = node.outputs[[o.name for o in maker.outputs].index(value)].name
            return found if found in leaving else None
    alike = [name for name in leaving if user_name(name) == user_name(value)]
    return alike[0] if len(alike) == 1 else None


def _place(node: Node, around: Frame) -> tuple[object, ...]:
    """What a node does, and where it stands inside a call."""
    inner = node.scope.chain[len(around.chain) :]
    turns = [*(turn for frame in inner for turn in frame.turns), *node.origin.turns]
    return (
        type(node.op),
        node.origin.span,
        node.origin.name,
        relative_path(around, node.scope.path),
        *((turn.loop, turn.number) for turn in turns),
    )
