"""References between items: `of Model(width=16)`, `on digits`, what `deploy` names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from compiler.elaborate.api import GraphContext
from compiler.elaborate.calls.binding import Actual, match_call
from compiler.elaborate.calls.signatures import read_signature, sign
from compiler.elaborate.scopes.context import FileNet, FileScope, scope_of
from compiler.elaborate.scopes.files import items_by_kind
from compiler.elaborate.scopes.resolve import find_entry, resolve_entry
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.values.values import (
    ArgumentValue,
    BlockLayer,
    Layer,
    Namespace,
    NetValue,
    Poison,
    Refused,
    Tensor,
)
from compiler.program.data import DataSet
from compiler.report.messages.item_clauses import no_such_item
from compiler.report.messages.training import input_without_column, name_clash
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import (
    Attribute,
    Clause,
    Declare,
    Expr,
    Item,
    Model,
    Name,
    Reference,
    Train,
)

T = TypeVar("T", bound=Item)


def find_item(
    scope: FileScope, reference: Reference, kind: type[T], what: str
) -> tuple[FileScope, T] | None:
    """The item of a kind that a reference names; None where there is none, which is reported."""
    found = resolve(scope, reference)
    if isinstance(found, tuple) and isinstance(found[1], kind):
        return found[0], found[1]
    report_missing(scope, reference, found, what, tuple(items_by_kind(scope, kind)))
    return None


def resolve(scope: FileScope, reference: Reference) -> tuple[FileScope, object] | None:
    """What a path of names means: an entry of this file, or of a file that it uses."""
    *spaces, last = reference.path
    for name in spaces:
        found = find_entry(scope, name.text, name.span)
        if not isinstance(found, Namespace):
            return None
        scope = scope_of(found)
    found = find_entry(scope, last.text, last.span)
    return found if isinstance(found, tuple) else None


def find_head(scope: FileScope, reference: Reference) -> Reference:
    """The first name of a reference that is no namespace, with those before it; what follows is
    inside what it names: `x.vae` of `x.vae.decoder`."""
    count = 1
    for name in reference.path[:-1]:
        found = find_entry(scope, name.text, name.span)
        if not isinstance(found, Namespace):
            break
        scope, count = scope_of(found), count + 1
    return Reference(reference.span, reference.path[:count], None)


def read_path(expression: Expr | Declare) -> tuple[Name, ...] | None:
    """The names of `x.iris`; None where it is no path."""
    match expression:
        case Name():
            return (expression,)
        case Attribute(base=base, name=name):
            before = read_path(base)
            return (*before, name) if before is not None else None
    return None


def report_missing(
    scope: FileScope,
    reference: Reference,
    found: tuple[FileScope, object] | None,
    what: str,
    known: tuple[str, ...],
) -> None:
    """Reports a reference to something that is not there, or of another kind."""
    name = ".".join(part.text for part in reference.path)
    span = reference.path[0].span.to(reference.path[-1].span)
    other = ""
    if found is not None:
        entry = found[1]
        kind = "net" if isinstance(entry, FileNet) else type(entry).__name__.lower()
        other = f"the {kind} `{name}`"
    near = did_you_mean(name, known)
    scope.session.report(no_such_item(span, what, name, other, known, near))


# --- train f of Model(…) on d -------------------------------------------------------------------


def apply_model(
    scope: FileScope, context: GraphContext, item: Train, reference: Reference, data: DataSet
) -> bool:
    """Applies the net of `train f of Model on d` to the columns: its outputs become names. False
    where something was refused, which is reported."""
    net = _find_net(scope, reference)
    if net is None:
        return False
    layer = net.layer
    assert isinstance(layer, BlockLayer)
    given = _match(context, layer, reference)
    if given is None:
        return False
    inputs = {s.name.text: s.name.span for s in read_signature(scope_of(layer), layer.item).inputs}
    known = {**layer.given, **{n: g for n, g in given.items() if n not in inputs}}
    value = replace(net, layer=replace(layer, given=known))
    alone = not any(isinstance(one, Clause) and one.word.text == "net" for one in walk(item.body))
    name = item.name if alone else reference.path[-1]
    made = context.declare_net(name, value, reference.span, "" if alone else name.text)
    # `M` itself goes on to mean the model: `net other = M()` is another net
    context.bind(item.name.text, made)
    tensors = _choose_columns(context, layer, given, inputs, reference, data)
    if tensors is None or not isinstance(made, NetValue):
        return False
    outputs = context.call_net(made, tensors, reference.path[-1].span)
    return outputs is not None and _bind_outputs(context, layer, outputs, data)


def _find_net(scope: FileScope, reference: Reference) -> NetValue | None:
    """The net of a model, or a net at file level."""
    found = resolve(scope, reference)
    if found is not None:
        owner, entry = found
        name, span = reference.path[-1].text, reference.span
        if isinstance(entry, Model):
            layer = BlockLayer(entry, owner, {}, entry.name.span)
            return NetValue(name, layer, "", None, None, span)
        if isinstance(entry, FileNet):
            value = resolve_entry(owner, entry, span, None)
            if isinstance(value, Poison):
                return None
            if isinstance(value, NetValue) and is_model(value.layer):
                return value
    report_missing(scope, reference, found, "model", tuple(items_by_kind(scope, Model)))
    return None


def is_model(layer: Layer) -> bool:
    """Whether a layer is a model: it has named inputs, and stands alone."""
    return isinstance(layer, BlockLayer) and layer.kind == "model"


def _match(
    context: GraphContext, layer: BlockLayer, reference: Reference
) -> dict[str, ArgumentValue] | None:
    """The arguments of the reference by parameter or input."""
    body = context.body
    signature = sign(layer)
    assert signature is not None
    signature = replace(
        signature, formals=tuple(f for f in signature.formals if f.name not in layer.given)
    )
    actuals = [
        Actual(a.name, body.evaluate(a.value), a.value.span) for a in reference.arguments or ()
    ]
    match = match_call(signature, actuals, 0)
    tensors = {f.name for f in signature.formals if f.tensor}
    overrides = body.session.overrides
    match.missing = tuple(
        f
        for f in match.missing
        if f.name not in tensors and (layer.item.name.text, f.name) not in overrides
    )
    if match.faults or match.missing:
        for fault in match.find_faults(signature, reference.path[-1].span):
            body.report(fault)
        return None
    if any(isinstance(g.value, Poison) for g in match.given.values()):
        return None
    return match.given


def _choose_columns(
    context: GraphContext,
    layer: BlockLayer,
    given: Mapping[str, ArgumentValue],
    inputs: Mapping[str, Span],
    reference: Reference,
    data: DataSet,
) -> dict[str, ArgumentValue] | None:
    """A tensor for every input: what the reference gives, else the column of the same name."""
    columns = _list_columns(data).keys()
    known = columns | {c.name for part in data.parts for c in part.schema if c.trouble is not None}
    chosen: dict[str, ArgumentValue] = {}
    accepted = True
    for name, declared in inputs.items():
        column = context.find(name) if name in known else None
        if name in given:
            chosen[name] = given[name]
        elif isinstance(column, Tensor):
            chosen[name] = ArgumentValue(column, reference.span)
        elif isinstance(column, Refused):
            accepted = False
            context.body.session.sink.report(replace(column.message, span=reference.span))
        else:
            accepted = False
            listed = tuple(sorted(columns))
            model, near = layer.item.name.text, did_you_mean(name, listed)
            # Straight to the sink: a session reports a code once for a place, and two inputs may
            # lack their columns at the same one.
            context.body.session.sink.report(
                input_without_column(reference.span, model, name, data.name, listed, near, declared)
            )
    return chosen if accepted else None


def _list_columns(data: DataSet) -> dict[str, Span | None]:
    """The columns by the names that they have alone, and where each was made."""
    return {
        o.name: o.origin or part.span for part in data.parts[::-1] for o in part.columns.outputs
    }


def _bind_outputs(
    context: GraphContext, layer: BlockLayer, outputs: Mapping[str, Tensor | Poison], data: DataSet
) -> bool:
    """Makes the outputs names of the body; False where one is a column's."""
    columns = _list_columns(data)
    accepted = True
    for name, tensor in outputs.items():
        if name in columns and isinstance(tensor, Tensor):
            accepted = False
            span = columns[name]
            model = layer.item.name.text
            context.body.report(name_clash(span, name, model, data.name, tensor.made))
        context.bind(name, tensor)
    return accepted
