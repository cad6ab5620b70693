"""Calls of blocks that were made before with the same arguments: their nodes again, under the frame
of the new call. A network of a hundred equal layers is elaborated once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from compiler.elaborate.scopes.context import MAX_TOTAL, Body
from compiler.elaborate.values.values import (
    BlockLayer,
    DTypeValue,
    GraphState,
    Known,
    OpLayer,
    Record,
    Tensor,
    Val,
)
from compiler.ir.builder import Noted
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Input, Node, Parameter, Value
from compiler.ir.hint import Hint, HintSize, change_hint, hint_atoms
from compiler.records import dataclass
from compiler.report.source import Span

DEEPEST = 20
"""Calls inside so many others are not kept: each of these would keep them too."""


@dataclass(eq=False)
class Start:
    """What there was before the body of a call ran."""

    key: object
    frame: Frame
    journal: int
    calls: int
    work: int
    total: int
    reported: tuple[int, int, int]
    places: tuple[int, int, int]


@dataclass(eq=False)
class Replay:
    """What the body of a call made, from `calls` frames on: all of it, the arguments among it, and
    what it gave back."""

    frame: Frame
    noted: tuple[Noted, ...]
    arguments: tuple[Tensor, ...]
    result: Val
    calls: int
    count: int
    work: int
    total: int
    depth: int
    sized: frozenset[int] = frozenset()
    """The ids of places whose hints say sizes of tensors."""


def begin(body: Body) -> Start | None:
    """Notes where the body of a call begins; None where what it makes may depend on more than its
    arguments."""
    home, frame, session = body.home, body.frame, body.session
    if session.depth > DEEPEST:
        return None
    if home is None or frame is None or home.outer is not None or session.observe is not None:
        return None
    if body.reuse or body.ports is not None or not frame.path or frame.parent is None or home.lets:
        return None
    key = _find_key(body, home)
    if key is None:
        return None
    journal = len(home.builder.journal)
    return Start(
        key,
        frame,
        journal,
        home.calls,
        session.work,
        session.total,
        _count_reported(body),
        _count_places(home),
    )


def find(body: Body, start: Start) -> Replay | None:
    """What a call with the same arguments has made, where it may be made again here."""
    assert body.home is not None
    found = body.home.replays.get(start.key)
    if not isinstance(found, Replay):
        return None
    session, path = body.session, start.frame.path
    if session.depth > found.depth or session.work + found.work > session.limit:
        return None
    if session.total + found.total > MAX_TOTAL or body.home.territory.knows(path):
        return None
    paths = (one.path for one in found.noted if isinstance(one, Parameter))
    moved = (path + old[len(found.frame.path) :] for old in paths)
    return None if any(map(body.home.builder.has_value, moved)) else found


def keep(body: Body, start: Start) -> None:
    """Keeps what the body has made since, unless it is more than nodes of its own."""
    home, session = body.home, body.session
    assert home is not None
    noted = tuple(home.builder.journal[start.journal :])
    plain = _count_reported(body) == start.reported and _count_places(home) == start.places
    if not plain or body.nets or not all(_is_own(one, start.frame) for one in noted):
        return
    made = {v.name for one in noted if isinstance(one, Node) for v in one.outputs}
    arguments = tuple(_list_tensors(body))
    given = {tensor.value.name for tensor in arguments}
    if body.result is None or not _is_plain(body.result, made | given):
        return
    home.replays[start.key] = Replay(
        start.frame,
        noted,
        arguments,
        body.result,
        start.calls,
        home.calls - start.calls,
        session.work - start.work,
        session.total - start.total,
        session.depth,
        frozenset(
            id(one.origin)
            for one in noted
            if isinstance(one, Node) and any(_reads_sizes(hint) for _, hint in one.origin.hints)
        ),
    )


def replay(body: Body, found: Replay, span: Span) -> None:
    """Makes again what a call has made, under the frame of this one, and its result."""
    home, frame = body.home, body.frame
    assert home is not None
    assert frame is not None
    body.session.spend(found.work, span)
    arguments = tuple(_list_tensors(body))
    moved = _Moved(found, frame, home.calls)
    for old, new in zip(found.arguments, arguments, strict=True):
        moved.values[old.value.name] = new.value
    home.calls += found.count
    home.builder.repeat(found.noted, moved)
    for one in found.noted:
        if isinstance(one, Node):
            for output in one.outputs:
                if output.name in home.makers:
                    home.makers[moved.values[output.name].name] = home.makers[output.name]
        elif isinstance(one, Parameter):
            owner, stage = home.stages[one.path]
            path = moved.path(one.path)
            home.touched[-1].add(path)
            home.stages[path] = moved.frame(owner), stage
            assert one.origin is not None
            overlap = home.territory.settle(path, moved.frame(owner), stage, one.origin)
            assert overlap is None, "nothing is under the path of the call"
    names = {old.value.name: new for old, new in zip(found.arguments, arguments, strict=True)}
    body.result = _move_result(found.result, moved, names)


@dataclass(eq=False)
class _Moved:
    """What stands in the new call for what there was in the old one."""

    old: Replay
    outer: Frame
    calls: int
    values: dict[str, Value] = field(default_factory=dict)
    frames: dict[Frame, Frame] = field(default_factory=dict)

    def path(self, path: str) -> str:
        """A path below the new call."""
        return self.outer.path + path[len(self.old.frame.path) :]

    def frame(self, frame: Frame) -> Frame:
        """The frame of the new call, or of a call inside it."""
        if frame is self.old.frame:
            return self.outer
        if frame not in self.frames:
            assert frame.parent is not None, "it is inside of the call"
            values = self.values
            self.frames[frame] = replace(
                frame,
                path=self.path(frame.path),
                call=frame.call - self.old.calls + self.calls,
                parent=self.frame(frame.parent),
                arguments=tuple(
                    a if a.hint is None else replace(a, hint=self.hint(a.hint))
                    for a in frame.arguments
                ),
                tensors=tuple(
                    (name, values[value].name if value in values else value)
                    for name, value in frame.tensors
                ),
            )
        return self.frames[frame]

    def site(self, site: Site) -> Site:
        """The same place in the spec."""
        if id(site) not in self.old.sized:
            return site
        return replace(site, hints=self.hints(site.hints))

    def hint(self, hint: Hint) -> Hint:
        """A hint in which sizes of tensors are those of the new call."""
        return change_hint(hint, self._move_size) if _reads_sizes(hint) else hint

    def hints(self, hints: tuple[tuple[str, Hint], ...]) -> tuple[tuple[str, Hint], ...]:
        """Hints of fields."""
        if not any(_reads_sizes(hint) for _, hint in hints):
            return hints
        return tuple((name, self.hint(hint)) for name, hint in hints)

    def _move_size(self, hint: Hint) -> Hint:
        if isinstance(hint, HintSize) and hint.value in self.values:
            return HintSize(self.values[hint.value].name, hint.axis)
        return hint


def _reads_sizes(hint: Hint) -> bool:
    return any(isinstance(atom, HintSize) for atom in hint_atoms(hint))


def _move_result(result: Val, moved: _Moved, arguments: Mapping[str, Tensor]) -> Val:
    match result:
        case Tensor(value=value):
            given = arguments.get(value.name)
            if given is not None:
                return replace(given, result=result.result)
            return replace(result, value=moved.values[value.name])
        case Record(items):
            return Record(
                tuple((name, _move_result(item, moved, arguments)) for name, item in items)
            )
    return result


# --- what may be made again ---------------------------------------------------------------------


def _find_key(body: Body, home: GraphState) -> object:
    """What a call was given, and all else that its body goes by; None where that is more than
    numbers and tensors."""
    parts: list[object] = [id(body.item), id(body.file), body.wanted, body.guard]
    seen: dict[str, int] = {}
    for name, value in body.names[0].items():
        match value:
            case Known(scalar, hint, unit):
                parts.append((name, type(scalar), scalar, repr(hint), unit))
            case DTypeValue(dtype):
                parts.append((name, dtype))
            case OpLayer() | BlockLayer():
                layer = _describe_layer(body, value)
                if layer is None:
                    return None
                parts.append((name, layer))
            case Tensor():
                own = value.value.name
                source = home.builder.find_source(value.value)
                if value.home is not home or value.picked is not None or source is not None:
                    return None
                same = seen.setdefault(own, len(seen))
                parts.append((name, value.type, same, value.result, home.makers.get(own)))
            case _:
                return None
    assert body.frame is not None
    for argument in body.frame.arguments:
        parts.append((argument.name, repr(argument.default), argument.dims))
    defaults = tuple((name, repr(hint)) for name, hint in body.defaults.items())
    return (*parts, defaults, tuple(body.bound.items()), tuple(body.unbound))


def _describe_layer(body: Body, layer: OpLayer | BlockLayer) -> object:
    """A layer that waits for its tensors, with the numbers that it was given; None where it was
    given more than numbers."""
    what = (layer.op,) if isinstance(layer, OpLayer) else (id(layer.item), id(layer.file))
    parts: list[object] = [*what, layer.span, layer.frame is None, layer.frame is body.frame]
    for name, item in layer.given.items():
        if not isinstance(item.value, Known):
            return None
        known = item.value
        hint = repr(known.hint)
        parts.append((name, item.span, type(known.value), known.value, hint, known.unit))
    return tuple(parts)


def _list_tensors(body: Body) -> Iterator[Tensor]:
    """The arguments that are tensors."""
    return (value for value in body.names[0].values() if isinstance(value, Tensor))


def _count_reported(body: Body) -> tuple[int, int, int]:
    session = body.session
    return session.faults, len(session.seen), session.errors


def _count_places(home: GraphState) -> tuple[int, int, int]:
    """How much there is in a graph beside its nodes."""
    return len(home.nets), len(home.lets), len(home.loads)


def _is_own(one: Noted, frame: Frame) -> bool:
    """Whether something was added inside of a call, and says nothing of places elsewhere."""
    match one:
        case Input():
            return False
        case Parameter(value=value):
            return value.name.startswith(f"{frame.path}.")
        case Node(op=op, scope=scope, origin=origin):
            if op.bodies or origin.picks or origin.listed is not None:
                return False
            return _is_inside(scope, frame)
    return _is_inside(one.frame, frame)


def _is_inside(inner: Frame, frame: Frame) -> bool:
    below = inner.path == frame.path or inner.path.startswith(f"{frame.path}.")
    level = len(frame.chain) - 1
    return below and len(inner.chain) > level and inner.chain[level] is frame


def _is_plain(result: Val, known: set[str]) -> bool:
    """Whether a result is made of tensors of the call, and numbers."""
    match result:
        case Tensor(value=value):
            return value.name in known and result.picked is None
        case Record(items):
            return all(_is_plain(item, known) for _, item in items)
    return isinstance(result, Known)
