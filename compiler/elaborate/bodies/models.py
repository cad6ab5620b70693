"""Models and nets that stand alone: each becomes one graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from compiler.elaborate.bodies.code_clauses import MODEL_CLAUSES
from compiler.elaborate.calls.frames import make_arguments
from compiler.elaborate.calls.gathering import find_pick
from compiler.elaborate.calls.modes import refuse_single_weights
from compiler.elaborate.calls.parameters import bind_parameters
from compiler.elaborate.calls.signatures import read_signature
from compiler.elaborate.calls.weights import reserve_weights
from compiler.elaborate.scopes.context import Abandoned, Body, scope_of
from compiler.elaborate.scopes.ports import Ports
from compiler.elaborate.shapes.assertions import check_promises
from compiler.elaborate.values.values import BlockLayer, GraphState
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph
from compiler.program.net import AddAdapters, LoadWeights, Net
from compiler.report.diagnostics import Message
from compiler.report.messages.nets import model_has_no
from compiler.report.source import Span

NetSteps = tuple[LoadWeights | AddAdapters, ...]
"""What functions on nets do to a net, in order."""


class ModelElaborator:
    """The elaboration of a model as a graph of its own."""

    def __init__(self, layer: BlockLayer, name: str, span: Span) -> None:
        self.layer = layer
        self.name = name
        self.span = span
        self.file = scope_of(layer)
        self.item = layer.item
        self.signature = read_signature(scope_of(layer), layer.item)

    def run(self) -> tuple[Graph, NetSteps] | None:
        """The graph and what the nets inside it load, or None where something was refused."""
        session = self.file.session
        session.work = 0
        before = session.faults
        body = self._open()
        if body is None:
            return None
        body.execute(self.item.body)
        refuse_single_weights(body)
        assert body.ports is not None
        if session.faults > before or body.ports.refused:
            return None
        graph = self._close(body)
        assert body.home is not None
        return None if graph is None else (graph, tuple(body.home.loads))

    def _open(self) -> Body | None:
        """The body with its parameters bound, under the root frame."""
        outside = Body(self.file.session, self.file, None, None, MODEL_CLAUSES)
        body = Body(
            self.file.session,
            self.file,
            None,
            None,
            MODEL_CLAUSES,
            call=None,
            item=self.item,
            ports=Ports(None),
        )
        if not bind_parameters(outside, body, self.item, self.signature, self.layer.given):
            return None
        frame = Frame(
            self.item.name.text,
            "",
            0,
            None,
            tuple(make_arguments(body, self.signature, {}, body.defaults)),
            doc=self.item.doc,
            origin=self.item.name.span,
        )
        builder = Builder(self.name, frame, self.item.doc)
        reserve_weights(builder, self.item)
        body.home = GraphState(builder)
        body.frame = frame
        return body

    def _close(self, body: Body) -> Graph | None:
        """The graph with its outputs."""
        assert body.home is not None
        assert body.ports is not None
        ports, name = body.ports, self.item.name
        for word, found in (("input", ports.inputs), ("output", ports.outputs)):
            if not found:
                body.report(model_has_no(name.span, name.text, word))
                return None
        for output in ports.outputs:
            tensor = output.tensor
            value = body.home.value_of(tensor)
            place = (output.doc, output.span, find_pick(body, tensor))
            body.home.builder.output(output.name, value, *place)
        return check_promises(body, body.home.builder.graph())


def elaborate_layer(layer: BlockLayer, name: str, span: Span, steps: NetSteps = ()) -> Net | None:
    """A model with its arguments as a net, adapters added; None where something was refused,
    which is reported."""
    net = elaborate_plain_layer(layer, name, span, steps)
    return adapt_where_asked(net, scope_of(layer).session.report) if net is not None else None


def adapt_where_asked(net: Net, report: Callable[[Message], None]) -> Net | None:
    """A net with the adapters that it asks for; None where one was refused, which is reported."""
    if not net.adapters:
        return net
    from compiler.elaborate.calls.adapters import adapt_net  # few nets have any

    return adapt_net(net, report)


def elaborate_plain_layer(
    layer: BlockLayer, name: str, span: Span, steps: NetSteps = ()
) -> Net | None:
    """The same with a graph that is still without adapters."""
    known = scope_of(layer).session.models
    made = known.get(id(layer.item)) if not layer.given else None
    if made is None:
        try:
            made = ModelElaborator(layer, name, span).run()
        except Abandoned:
            return None
        if made is None:
            return None
        if not layer.given:
            known[id(layer.item)] = made
    graph, inner = made
    own = graph if graph.name == name else replace(graph, name=name)
    loads: list[LoadWeights] = []
    adapters: list[AddAdapters] = []
    for step in (*inner, *steps):
        if isinstance(step, AddAdapters):
            adapters.append(replace(step, loads=len(loads)))
        else:
            loads.append(step)
    return Net(name, layer.item.name.text, own, tuple(loads), span, tuple(adapters))
