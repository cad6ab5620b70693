"""Puts a changed net back into its train: every call of the net becomes the new graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace

from compiler.compression.copying import GraphCopy, find_sizes, prefixed_parameters
from compiler.ir.authored import Alias, Decision
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node, Output, Parameter, Value
from compiler.ir.verify import verify_graph
from compiler.ops.scan import Scan
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.train import Train, TrainedNet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.tuning import net_inside_loop, net_looked_into
from compiler.report.source import Span
from compiler.types.dims import Dim


def attach(train: Train, name: str, graph: Graph, prefix: str | None = None) -> Train:
    """The train with another graph in place of a net's.

    Every call of the net in the step becomes a copy of the graph, under the frame of the call,
    so that scripts are generated from the new net; an average that the step nowhere applies needs
    none. What the net was to load is forgotten: the
    numbers of a changed net come from elsewhere. What was frozen for the sake of adapters is
    free again: they have been merged.

    Args:
        train: a checked train.
        name: which of its nets.
        graph: the new graph: inputs and outputs as the old one's.
        prefix: where the parameters shall live in the train; where they did, if None.

    Raises:
        CompileError: the net is applied inside a loop of the step, or not at all; or the step
            applies a part of it, or reads a weight that the new graph does not have.
        KeyError: the train has no such net.
    """
    old = find_net(train, name)
    changed = replace(old.net, graph=graph, loads=(), frozen=())
    new = replace(old, net=changed, prefix=old.prefix if prefix is None else prefix)
    calls = find_calls(train.graph, old)
    fault = find_obstacle(train, name, graph.parameter.keys())
    if fault is not None:
        raise CompileError([fault])
    step = _Replacement(train.graph, old, new, calls).run()
    nets = tuple(new if net is old else net for net in train.nets)
    freed = {old.prefix + path for path in old.net.frozen}
    freeze = tuple(pattern for pattern in train.freeze if pattern not in freed)
    return replace(train, nets=nets, graph=step, freeze=freeze)


def find_net(train: Train, name: str) -> TrainedNet:
    """A net of a train by name.

    Raises:
        KeyError: there is none.
    """
    for net in train.nets:
        if net.name == name:
            return net
    raise KeyError(f"the train {train.name} has no net {name}")


@dataclass(frozen=True)
class CallOfNet:
    """One application of a net in the step of a train: its frame, its nodes, and the values of
    the step by the name of their counterpart in the net's own graph. `shared` are nodes of the
    step outside of the call that have a counterpart too, by the names of what that makes: a value
    of the file is computed once in a step, and by each net that reads it."""

    frame: Frame
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    shared: Mapping[str, Node]


def find_calls(step: Graph, net: TrainedNet) -> tuple[CallOfNet, ...]:
    """The applications of a net in a step, in order."""
    nodes: dict[Frame, list[Node]] = {}
    for node in step.nodes:
        frame = _find_frame(node, net)
        if frame is not None:
            nodes.setdefault(frame, []).append(node)
    known = {i.name: i.value for i in step.inputs} | {p.path: p.value for p in step.parameters}
    known |= {v.name: v for node in step.nodes for v in node.outputs}
    outside = tuple(node for node in step.nodes if node.scope is step.frame)
    return tuple(_match_call(net, frame, inside, outside, known) for frame, inside in nodes.items())


def find_same_calls(train: Train, name: str) -> tuple[CallOfNet, ...]:
    """The calls of a net, outside of loops, that are given what the first one is: in evaluation
    all of them put out the same. None where the train's outputs need none."""
    return next(iter(group_calls(train, name)), ())


def group_calls(train: Train, name: str) -> tuple[tuple[CallOfNet, ...], ...]:
    """The calls of a net, outside of loops: those that are given the same together."""
    groups: dict[object, list[CallOfNet]] = {}
    for call in find_calls(train.graph, find_net(train, name)):
        groups.setdefault(call.frame.tensors, []).append(call)
    return tuple(map(tuple, groups.values()))


