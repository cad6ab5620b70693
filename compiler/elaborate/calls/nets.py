"""`net`: one set of weights for every use, declared, applied, and looked into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.elaborate.calls.blocks import apply_block
from compiler.elaborate.calls.closures import close_over
from compiler.elaborate.calls.primitives import apply_op
from compiler.elaborate.calls.signatures import given_of, read_signature
from compiler.elaborate.calls.weights import Slot, write_picked
from compiler.elaborate.scopes.application import Application
from compiler.elaborate.scopes.context import Body, ClauseTable, scope_of
from compiler.elaborate.scopes.paths import join
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import strip_hints
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    Layer,
    Loaded,
    NetValue,
    OpLayer,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.ir.frame import Frame
from compiler.report.messages.names import unknown_attribute
from compiler.report.messages.nets import label_names_nothing, layer_is_not_a_net, net_not_used
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Attribute

NET_CLAUSES = ClauseTable("a net", {})


def place_net(body: Body, net: NetValue) -> NetValue:
    """The net in the graph of the body: a net of file level gets a place there at its first
    use, under its own name."""
    if net.home is not None or body.home is None:
        return net
    root = body.home.root
    placed = root.nets.get(id(net))
    if placed is None:
        placed = NetValue(net.name, net.layer, net.name, root, root.frame, net.span, net.loads)
        root.nets[id(net)] = placed
    return placed


def apply_net(
    body: Body, net: NetValue, given: Mapping[str, ArgumentValue], application: Application
) -> Val:
    """The result of a net whose layer takes arguments by name: an op, a block or a model."""
    _refuse_label(body, net, application)
    net = place_net(body, net)
    layer = _innermost(net.layer)
    match layer:
        case OpLayer():
            result = apply_op(body, layer, given, application, _find_slot(body, net))
        case BlockLayer():
            result = apply_block(body, layer, given, application, net)
        case _:
            raise AssertionError(f"{describe(layer)} takes no arguments by name")
    _note_made(body, net)
    return result


def _note_made(body: Body, net: NetValue) -> None:
    """After the first use of a net its weights exist, and what it loads is the graph's."""
    if not net.made and body.home is not None:
        body.home.root.loads += [replace(load, prefix=net.path) for load in net.loads]
    net.made = True


def call_whole_net(
    body: Body, net: NetValue, inputs: Mapping[str, ArgumentValue], application: Application
) -> dict[str, Tensor | Poison] | None:
    """Every output of a model's net by name, on tensors by the names of its inputs; None where
    it is refused, which is reported."""
    given = {**given_of(net), **inputs}
    result = apply_net(body, net, given, application)
    match result:
        case Tensor(result=name):
            return {name: result}
        case Record(items):
            return {n: value for n, value in items if isinstance(value, Tensor | Poison)}
    return None


def apply_sequence(
    body: Body, net: NetValue, inputs: Sequence[ArgumentValue], application: Application
) -> Val:
    """The result of a net that is a sequence of layers: a frame of its own around them."""
    _refuse_label(body, net, application)
    net = place_net(body, net)
    if body.home is None or body.frame is None:
        return POISON
    layer = _innermost(net.layer)
    arguments = close_over(body, layer)
    frame = Frame(
        net.name,
        net.path,
        body.home.count_call(),
        body.frame,
        arguments,
        guard=body.guard,
        origin=application.span,
        label=write_picked(body, net),
        turns=body.turns,
    )
    inner = Body(
        body.session,
        body.file,
        body.home,
        frame,
        NET_CLAUSES,
        reuse=net.made,
        call=application.span,
        caller=body,
        closure=body.frame if arguments else None,
    )
    result = inner.apply(layer, inputs, replace(application, label=None))
    _note_made(body, net)
    return result


def _innermost(layer: Layer) -> Layer:
    while isinstance(layer, Loaded):
        layer = layer.layer
    return layer


def _refuse_label(body: Body, net: NetValue, application: Application) -> None:
    if application.label is not None:
        label = application.label
        body.report(label_names_nothing(label.span, label.text, f"the net {net.name}"))


def _find_slot(body: Body, net: NetValue) -> Slot | None:
    """Where the weights of a net that is one op live: in the frame that declares it, or in a
    frame of their own where it is used from another; nowhere where nothing builds a graph."""
    if body.home is None or body.frame is None:
        return None
    if body.frame is net.frame:
        name = net.path.removeprefix(body.frame.path).removeprefix(".")
        return Slot(name, body.frame, net.made, write_picked(body, net))
    frame = Frame(
        net.name,
        net.path,
        body.home.count_call(),
        body.frame,
        guard=body.guard,
        label=write_picked(body, net),
        turns=body.turns,
    )
    return Slot("", frame, net.made)


# --- looking inside ---------------------------------------------------------------------------


def read_net(body: Body, net: NetValue, attribute: Attribute) -> Val:
    """`NET.x`: a compile-time parameter of the net, else a net inside it, else a weight."""
    net = place_net(body, net)
    name = attribute.name.text
    layer = _innermost(net.layer)
    if isinstance(layer, BlockLayer):
        parameter = _read_parameter(body, layer, name)
        if parameter is not None:
            return parameter if body.frame is layer.frame else strip_hints(parameter)
    if name in net.nets:
        return net.nets[name]
    weight = _read_weight(body, net, name)
    if weight is not None:
        return weight
    _report_missing(body, net, attribute, layer)
    return POISON


def _read_parameter(body: Body, layer: BlockLayer, name: str) -> Val | None:
    signature = read_signature(scope_of(layer), layer.item)
    spec = next((p for p in signature.parameters if p.name == name), None)
    if spec is None or spec.is_tensor:
        return None
    given = layer.given.get(name)
    if given is not None:
        return given.value
    key = (layer.item.name.text, name)
    default = body.session.overrides.get(key, spec.syntax.default)
    if default is None:
        return None
    outside = Body(body.session, scope_of(layer), None, None, NET_CLAUSES)
    return outside.evaluate(default)


def _read_weight(body: Body, net: NetValue, name: str) -> Tensor | None:
    if body.home is None or not net.made:
        return None
    root = body.home.root
    found = root.builder.get_parameter(join(net.path, name))
    if found is None:
        return None
    return Tensor(found.value, root, found.origin or net.span)


def _report_missing(body: Body, net: NetValue, attribute: Attribute, layer: Layer) -> None:
    name = attribute.name
    known = list(net.nets)
    if isinstance(layer, BlockLayer):
        parameters = read_signature(scope_of(layer), layer.item).parameters
        known = [p.name for p in parameters if not p.is_tensor] + known
    if not net.made and did_you_mean(name.text, known) is None:
        body.report(net_not_used(name.span, net.name, name.text, net.span))
        return
    if body.home is not None:
        builder, prefix = body.home.root.builder, f"{net.path}." if net.path else ""
        inside = [p for p in builder.parameter_paths() if p.startswith(prefix)]
        known += [p.removeprefix(prefix) for p in inside]
        own = [p for p in inside if p.startswith(f"{prefix}{name.text}.")]
        if own:
            weight = builder.get_parameter(own[0])
            place = weight.origin if weight is not None else None
            body.report(layer_is_not_a_net(name.span, net.name, name.text, place))
            return
    shown = tuple(known[:8])
    body.report(
        unknown_attribute(
            name.span, name.text, f"the net {net.name}", shown, did_you_mean(name.text, known)
        )
    )
