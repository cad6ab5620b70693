"""A flat graph under its frames: what each call holds, reads and returns, in which order."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from heapq import heappop, heappush
from itertools import pairwise, product

from backends.pytorch.fold.holders import MODE, MODE_TYPE, Holders, is_given
from backends.pytorch.fold.lists import Lists
from backends.pytorch.fold.live import find_keys, find_rebound, keep_live
from backends.pytorch.fold.spelled import Spelled, spell_graph, unmark
from backends.pytorch.fold.tracking import find_recording
from backends.pytorch.fold.turns import LoopFrame, TurnFrame, Turns, Unfoldable, find_owner
from backends.pytorch.fold.weaving import weave
from backends.pytorch.terms.naming import user_name
from backends.pytorch.terms.terms import Form, Operand, Part, Tree, rebuild, subtrees
from compiler.ir.frame import Frame, Turn
from compiler.ir.graph import Graph, Node, Parameter
from compiler.ir.hint import Hint, hint_names
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.writing.names import safe_name

Child = Frame | Spelled


class _Cycle(Exception):
    """A frame whose nodes cannot be called at one place."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.path)
        self.frame = frame


class Index:
    """Nodes of one graph under frames.

    `dissolved` frames are left out: what they hold stands in the frame around them. Frames in
    `nets` are calls of other modules: they are not looked into. `as_function`: nothing has a
    module, so parameters come in as tensors, or are read off `holders`. `wanted` are the axes of
    which loops keep the sizes of lists, by where the list begins.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        nets: Collection[Frame] = (),
        dissolved: Collection[Frame] = (),
        as_function: bool = False,
        holders: Holders | None = None,
        unrolled: Collection[Span] = (),
        opened: Collection[Span] = (),
        wanted: Collection[tuple[Span, int]] = (),
    ) -> None:
        self.graph = graph
        self.wanted = wanted
        self.turns = Turns(unrolled, opened)
        self.as_function = as_function
        self._modes: dict[str, None] = {}
        self.holders = holders or Holders()
        self.taken = frozenset({*self.holders.variables.values(), *self.holders.others})
        """What no variable may be called."""
        self.root = graph.frame
        self.nets = frozenset(nets)
        self.nodes = self._spell()
        if as_function:
            self.types |= dict.fromkeys(self.holders.given.values(), MODE_TYPE)
            self.nodes = list(map(self._take_given, self.nodes))
        self.makers = {name: item for item in self.nodes for name in item.outputs}
        self.dissolved = set(dissolved) | set(self._find_foreign_parents())
        while True:
            self._place_nodes()
            try:
                self.orders = {f: self._order(f) for f in self.children}
            except _Cycle as cycle:
                self.dissolved.add(cycle.frame)
                continue
            lost = self._find_deviceless()
            if not lost:
                return
            self.dissolved.update(lost)

    def _spell(self) -> list[Spelled]:
        """The nodes as code. Lists are kept as lists in modules: functions have no loops."""
        lists = None if self.as_function else Lists(self.graph, self.turns)
        spelled = spell_graph(self.graph, self.nets if self.as_function else None, lists)
        nodes, self.types, self.names = spelled
        outputs = self.graph.outputs
        self.outputs = [o.value.name for o in outputs]
        self.lists: dict[str, tuple[str, ...]] = {}
        """The items of each list, by the name of its value."""
        self.list_keys: dict[str, Span] = {}
        """Where each list begins in the spec."""
        self.list_loops: dict[str, frozenset[Span]] = {}
        """The loops that each list grows in."""
        if lists is not None:
            self.outputs = [lists.read(o.value.name, o.pick, ()) for o in outputs]
            nodes = weave(nodes, self.outputs, lists, self.types)
            rows = ((lists.names[one], items) for one, items in lists.items.items())
            self.lists = {name: tuple(i.value for i in items) for name, items in rows}
            self.list_keys = lists.find_keys()
            self.list_loops = {lists.names[one]: loops for one, loops in lists.loops.items()}
        self.makers = {name: item for item in nodes for name in item.outputs}
        self.rebound = [] if lists is None else find_rebound(nodes, self.turns, self.call_names)
        needed = [*self.outputs, *(single.value for single in self.rebound)]
        live = keep_live(nodes, needed, self.turns, modules=not self.as_function)
        if lists is not None:
            lists.check(name for item in live for name in item.reads)
            lists.check(self.outputs)
        return live

    def chain(self, frame: Frame) -> tuple[Frame, ...]:
        """The frame and all around it that are printed, outermost first; loops are among them."""
        found = self._chains.get(frame)
        if found is None:
            above = self.chain(frame.parent) if frame.parent is not None else ()
            if above and above[-1] in self.nets:
                found = above
            else:
                kept = () if frame in self.dissolved else (frame,)
                found = (*above, *self._loops(frame.parent, frame.turns), *kept)
            self._chains[frame] = found
        return found

    def chain_of(self, item: Spelled) -> tuple[Frame, ...]:
        """The frames around a node that are printed, outermost first."""
        above = self.chain(item.scope)
        if above[-1] in self.nets:
            return above
        return (*above, *self._loops(item.scope, item.origin.turns))

    def _loops(self, owner: Frame | None, turns: tuple[Turn, ...]) -> Iterator[Frame]:
        """Loops of a frame that is printed itself."""
        if owner is not None and turns and owner not in self.dissolved and not self.as_function:
            yield from self.turns.frames(owner, turns)

    def values(self, child: Child) -> Mapping[str, Hint]:
        """What the names of unrolled loops around a child are written as."""
        turns = child.turns if isinstance(child, Frame) else child.origin.turns
        if self.as_function and turns:
            return Turns({t.loop for t in turns if t.loop is not None}).values(turns)
        return self.turns.values(turns) if turns else {}

    def find_printed(self, frame: Frame) -> Frame:
        """The call itself, or the next around it, that has code of its own: not where it is left
        out, or nothing of it is left."""
        while frame.parent is not None and frame not in self.children:
            frame = frame.parent
        return frame

    def reads(self, child: Child) -> list[str]:
        """Names of the values that a child of a frame reads."""
        return list(self.entering[child]) if isinstance(child, Frame) else list(child.reads)

    def owns(self, frame: Frame, path: str) -> bool:
        """Whether a parameter lives below the module of a frame."""
        return owns(frame, path) and (not self.as_function or frame in self.nets)

    def formals(self, frame: Frame) -> list[str]:
        """Names of the values that enter a frame: in the order of its signature, then of use."""
        if frame is self.root:
            held = self.held
            given = self.holders.given.values()
            entering = [n for n in self.entering[frame] if n not in held and n not in given]
            places = {path: place for place, path in enumerate(self.graph.parameter)}
            entering.sort(key=lambda name: places.get(name, -1))
            return [*(i.name for i in self.graph.inputs), *entering, *given]
        places = {value: place for place, (_, value) in enumerate(frame.tensors)}
        names = self.entering[frame]
        return sorted(
            names, key=lambda name: (is_given(name), places.get(unmark(name), len(places)))
        )

    def results(self, frame: Frame) -> list[str]:
        """Names of the values that leave a frame, in the order in which they are made."""
        if frame is self.root:
            return self.outputs
        return sorted(self.leaving[frame], key=self._places.__getitem__)

    @cached_property
    def recording(self) -> frozenset[Frame]:
        """The calls that PyTorch has to keep a record of, to differentiate in them."""
        return frozenset(map(self.find_printed, find_recording(self.graph)))

    @cached_property
    def held(self) -> dict[str, Tree]:
        """What a function reads off the modules that it is given, by the names of the values."""
        if not self.as_function:
            return {}
        parameters = (self.graph.parameter.get(value) for value in self.entering[self.root])
        weights = {
            p.path: self.holders.read(p)
            for p in parameters
            if p is not None and self.holders.holds(p.path)
        }
        return weights | {value: self.holders.read_mode(value) for value in self._modes}

    @cached_property
    def _places(self) -> dict[str, int]:
        names = (name for item in self.nodes for name in item.outputs)
        return {name: place for place, name in enumerate(names)}

    @cached_property
    def _known(self) -> dict[tuple[Frame, str], set[str]]:
        known: dict[tuple[Frame, str], set[str]] = {}
        for alias in self.graph.aliases:
            known.setdefault((alias.frame, alias.value), set()).add(alias.name)
        return known

    def call_names(self, call: Frame, value: str) -> frozenset[str]:
        """What a call calls a value: its own name where the call makes it or is given it, and
        the name of what an inner call hands back."""
        maker = self.makers.get(value)
        found = {formal for formal, given in call.tensors if given == unmark(value)}
        found |= self._known.get((call, value), set())
        if (maker.scope if maker is not None else self.root) is call:
            found.add(user_name(value))
        return frozenset(safe_name(name) for name in found if name)

    def find_declarer(self, path: str) -> Frame | None:
        """The call whose block declares a parameter; None where no node of it is left."""
        return self._declarers.get(path.rpartition(".")[0])

    @cached_property
    def _declarers(self) -> dict[str, Frame]:
        found: dict[str, Frame] = {}
        for item in self.nodes:
            for frame in item.scope.chain:
                found.setdefault(frame.path, frame)
        return found

    def nodes_under(self, frame: Frame) -> tuple[Node, ...]:
        """All nodes of a call, those of calls inside it too."""
        return tuple(self._nodes_under.get(frame, ()))

    @cached_property
    def _nodes_under(self) -> dict[Frame, list[Node]]:
        found: dict[Frame, list[Node]] = {}
        for item in self.nodes:
            for frame in item.scope.chain:
                if isinstance(item.node, Node):
                    found.setdefault(frame, []).append(item.node)
        return found

    @cached_property
    def bare(self) -> dict[str, list[Parameter]]:
        """Parameters that no module makes, by the path of the frame that declares them."""
        covered = {name for item in self.nodes for name in item.owned}
        if self.as_function:
            return {}
        paths = {f.path for f in self.children}
        bare: dict[str, list[Parameter]] = {}
        for parameter in self.graph.parameters:
            if parameter.path not in covered:
                owner = parameter.path
                while owner and owner not in paths:
                    owner = owner.rpartition(".")[0]
                bare.setdefault(owner, []).append(parameter)
        return bare

    @cached_property
    def unread(self) -> frozenset[str]:
        """Parameters that only modules have which no output is made from."""
        live = {name for item in self.nodes for name in item.reads}
        read = {v.name for node in self.graph.nodes for v in node.inputs if v is not None}
        return frozenset(p.path for p in self.graph.parameters if p.path in read - live)

    @cached_property
    def stateless(self) -> frozenset[Frame]:
        """Frames that hold no module and no parameter: they print as functions."""
        if self.as_function:
            return frozenset(self.children.keys() - self.nets)
        stateful = {self.root}
        for item in self.nodes:
            if item.constructor is not None or _has(item, MODE):
                stateful.update(self.chain_of(item))
        for frame in self.children:
            if self.bare.get(frame.path):
                stateful.update(self.chain(frame))
        return frozenset(self.children.keys() - stateful)

    # --- building ---------------------------------------------------------------------------

    def _take_given(self, item: Spelled) -> Spelled:
        """A node of a function, with the mode that it acts in, and what else the function is given,
        as values it reads."""
        if any(f in self.nets for f in item.scope.chain):
            return item
        given = {tree: value for tree, value in self.holders.given.items() if _has(item, tree)}
        if _has(item, MODE):
            given[MODE] = mode = self.holders.find_mode(item.scope)
            self._modes[mode] = None
            self.types[mode] = MODE_TYPE
        if not given:
            return item
        places = {tree: Operand(len(item.reads) + place) for place, tree in enumerate(given)}

        def read(part: Part) -> Part:
            return places.get(part, part) if isinstance(part, Tree) else part

        expression = rebuild(item.expression, read)
        reads = (*item.reads, *given.values())
        return replace(item, expression=expression, reads=reads, module=None)

    def _find_foreign_parents(self) -> Iterator[Frame]:
        """A frame cannot hold a module that lives elsewhere, nor be the module that it holds:
        such frames print inline."""
        for item in self.nodes:
            if item.slot and item.slot == item.scope.path:
                yield item.scope
        for frame in dict.fromkeys(item.scope for item in self.nodes):
            for inner in frame.chain:
                for outer in inner.chain[1:-1]:
                    if not owns(outer, inner.path) and outer not in self.nets:
                        yield outer

    def _place_nodes(self) -> None:
        self._chains: dict[Frame, tuple[Frame, ...]] = {}
        self.children: dict[Frame, list[Child]] = {self.root: []}
        self.entering: dict[Frame, dict[str, None]] = {self.root: {}}
        self.leaving: dict[Frame, dict[str, None]] = {self.root: {}}
        for item in self.nodes:
            chain = self.chain_of(item)
            for outer, frame in pairwise(chain):
                if frame not in self.children:
                    self.children[frame] = []
                    self.entering[frame], self.leaving[frame] = {}, {}
                    self.children[outer].append(frame)
            if chain[-1] not in self.nets:
                self.children[chain[-1]].append(item)
            for name in item.reads:
                self._cross(name, chain)
        for name in self.outputs:
            self._cross(name, (self.root,))
        for frame in list(self.children):
            for name in self._find_shown(frame):
                self._cross(name, self.chain(frame))
        self._let_out_rebound()
        self._complete_turns()

    def _let_out_rebound(self) -> None:
        """Lets out of the only turn of a loop what the next one would read."""
        for owner, loop, name in self.rebound:
            chain = self.chain_of(self.makers[name])
            for place, frame in enumerate(chain):
                own = isinstance(frame, TurnFrame) and find_owner(frame) is owner
                if own and isinstance(frame, TurnFrame) and frame.turn.loop == loop:
                    for inner in chain[place:]:
                        self.leaving[inner][name] = None

    def _complete_turns(self) -> None:
        """Lets out of each turn of a loop what some turn lets out: of the last, too, what only
        the turns before it hand on."""
        keys = find_keys(self.nodes, self.turns)
        made: dict[tuple[Frame, Hashable, int], str] = {}
        known: dict[str, tuple[Hashable, int]] = {}
        for item, key in zip(self.nodes, keys, strict=True):
            for output, name in enumerate(item.outputs) if key is not None else ():
                known[name] = key, output
                for frame in self.chain_of(item):
                    if isinstance(frame, TurnFrame):
                        made[frame, key, output] = name
        for loop in [frame for frame in self.children if isinstance(frame, LoopFrame)]:
            turns = [child for child in self.children[loop] if isinstance(child, TurnFrame)]
            leaving = {known[n]: None for t in turns for n in self.leaving[t] if n in known}
            most = max(len(self.leaving[turn]) for turn in turns)
            for turn, key in product(turns, leaving):
                other = made.get((turn, *key))
                lacks = len(self.leaving[turn]) < most  # not where a branch lets out another
                if lacks and other is not None and other not in self.leaving[turn]:
                    chain = self.chain_of(self.makers[other])
                    for frame in chain[chain.index(turn) :]:
                        self.leaving[frame][other] = None

    def _find_shown(self, frame: Frame) -> Iterator[str]:
        """Tensors of a call that its nodes read the size of, if nothing else."""
        symbolic = {
            a.name: dict(a.dims)
            for a in frame.arguments
            if a.dims and isinstance(a.value, Dim) and a.value.known is None
        }
        if not symbolic:
            return
        values = dict(frame.tensors)
        entering = self.entering[frame]
        hints = [
            hint
            for child in self.children[frame]
            for _, hint in _written(child)
            if not isinstance(child, Spelled) or child.scope is find_owner(frame)
        ]
        needed = {n for hint in hints for n in hint_names(hint) if n in symbolic}
        for name in sorted(needed):
            shown = [v for formal in symbolic[name] if (v := values.get(formal)) in self.types]
            if shown and not any(value in entering for value in shown):
                yield shown[0]

    def _cross(self, name: str, chain: tuple[Frame, ...]) -> None:
        """Lets a value in and out of the frames between its maker and its reader."""
        if name in self.graph.parameter:
            for frame in reversed(chain):
                if self.owns(frame, name):
                    return
                self.entering[frame][name] = None
            return
        maker = self.makers.get(name)
        source = self.chain_of(maker) if maker is not None else (self.root,)
        shared = 0
        while shared < min(len(chain), len(source)) and chain[shared] is source[shared]:
            shared += 1
        for frame in chain[shared:]:
            self.entering[frame][name] = None
        for frame in source[shared:]:
            self.leaving[frame][name] = None

    def _maker_in(self, frame: Frame, name: str) -> Child | None:
        """The child of a frame that makes a value; None where it comes from outside."""
        maker = self.makers.get(name)
        if maker is None:
            return None
        chain = self.chain_of(maker)
        depth = len(self.chain(frame))
        if len(chain) < depth or chain[depth - 1] is not frame:
            return None
        return chain[depth] if len(chain) > depth else maker

    def _order(self, frame: Frame) -> list[Child]:
        """The children in topological order, as near to the graph's order as possible."""
        children = self.children[frame]
        places = {child: place for place, child in enumerate(children)}
        makers = [
            {places[m] for name in self.reads(c) if (m := self._maker_in(frame, name)) is not None}
            for c in children
        ]
        order = sort_topologically(makers)
        if len(order) < len(children):
            stuck = set(range(len(children))) - set(order)
            frames = [c for i in sorted(stuck) if isinstance(c := children[i], Frame)]
            stuck_loops = (f for f in (frame, *frames) if isinstance(f, LoopFrame))
            loops = {f.loop for f in stuck_loops}
            if loops:
                raise Unfoldable(loops)
            raise _Cycle(frames[-1])
        return [children[i] for i in order]

    def _find_deviceless(self) -> list[Frame]:
        """Frames that make tensors from nothing and see no tensor to take the device from."""
        return [
            frame
            for frame, children in self.children.items()
            if frame is not self.root
            and not isinstance(frame, LoopFrame | TurnFrame)
            and not self.entering[frame]
            and not any(isinstance(c, Spelled) and c.owned for c in children)
            and any(isinstance(c, Spelled) and needs_device(c) for c in children)
        ]