def find_obstacle(
    train: Train,
    name: str,
    kept: Collection[str],
    passes: tuple[Span, ...] = (),
    *,
    measured: bool = False,
) -> Message | None:
    """Why no other graph can take the place of a net, as `passes` would have it: the step applies
    it inside a loop, or takes more from it than its outputs: a part of it, or a weight whose path
    in the net is not among those `kept`. None where one can. An average learns by the net that it
    follows, and must be applied only where its figures are `measured`."""
    net = find_net(train, name)
    calls = find_calls(train.graph, net)
    own = {net.prefix + path for path in net.net.graph.parameter}
    idle = net.average is not None and not measured and not own & train.graph.parameter.keys()
    if not calls and not idle:
        return net_inside_loop(train.span, name, passes)
    inside = {id(node) for call in calls for node in call.nodes}
    for node in train.graph.nodes:
        if id(node) in inside:
            continue
        frames = [f for f in node.scope.chain[1:] if f.path]
        for path in (v.name for v in node.inputs if v is not None and v.name in own):
            part = next((f for f in frames if path.startswith(f"{f.path}.")), None)
            if part is not None:
                return net_looked_into(part.origin, name, part.path, passes)
            if path.removeprefix(net.prefix) not in kept:
                return net_looked_into(node.origin.span, name, path, passes)
    return None


def _find_frame(node: Node, net: TrainedNet) -> Frame | None:
    """The call of the net that a node belongs to."""
    path = net.prefix.removesuffix(".")
    block = net.net.graph.frame.block
    calls = (f for f in node.scope.chain[1:] if f.path == path and f.block == block)
    return next(calls, None)


def _match_call(
    net: TrainedNet,
    frame: Frame,
    inside: Sequence[Node],
    outside: Sequence[Node],
    known: Mapping[str, Value],
) -> CallOfNet:
    """A call of a net with the counterparts of the net's values. The nodes of the call are those of
    the net in the same order, without those that no output of the step needs, and without those of
    values of the file, which stand among the nodes `outside`."""
    graph = net.net.graph
    found = {formal: known[name] for formal, name in frame.tensors if name in known}
    sizes = find_sizes(graph, found)
    for path in graph.parameter:
        if net.prefix + path in known:
            found[path] = known[net.prefix + path]
    copies, others = _Copies(inside), _Copies(outside)
    places = {node.origin.span for node in outside}
    shared: dict[str, Node] = {}
    for node in graph.nodes:
        if copies.matched == len(inside):
            break
        copy = others.match(node, found, sizes) if node.origin.span in places else None
        if copy is not None:
            shared |= {own.name: copy for own in node.outputs}
        else:
            copy = copies.match(node, found, sizes)
        if copy is not None:
            pairs = zip(node.outputs, copy.outputs, strict=True)
            found |= {own.name: value for own, value in pairs}
    whole = copies.matched == len(inside)
    assert whole, f"a call of {net.name} has a node that the net does not have"
    return CallOfNet(frame, tuple(inside), found, shared)


