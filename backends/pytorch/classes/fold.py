"""Graphs -> classes: one class for all calls of a block where one can serve them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends.pytorch.classes.bodies import BodyMaker
from backends.pytorch.classes.bucket import group_by_structure, merge_bodies
from backends.pytorch.classes.calls import Call, NetCall, TurnCall
from backends.pytorch.classes.explain import explain_class
from backends.pytorch.classes.explained import Class, ExplainedClass, TurnClass
from backends.pytorch.classes.list_sizes import Wanted
from backends.pytorch.classes.merged import Diverge, spread
from backends.pytorch.classes.opening import list_behind, may_open
from backends.pytorch.classes.repeats import make_turns
from backends.pytorch.classes.sizes import Inexpressible
from backends.pytorch.fold.fused_loops import fuse_loops
from backends.pytorch.fold.holders import Holders
from backends.pytorch.fold.index import Index, sort_topologically
from backends.pytorch.fold.items import Body
from backends.pytorch.fold.tracking import track, tracked_inputs
from backends.pytorch.fold.turns import LoopFrame, TurnFrame, Unfoldable, find_loops
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph
from compiler.report.source import Span
from compiler.writing.names import class_name, free_name, function_name

Key = tuple[str, bool, int]
"""A group of frames: block, whether it prints as a function, level of a recursive block."""


@dataclass
class Folded:
    """Classes in the order in which they must be defined, and where each graph's root is."""

    classes: list[Class]
    calls: dict[Frame, Call]
    indexes: list[Index] = field(default_factory=list)

    def root(self, graph: Graph) -> Call:
        """The class of a whole graph."""
        return self.calls[graph.frame]


def fold_graphs(
    graphs: Sequence[Graph],
    *,
    nets: Mapping[Frame, NetCall] | None = None,
    as_function: bool = False,
    inline: Iterable[Frame] = (),
    taken: Iterable[str] = (),
    holders: Holders | None = None,
) -> Folded:
    """Folds graphs into classes; classes that several graphs need are one.

    Args:
        graphs: the graphs, each with its own root frame.
        nets: frames that are calls of modules made elsewhere.
        as_function: whether the graphs themselves print as functions.
        inline: frames that print inside the frame around them.
        taken: names that classes and functions may not have.
        holders: modules that functions are given, and read weights off.
    """
    dissolved = set(inline)
    calls = _track_formals(graphs, nets or {})
    graphs = [track(graph, calls) for graph in graphs]
    if not as_function:
        graphs, joined = zip(*map(fuse_loops, graphs), strict=True)
        dissolved.update(*joined)
    unrolled: set[Span] = set()
    opened: set[Span] = set()
    wanted: set[tuple[Span, int]] = set()
    settled = (dissolved, taken, unrolled, opened, wanted)
    while True:
        try:
            folding = _Folding(graphs, calls, *settled, as_function=as_function, holders=holders)
            folding.run()
        except Unfoldable as error:
            opens = error.but_first and not error.loops <= opened
            (opened if opens else unrolled).update(error.loops)
            continue
        except Wanted as error:
            wanted |= error.sizes
            continue
        except Inexpressible as error:
            if error.target.is_turn:
                unrolled |= find_loops(b.frame for b in error.target.bodies)
                continue
            lost = {b.frame for b in error.target.bodies if not b.is_root}
        else:
            lost = folding.find_split_nets()
        if lost <= dissolved:
            return Folded(folding.classes, folding.calls, folding.indexes)
        dissolved |= lost


def _track_formals(graphs: Sequence[Graph], nets: Mapping[Frame, NetCall]) -> dict[Frame, NetCall]:
    """The calls of modules made elsewhere, with the names that `track` gives to inputs."""
    names = {old: new for graph in graphs for old, new in tracked_inputs(graph).items()}
    return {
        frame: replace(call, formals=tuple(names.get(value, value) for value in call.formals))
        for frame, call in nets.items()
    }