def _written(child: Child) -> Iterator[tuple[str, Hint]]:
    """What the author wrote for the fields of a node, or the arguments of a call."""
    if isinstance(child, Spelled):
        yield from child.origin.hints
    else:
        yield from ((a.name, a.hint) for a in child.arguments if a.hint is not None)


def needs_device(item: Spelled) -> bool:
    """Whether its expression makes a tensor on the device at hand."""
    return any(tree.form is Form.DEVICE for tree in subtrees(item.expression))


def _has(item: Spelled, part: Tree) -> bool:
    """Whether a part stands in its expression: `self.training` in `F.dropout(x, …)`."""
    return any(tree == part for tree in subtrees(item.expression))


def owns(frame: Frame, path: str) -> bool:
    """Whether a path lies below the frame's own."""
    return not frame.path or path.startswith(frame.path + ".")


def relative_path(frame: Frame, path: str) -> str:
    """A path below a frame as the frame's class says it."""
    return path[len(frame.path) + 1 :] if frame.path else path


def sort_topologically(needs: list[set[int]]) -> list[int]:
    """An order in which everything follows what it needs, near to the given one; shorter than
    `needs` where there is a cycle."""
    if all(need < place for place, one in enumerate(needs) for need in one):
        return list(range(len(needs)))
    waiting = [len(one) for one in needs]
    readers: dict[int, list[int]] = {}
    for place, one in enumerate(needs):
        for need in one:
            readers.setdefault(need, []).append(place)
    ready = [place for place, count in enumerate(waiting) if not count]
    order: list[int] = []
    while ready:
        place = heappop(ready)
        order.append(place)
        for reader in readers.get(place, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, reader)
    return order