class _Copies:
    """The nodes of one call, by what they compute: a net may compute the same value twice, of
    which the step may need only one."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.matched = 0
        self.same: dict[str, str] = {}  # values that equal an earlier one, by name
        self.alike: dict[tuple[object, ...], list[tuple[Node, ...]]] = {}
        self.used: dict[int, int] = {}  # nodes of a group that have one, by its first
        for node in nodes:
            self._add(node)

    def _add(self, node: Node) -> None:
        """Puts a node with those that equal it."""
        groups = self.alike.setdefault(self._key(node.inputs), [])
        for place, group in enumerate(groups):
            if group[0].op == node.op:
                groups[place] = (*group, node)
                pairs = zip(node.outputs, group[0].outputs, strict=True)
                self.same |= {v.name: first.name for v, first in pairs}
                return
        groups.append((node,))

    def _key(self, inputs: Sequence[Value | None]) -> tuple[object, ...]:
        return tuple(v and self.same.get(v.name, v.name) for v in inputs)

    def match(self, own: Node, found: Mapping[str, Value], sizes: Mapping[str, Dim]) -> Node | None:
        """The counterpart of a node of the net: the next of the nodes that equal it, or the first
        where there are fewer of them. None where the call has none."""
        if any(v is not None and v.name not in found for v in own.inputs):
            return None
        key = self._key([found[v.name] if v is not None else None for v in own.inputs])
        fitting = [g for g in self.alike.get(key, ()) if _computes_same(own, g[0], sizes)]
        for group in fitting:
            place = self.used.get(id(group[0]), 0)
            if place < len(group):
                self.used[id(group[0])] = place + 1
                self.matched += 1
                return group[place]
        return fitting[0][0] if fitting else None


def _computes_same(own: Node, node: Node, sizes: Mapping[str, Dim]) -> bool:
    """Whether a node of a step does what a node of the net does, applied to the same inputs.
    Loops are compared by what they read: their bodies stand under frames of their own graph."""
    if isinstance(own.op, Scan):
        return isinstance(node.op, Scan)
    return own.op.substitute(sizes) == node.op


@dataclass
class _Replacement:
    """One run of `attach`: the step under construction."""

    step: Graph
    old: TrainedNet
    new: TrainedNet
    calls: Sequence[CallOfNet]
    taken: set[str] = field(init=False)
    aliases: list[Alias] = field(init=False)
    decisions: list[Decision] = field(init=False)
    serial: int = field(init=False)

    def run(self) -> Graph:
        """The step with the new graph at every call."""
        replaced = {id(node) for call in self.calls for node in call.nodes}
        kept = [node for node in self.step.nodes if id(node) not in replaced]
        parameters = tuple(self._exchange_parameters())
        self.taken = {i.name for i in self.step.inputs} | {p.path for p in parameters}
        self.taken |= {v.name for node in kept for v in node.outputs}
        frames = {call.frame for call in self.calls}
        self.aliases = [a for a in self.step.aliases if not frames & set(a.frame.chain)]
        self.decisions = [d for d in self.step.decisions if not frames & set(d.frame.chain)]
        self.serial = max((f.call for n in self.step.nodes for f in n.scope.chain), default=0)
        current: dict[str, Value] = {p.path: p.value for p in parameters}
        for parameter in self.new.net.graph.parameters:  # the objective may read it by itself
            moved = current[self.new.prefix + parameter.path]
            current[self.old.prefix + parameter.path] = moved
        nodes = tuple(self._rebuild(replaced, current))
        outputs = tuple(
            Output(o.name, current.get(o.value.name, o.value), o.doc, o.origin)
            for o in self.step.outputs
        )
        step = replace(
            self.step,
            outputs=outputs,
            parameters=parameters,
            nodes=nodes,
            aliases=tuple(self.aliases),
            decisions=tuple(self.decisions),
        )
        step = DeadCode().run(step, Context())
        verify_graph(step)
        return step

    def _exchange_parameters(self) -> Iterator[Parameter]:
        """The parameters of the step, the new net's where the old one's began."""
        old_paths = {self.old.prefix + path for path in self.old.net.graph.parameter}
        new = list(prefixed_parameters(self.new))
        for parameter in self.step.parameters:
            if parameter.path not in old_paths:
                yield parameter
                continue
            yield from new
            new = []
        yield from new

    def _rebuild(self, replaced: set[int], current: dict[str, Value]) -> Iterator[Node]:
        """All nodes in order; `current` maps names that are read to what stands for them. Nodes
        that a call shares with the step may stand behind its first: they come where it reads
        them."""
        starts = {id(call.nodes[0]): call for call in self.calls}
        done = set(replaced)
        for node in self.step.nodes:
            if id(node) in starts:
                for made in self._insert(starts[id(node)], current):
                    if id(made) not in done:
                        yield made
                        done.add(id(made))
            if id(node) in done:
                continue
            done.add(id(node))
            made = _renew(node, current)
            for before, after in zip(node.outputs, made.outputs, strict=True):
                current[before.name] = after
            yield made

    def _insert(self, call: CallOfNet, current: dict[str, Value]) -> Iterator[Node]:
        """The nodes of the new graph in place of those of a call."""
        path = self.new.prefix.removesuffix(".")
        frame = replace(call.frame, path=path)
        arguments = {
            item.name: current.get(call.values[item.name].name, call.values[item.name])
            for item in self.new.net.graph.inputs
            if item.name in call.values
        }
        copy = GraphCopy(
            self.new, frame, arguments, call.values, self.taken, self.serial, call.shared
        )
        yield from copy.nodes()
        self.serial = copy.serial
        self.aliases += copy.aliases()
        self.decisions += copy.decisions()
        for output in self.new.net.graph.outputs:
            before = next(o for o in self.old.net.graph.outputs if o.name == output.name)
            if before.value.name in call.values:
                current[call.values[before.value.name].name] = copy.value(output.value)


def _renew(node: Node, current: Mapping[str, Value]) -> Node:
    """A node that reads what stands for its inputs now, with types inferred where they changed."""
    inputs = tuple(current.get(v.name, v) if v is not None else None for v in node.inputs)
    if inputs == node.inputs:
        return node
    types = tuple(v.type if v is not None else None for v in inputs)
    if types == node.types:
        return replace(node, inputs=inputs)
    made = node.op.infer(lambda left, relation, right: None, *types)
    outputs = tuple(Value(v.name, t) for v, t in zip(node.outputs, made, strict=True))
    return replace(node, inputs=inputs, outputs=outputs)