class _Folding:
    def __init__(
        self,
        graphs: Sequence[Graph],
        nets: Mapping[Frame, NetCall],
        dissolved: Iterable[Frame],
        taken: Iterable[str],
        unrolled: Collection[Span],
        opened: Collection[Span],
        wanted: Collection[tuple[Span, int]],
        *,
        as_function: bool,
        holders: Holders | None,
    ) -> None:
        self.nets = nets
        self.indexes = [
            Index(
                graph,
                nets=[n for n in nets if n.chain[0] is graph.frame],
                dissolved=set(dissolved),
                as_function=as_function,
                holders=holders,
                unrolled=unrolled,
                opened=opened,
                wanted=wanted,
            )
            for graph in graphs
        ]
        self.classes: list[Class] = []
        self.calls: dict[Frame, Call] = {}
        self.turns: dict[Frame, TurnCall] = {}
        self.names = set(taken)
        self.owner = {f: index for index in self.indexes for f in index.children}
        self.height = self._measure()

    def run(self) -> None:
        makers = {id(i): BodyMaker(i, self.calls, self.turns, self.nets) for i in self.indexes}
        for group in self._order_groups():
            bodies = [makers[id(self.owner[frame])].make(frame) for frame in group]
            if isinstance(bodies[0].frame, TurnFrame):
                turns = _fold_turns(bodies)
                for number, body in enumerate(turns.bodies):
                    self.turns[body.frame] = TurnCall(turns, number)
                continue
            for target in _partition(bodies):
                self._add(target)

    def _add(self, explained: ExplainedClass) -> None:
        make = function_name if explained.is_function else class_name
        target = Class(**spread(explained), name=free_name(make(explained.block), self.names))
        self.names.add(target.name)
        self.classes.append(target)
        for number, body in enumerate(target.bodies):
            self.calls[body.frame] = Call(target, number)

    def find_split_nets(self) -> set[Frame]:
        """Calls of one net that would need different modules: they print inline."""
        lost: set[Frame] = set()
        for index in self.indexes:
            first: dict[str, tuple[object, ...]] = {}
            paths: set[str] = set()
            for frame in index.children:
                if frame in index.nets or isinstance(frame, LoopFrame | TurnFrame):
                    continue
                if self.calls[frame].target.is_function:
                    continue
                call = self.calls[frame]
                given = [s.argument(call.instance) for s in call.target.settings if not s.runtime]
                row = (id(call.target), *map(repr, given))
                if first.setdefault(frame.path, row) != row:
                    paths.add(frame.path)
            lost.update(f for f in index.children if f.path in paths and f is not index.root)
        return lost

    # --- groups -------------------------------------------------------------------------------

    def _measure(self) -> dict[Frame, int]:
        """How many levels of frames are inside each. Two nets of one model share frames."""
        height: dict[Frame, int] = {}
        waiting = list(self.owner)  # outer frames come first in an index
        while waiting:
            frame = waiting[-1]
            children = self.owner[frame].children[frame]
            inner = [c for c in children if isinstance(c, Frame)]
            missing = [c for c in inner if c not in height]
            if missing:
                waiting += missing
                continue
            height[frame] = 1 + max((height[c] for c in inner), default=0)
            waiting.pop()
        return height

    def _order_groups(self) -> list[list[Frame]]:
        """Frames of one block together, callees first. A block that calls itself, even through
        others, has a class per level."""
        layered = {f.block for f in self.owner for outer in f.chain[:-1] if outer.block == f.block}
        while True:
            groups: dict[Key, list[Frame]] = {}
            for frame in self.owner:
                if frame not in self.nets and not isinstance(frame, LoopFrame):
                    groups.setdefault(self._key(frame, layered), []).append(frame)
            keys = list(groups)
            place = {key: number for number, key in enumerate(keys)}
            needs = [
                {place[self._key(c, layered)] for frame in groups[key] for c in self._inner(frame)}
                for key in keys
            ]
            order = sort_topologically(needs)
            if len(order) == len(keys):
                return [groups[keys[number]] for number in order]
            layered |= {keys[n][0] for n in set(range(len(keys))) - set(order)}

    def _inner(self, frame: Frame) -> list[Frame]:
        index = self.owner[frame]
        inner: list[Frame] = []
        for child in index.children[frame]:
            if isinstance(child, LoopFrame):
                inner += [turn for turn in index.children[child] if isinstance(turn, Frame)]
            elif isinstance(child, Frame) and child not in self.nets:
                inner.append(child)
        return inner

    def _key(self, frame: Frame, layered: set[str]) -> Key:
        level = self.height[frame] if frame.block in layered else 0
        return frame.block, frame in self.owner[frame].stateless, level


def _fold_turns(bodies: list[Body]) -> TurnClass:
    """The class of all turns of a loop.

    Raises:
        Unfoldable: one class cannot serve them. Where it can serve all but the first, which
            begins with nothing that others take over (`bias = none`), this says so.
    """
    behind = list_behind(bodies)
    try:
        (whole,) = _partition(bodies)
        return make_turns(whole)
    except Unfoldable as error:
        own = error.loops == find_loops(body.frame for body in bodies)
        if own and may_open(bodies) and _serves(behind):
            raise Unfoldable(error.loops, but_first=True) from error
        raise


def _serves(bodies: list[Body]) -> bool:
    """Whether turns of a loop print as a loop."""
    try:
        (whole,) = _partition(bodies)
        make_turns(whole)
    except Unfoldable:
        return False
    return True


def _partition(bodies: list[Body]) -> list[ExplainedClass]:
    """One class if one can serve all bodies; otherwise as few as joining them one structure at a
    time finds."""
    whole = _attempt(bodies)
    if whole is not None:
        return [whole]
    if any(item.general is not None for body in bodies for item in body.items):
        general = _attempt([body.generalize() for body in bodies])
        if general is not None:
            return [general]
    if isinstance(bodies[0].frame, TurnFrame):
        raise Unfoldable(find_loops(b.frame for b in bodies))
    clusters: list[list[Body]] = []
    made: list[ExplainedClass] = []
    for group in group_by_structure(bodies):
        members = [bodies[number] for number in group]
        together = _attempt(members)
        pieces = [members] if together is not None else [[body] for body in members]
        for piece in pieces:
            _join(piece, clusters, made)
    return made


def _join(piece: list[Body], clusters: list[list[Body]], made: list[ExplainedClass]) -> None:
    """Adds bodies to the first class that can serve them too, or makes one for them."""
    for place, cluster in enumerate(clusters):
        joined = _attempt(cluster + piece)
        if joined is not None:
            clusters[place], made[place] = cluster + piece, joined
            return
    alone = _attempt(piece)
    assert alone is not None, f"no class serves one call of {piece[0].frame.block}"
    clusters.append(piece)
    made.append(alone)


def _attempt(bodies: list[Body]) -> ExplainedClass | None:
    """The class of all bodies; None where one cannot serve them."""
    differ = len(group_by_structure(bodies)) > 1
    for by_place in (False, True) if differ else (False,):
        try:
            return explain_class(merge_bodies(bodies, by_place=by_place))
        except Diverge:
            continue
    return None
