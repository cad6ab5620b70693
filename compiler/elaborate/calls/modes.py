"""Both versions of what `training` decides: elaborated one after the other, and joined.

The version of evaluation finds the weights that the version of training has made, as a later call
of a net does. Where a tensor differs, the graph has a node with both (`ByMode`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.modes import asks_mode
from compiler.elaborate.scopes.paths import Paths
from compiler.elaborate.scopes.ports import Loop, OutputEntry
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import (
    POISON,
    Known,
    ListValue,
    Poison,
    Record,
    Refused,
    Tensor,
    Val,
)
from compiler.ir.builder import own_names
from compiler.ir.frame import Site
from compiler.ir.hint import Hint, mark_names
from compiler.ops.modes import ByMode
from compiler.records import dataclass
from compiler.report.messages.modes import (
    clause_of_one_version,
    name_of_one_version,
    versions_differ,
    weight_of_one_version,
)
from compiler.report.source import Span
from compiler.text.tree.syntax import Expr


@dataclass(eq=False)
class State:
    """What a body has bound, claimed and handed out."""

    names: list[dict[str, Val]]
    paths: Paths
    nets: dict[str, Val]
    result: Val | None
    guard: Hint | None
    outputs: tuple[OutputEntry, ...]
    inputs: dict[str, Span]
    emits: dict[str, tuple[Val, int, Span]]
    until: tuple[Val, Span] | None


@dataclass(eq=False)
class Version:
    """A body behind what it did in one mode: what that gave, and the weights that it needed."""

    mode: bool
    state: State
    value: Val | None
    touched: set[str]


def evaluate_whole(body: Body, expression: Expr, want: ExpectedUse) -> Val:
    """The value of an expression that a statement binds, puts out or returns: both versions of it
    where it is another one in training."""
    if not asks_mode(body, expression, whole=True):
        return body.evaluate(expression, want)
    run = partial(body.evaluate, expression, want)
    return evaluate_versions(body, run, expression.span, want.names)


def evaluate_condition(body: Body, condition: Expr) -> Val | None:
    """The value of a condition that asks for the mode; None where it holds in one alone, so that
    there are two versions of what it decides."""
    found = []
    for mode in (True, False):
        body.mode = mode
        found.append(body.evaluate(condition))
    body.mode = None
    match found:
        case [Known(bool() as one) as left, Known(bool() as other) as right]:
            if one is not other:
                return None
            followed = mark_names(*(h for h in (left.hint, right.hint) if h is not None))
            return Known(one, followed if followed.arguments else None)
    return found[0]


def evaluate_versions(
    body: Body, run: Callable[[], Val], span: Span, names: tuple[str, ...] = ()
) -> Val:
    """The value of what is evaluated in both modes; poison where it can be no single one, which
    is reported."""
    before = take_state(body)
    training = run_version(body, run, mode=True)
    put_state(body, before)
    evaluation = run_version(body, run, mode=False)
    _note_weights(body, training, evaluation, span)
    put_state(body, before)
    body.paths = _join_paths(training.state.paths, evaluation.state.paths)
    assert training.value is not None, "an expression has a value"
    assert evaluation.value is not None, "an expression has a value"
    name = names[0] if len(names) == 1 else ""
    made = _join(body, training.value, evaluation.value, span, name)
    if made is not None:
        return made
    body.report(
        versions_differ(
            span,
            f"`{name}`" if name else "this",
            describe(training.value),
            describe(evaluation.value),
        )
    )
    return POISON


def run_version(body: Body, run: Callable[[], Val | None], *, mode: bool) -> Version:
    """Runs something as one version. That of evaluation, which comes second, finds weights."""
    assert body.home is not None, "there is a graph"
    root, reuse = body.home.root, body.reuse
    body.mode, body.reuse = mode, reuse or not mode
    root.touched.append(set())
    try:
        value = run()
    finally:
        touched = root.touched.pop()
        body.mode, body.reuse = None, reuse
    return Version(mode, take_state(body), value, touched)


def go_on(body: Body, version: Version, run: Callable[[], Val | None]) -> Version:
    """A version that does more after what it did."""
    put_state(body, version.state)
    more = run_version(body, run, mode=version.mode)
    return replace(more, touched=version.touched | more.touched)


def join_versions(
    body: Body, before: State, training: Version, evaluation: Version, span: Span
) -> None:
    """Gives a body what both of its versions have bound, returned and handed out."""
    _note_weights(body, training, evaluation, span)
    left, right = training.state, evaluation.state
    names = [
        dict(_join_names(body, left.names[: place + 1], right.names[: place + 1], span))
        for place in range(len(before.names))
    ]
    body.paths = _join_paths(left.paths, right.paths)
    body.names = names
    body.nets = left.nets | right.nets
    body.guard = before.guard
    body.result = before.result
    if (left.result is None) != (right.result is None):
        body.report(clause_of_one_version(span, "a `return`"))
        body.result = POISON
    elif left.result is not None and right.result is not None and before.result is None:
        body.result = _join_or_report(body, left.result, right.result, span, "the result")
    _join_ports(body, before, left, right, span)


# --- states -----------------------------------------------------------------------------------


def take_state(body: Body) -> State:
    """What a body has now."""
    ports, loop = body.ports, body.loop
    return State(
        [dict(layer) for layer in body.names],
        Paths(dict(body.paths.taken), dict(body.paths.counts)),
        dict(body.nets),
        body.result,
        body.guard,
        () if ports is None else tuple(ports.outputs),
        {} if ports is None else dict(ports.inputs),
        {} if loop is None else dict(loop.emits),
        None if loop is None else loop.until,
    )


def put_state(body: Body, state: State) -> None:
    """Gives a body what it had."""
    body.names = [dict(layer) for layer in state.names]
    body.paths = Paths(dict(state.paths.taken), dict(state.paths.counts))
    body.nets = dict(state.nets)
    body.result, body.guard = state.result, state.guard
    if body.ports is not None:
        body.ports.outputs = list(state.outputs)
        body.ports.inputs = dict(state.inputs)
    if body.loop is not None:
        _put_loop(body.loop, state)


def _put_loop(loop: Loop, state: State) -> None:
    loop.emits = dict(state.emits)
    loop.until = state.until


def _join_paths(one: Paths, other: Paths) -> Paths:
    counts = {
        name: max(one.counts.get(name, 0), other.counts.get(name, 0))
        for name in one.counts | other.counts
    }
    return Paths(one.taken | other.taken, counts)


# --- joined -----------------------------------------------------------------------------------


def _join_names(
    body: Body, one: Sequence[dict[str, Val]], other: Sequence[dict[str, Val]], span: Span
) -> Iterator[tuple[str, Val]]:
    """What names of the last of some layers mean behind both versions; where that is no single
    value, whoever reads it is told."""
    for name in one[-1] | other[-1]:
        left, right = (
            next((layer[name] for layer in reversed(layers) if name in layer), None)
            for layers in (one, other)
        )
        if left is None or right is None:
            missing = name_of_one_version(None, name, span, training=right is None)
            yield name, Refused(missing)
            continue
        made = _join(body, left, right, span, name)
        if made is None:
            found = versions_differ(None, f"`{name}`", describe(left), describe(right), span)
            made = Refused(found)
        yield name, made


def _join_or_report(body: Body, one: Val, other: Val, span: Span, subject: str) -> Val:
    made = _join(body, one, other, span, "")
    if made is not None:
        return made
    body.report(versions_differ(span, subject, describe(one), describe(other)))
    return POISON


def _join(body: Body, one: Val, other: Val, span: Span, name: str) -> Val | None:
    """What is one value in training and another in evaluation; None where there is no such
    value."""
    if one is other:
        return one
    match one, other:
        case (Poison(), _) | (_, Poison()):
            return POISON
        case Tensor(), Tensor():
            return _join_tensors(body, one, other, span, name)
        case Known(), Known():
            alike = type(one.value) is type(other.value) and one.value == other.value
            return one if alike and one.unit == other.unit else None
        case ListValue(items), ListValue(others) if len(items) == len(others):
            pairs = zip(items, others, strict=True)
            made = [_join(body, left, right, span, name) for left, right in pairs]
            found = tuple(value for value in made if value is not None)
            return ListValue(found) if len(found) == len(made) else None
        case Record(items), Record(others) if [n for n, _ in items] == [n for n, _ in others]:
            parts = [
                (label, _join(body, left, right, span, label))
                for (label, left), (_, right) in zip(items, others, strict=True)
            ]
            kept = tuple((label, value) for label, value in parts if value is not None)
            return Record(kept) if len(kept) == len(parts) else None
    return None


def _join_tensors(body: Body, one: Tensor, other: Tensor, span: Span, name: str) -> Tensor | None:
    home, frame = body.home, body.frame
    if home is None or frame is None or one.type != other.type:
        return None
    left, right = home.value_of(one), home.value_of(other)
    if left == right:
        return one
    site = Site(span, guard=body.guard, turns=body.turns)
    wished = own_names((name,)) if name else ()
    (made,) = home.builder.apply(ByMode(), (left, right), frame, site, wished)
    return Tensor(made, home, span, one.result if one.result == other.result else "")


def _join_ports(body: Body, before: State, one: State, other: State, span: Span) -> None:
    """What both versions put out and hand out."""
    if body.ports is not None:
        body.ports.outputs = list(_join_outputs(body, before, one, other, span))
        body.ports.inputs = dict(one.inputs)
        if one.inputs != before.inputs or other.inputs != before.inputs:
            body.report(clause_of_one_version(span, "an `input`"))
    if body.loop is not None:
        body.loop.emits = dict(_join_emits(body, before, one, other, span))
        body.loop.until = before.until
        if one.until is not before.until or other.until is not before.until:
            body.report(clause_of_one_version(span, "an `until`"))


def _join_emits(
    body: Body, before: State, one: State, other: State, span: Span
) -> Iterator[tuple[str, tuple[Val, int, Span]]]:
    yield from before.emits.items()
    for name in (one.emits | other.emits).keys() - before.emits.keys():
        left, right = one.emits.get(name), other.emits.get(name)
        if left is None or right is None or left[1] != right[1]:
            body.report(clause_of_one_version(span, f"what is emitted as `{name}`"))
            continue
        made = _join_or_report(body, left[0], right[0], span, f"the emitted `{name}`")
        yield name, (made, left[1], left[2])


def _join_outputs(
    body: Body, before: State, one: State, other: State, span: Span
) -> Iterator[OutputEntry]:
    yield from before.outputs
    known = {output.name for output in before.outputs}
    left = {o.name: o for o in one.outputs if o.name not in known}
    right = {o.name: o for o in other.outputs if o.name not in known}
    for name, output in (left | right).items():
        if name not in left or name not in right:
            body.report(clause_of_one_version(output.span, f"the output `{name}`"))
            continue
        made = _join_or_report(
            body, left[name].tensor, right[name].tensor, output.span, f"the output `{name}`"
        )
        if isinstance(made, Tensor):
            yield replace(output, tensor=made)


# --- weights ----------------------------------------------------------------------------------


def _note_weights(body: Body, training: Version, evaluation: Version, span: Span) -> None:
    """Notes the weights of both versions, and those of one alone."""
    assert body.home is not None, "there is a graph"
    root = body.home.root
    root.touched[-1] |= training.touched & evaluation.touched
    for version, rest in (
        (training, training.touched - evaluation.touched),
        (evaluation, evaluation.touched - training.touched),
    ):
        for path in sorted(rest):
            weight = root.builder.get_parameter(path)
            place = weight.origin if weight is not None and weight.origin is not None else span
            fault = weight_of_one_version(place, path, training=version.mode)
            root.single.append((path, fault))


def refuse_single_weights(body: Body) -> None:
    """Reports the weights of a finished graph that one version has and the other has not."""
    assert body.home is not None, "there is a graph"
    root = body.home.root
    for path, fault in root.single:
        if path not in root.touched[0]:
            body.report(fault)
