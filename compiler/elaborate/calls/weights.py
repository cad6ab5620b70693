"""Weights of ops, and `param` and `buffer`: where they live, made once or found again."""

from __future__ import annotations

from compiler.elaborate.scopes.application import Label
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.paths import Path, is_path, join, join_hints
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.values.values import NetValue, Tensor
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame
from compiler.ir.graph import Parameter
from compiler.ir.hint import Hint, HintConst, HintText, find_readable
from compiler.ir.operands import Weight
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.columns import column_named_as_weight
from compiler.report.messages.modes import versions_differ
from compiler.report.messages.nets import (
    bad_label,
    path_taken,
    shared_weight_differs,
    stages_mixed,
    value_named_as_weight,
)
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause, Declare, Item
from compiler.vocabulary.signature import write_call


@dataclass(frozen=True)
class Slot:
    """Where the weights of one stage live: under a name in a frame. `reuse` says that they were
    made before; `hint` is how the name was written, where it has names in it."""

    name: str
    frame: Frame
    reuse: bool = False
    hint: Hint | None = None


def claim_slot(body: Body, label: Label | None, own: str, span: Span) -> Slot | None:
    """The place of a stage's weights in the body: its label, else its own name, numbered where
    that is taken. None where a label is taken, which is reported."""
    assert body.frame is not None
    path = claim_path(body, label, own, span)
    return None if path is None else Slot(path.text, body.frame, body.reuse, path.hint)


def claim_path(body: Body, label: Label | None, own: str, span: Span) -> Path | None:
    """A path in the body's frame for a stage; None where a label is taken, or its own name cannot
    be a path, which is reported."""
    if label is None:
        if not is_path(own):
            body.report(bad_label(span, own, "or give this call another path: `as NAME`"))
            return None
        return Path(body.paths.number(join(body.prefix, own), span))
    path = join(body.prefix, label.text)
    first = body.paths.claim(path, label.span)
    if first is None:
        above = Path(body.prefix, body.prefix_hint)
        return Path(path, join_hints(above, Path(label.text, label.hint)))
    place = first if first is not label.span else None
    body.report(path_taken(label.span, _full(body, path), place))
    return None


def write_picked(body: Body, net: NetValue) -> Hint | None:
    """How the path of a net below the frame of the body was written, where it was read off a list
    of nets: `layers.{i}`."""
    index = find_readable(body.picked.get(net))
    above = body.frame.path if body.frame is not None else ""
    if index is None or (above and not net.path.startswith(above + ".")):
        return None
    prefix, _, _ = net.path[len(above) + 1 if above else 0 :].rpartition(".")
    return HintText((HintConst(f"{prefix}."), index))


def _full(body: Body, path: str) -> str:
    return join(body.frame.path, path) if body.frame is not None else path


def reserve_weights(builder: Builder, item: Item) -> None:
    """Keeps the paths free of the weights that a model or train declares itself, where these lie
    at the top of a graph: no other value may take them."""
    for node in walk(item.body):
        if isinstance(node, Clause) and node.word.text in ("param", "buffer"):
            for operand in node.operands:
                if isinstance(operand.value, Declare):
                    builder.reserve(operand.value.name.text)


def make_weight(
    body: Body,
    path: str,
    weight: Weight,
    span: Span,
    *,
    reuse: bool,
    hints: tuple[tuple[str, Hint], ...] = (),
    slot: Slot | None = None,
) -> Tensor | None:
    """The weight under a path: made, or found where a net is used again. None where the path is
    another stage's or the shapes differ, which is reported. `slot` is the stage that it is for;
    None for a weight that the body declares."""
    assert body.home is not None
    root = body.home.root
    found = root.builder.get_parameter(path)
    root.touched[-1].add(path)
    column = root.builder.get_input(path) if found is None else None
    if column is not None:
        body.report(column_named_as_weight(span, path, column.origin))
        return None
    if found is None and root.builder.has_value(path):
        body.report(value_named_as_weight(span, path))
        return None
    if found is None:
        frame, stage = (body.frame, "") if slot is None else (slot.frame, slot.name)
        assert frame is not None
        root.stages[path] = frame, stage
        overlap = root.territory.settle(path, frame, stage, span)
        if overlap is not None:
            body.report(stages_mixed(overlap.span, overlap.path, overlap.first))
            return None
        start, trains = weight.initializer, weight.trainable
        value = root.builder.parameter(
            path, weight.type, start, trainable=trains, origin=span, hints=hints
        )
        return Tensor(value, root, span)
    if not reuse:
        body.report(path_taken(span, path, found.origin))
        return None
    if found.value.type != weight.type:
        body.report(shared_weight_differs(span, path, found.value.type, weight.type, found.origin))
        return None
    if len(root.touched) > 1:
        fault = _compare_versions(span, found, weight)
        if fault is not None:
            body.report(fault)
            return None
    return Tensor(found.value, root, span)


def _compare_versions(span: Span, found: Parameter, weight: Weight) -> Message | None:
    """How a weight of the version of evaluation differs from that of training; None where it does
    not."""
    one, other = _describe(found), _describe(weight)
    if one == other:
        return None
    return versions_differ(span, f"`{found.path}`", one, other, found.origin)


def _describe(weight: Parameter | Weight) -> str:
    kind = "a weight" if weight.trainable else "a buffer"
    return f"{kind} that starts as {write_call(weight.initializer)}"
