"""What PyTorch needs to differentiate by a tensor: the tensor itself, and a record from it on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

from backends.pytorch.fold.printed import Printed
from backends.pytorch.terms.naming import MARK
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Node, Value
from compiler.ir.operands import Assume
from compiler.ops.scan import Scan
from compiler.types.tensor import TensorType
from compiler.vocabulary.spelling import In, Method, Spelling

AFTER, BEFORE = f"{MARK}tracked", f"{MARK}plain"
"""What names of values get: of an input that is tracked, of a result that is not yet."""
INNER = (".1000000", ".1000001")
"""The same in the body of a loop, where marks tell what stands inside: numbers as of shadowed
names, which no body comes to."""


@final
@dataclass(frozen=True)
class Tracked(Printed):
    """Its operand, of which PyTorch keeps a record from here on, so that `torch.autograd.grad` can
    differentiate by it. One that has a gradient already stays as it is."""

    name = "tracked"

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:  # type: ignore[override]
        """It has the type of its operand."""
        return (x,)

    def torch(self, node: Node) -> Spelling:
        """`x.requires_grad_()`."""
        return Spelling(Method(In(0), "requires_grad_"))


def track(graph: Graph, nets: Collection[Frame] = (), *, inner: bool = False) -> Graph:
    """The graph in which whatever is differentiated by requires a gradient as soon as it is made.
    Weights do so anyway, and so does what comes out of `nets`, whose code is elsewhere."""
    wanted = {value.name: value for value in _find_differentiated(graph)}
    after, before = INNER if inner else (AFTER, BEFORE)
    names = tracked_inputs(graph, after)
    renamed = {name: replace(wanted[name], name=new) for name, new in names.items()}
    made = [
        Node(Tracked(), (wanted[name],), (value,), graph.frame, Site())
        for name, value in renamed.items()
    ]
    for node in graph.nodes:
        read = tuple(renamed.get(v.name, v) if v is not None else None for v in node.inputs)
        node = replace(node, inputs=read) if read != node.inputs else node
        made += _track_node(_track_body(node), wanted, nets, before)
    if all(a is b for a, b in zip(made, graph.nodes, strict=False)):
        return graph
    outputs = tuple(replace(o, value=renamed.get(o.value.name, o.value)) for o in graph.outputs)
    return replace(graph, nodes=tuple(made), outputs=outputs)


def _track_body(node: Node) -> Node:
    if not isinstance(node.op, Scan):
        return node
    body = track(node.op.body, inner=True)
    return node if body is node.op.body else replace(node, op=replace(node.op, body=body))


def tracked_inputs(graph: Graph, after: str = AFTER) -> Mapping[str, str]:
    """What inputs are called once `track` has run, by their names."""
    inputs = {i.name for i in graph.inputs}
    return {v.name: v.name + after for v in _find_differentiated(graph) if v.name in inputs}


def _find_differentiated(graph: Graph) -> Iterator[Value]:
    for node in graph.nodes:
        value = node.inputs[1] if node.op.of_graph else None
        if value is not None:
            yield value


def _track_node(
    node: Node, wanted: Mapping[str, Value], nets: Collection[Frame], before: str
) -> Iterator[Node]:
    """A node, and what tracks its results."""
    tracked = [v for v in node.outputs if v.name in wanted]
    if not tracked or any(frame in nets for frame in node.scope.chain):
        yield node
        return
    plain = {v.name: replace(v, name=v.name + before) for v in tracked}
    yield replace(node, outputs=tuple(plain.get(v.name, v) for v in node.outputs))
    for value in tracked:
        origin = replace(node.origin, name="", hints=(), label=None, picks=(), listed=None)
        yield Node(Tracked(), (plain[value.name],), (value,), node.scope, origin)


def find_recording(graph: Graph) -> frozenset[Frame]:
    """The calls that compute both what is differentiated and what it is differentiated by: there
    PyTorch has to keep a record, even where it keeps none outside."""
    return frozenset(_find_recording(graph))


def _find_recording(graph: Graph) -> Iterator[Frame]:
    makers = {v.name: n.scope for n in graph.nodes for v in n.outputs}
    for node in graph.nodes:
        for body in node.op.bodies:
            yield from _find_recording(body)
        if node.op.of_graph:
            by = node.inputs[1]
            assert by is not None, "it has operands"
            chain = makers.get(by.name, graph.frame).chain
            shared = [frame for frame in node.scope.chain if frame in chain]
            yield shared[-1]
