"""Which layers compute in integers, and which values are rounded for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import final

from compiler.compression.selecting import layer_path
from compiler.ir.graph import Graph, Node, Value
from compiler.ops.convolution import Conv
from compiler.ops.layers import LinearLayer
from compiler.records import dataclass
from compiler.types.tensor import DType


@final
@dataclass(frozen=True)
class Layer:
    """A layer with weights that can compute in integers: its node, what it reads in evaluation
    (a dropout before it is nothing then), and the parameters' paths."""

    node: Node
    op: LinearLayer
    source: Value
    weight: str
    bias: str | None

    @property
    def name(self) -> str:
        """The name of what it makes, which identifies it."""
        return self.node.output.name

    @property
    def path(self) -> str:
        """Where its author finds it."""
        return layer_path(self.node)

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has a filter of its own."""
        groups = self.op.groups
        return groups > 1 and groups == self.source.type.shape[self.op.channel_axis]


@final
@dataclass(frozen=True)
class Placement:
    """The layers that compute in integers, by name, and the values that are rounded: each with
    the value whose scale it has (itself, unless both must have one)."""

    label: str
    layers: tuple[Layer, ...]
    rounded: Mapping[str, str]

    @cached_property
    def leaders(self) -> Mapping[str, tuple[str, ...]]:
        """The values that share a scale, by the one that it is named after."""
        groups: dict[str, list[str]] = {}
        for name, leader in self.rounded.items():
            groups.setdefault(leader, []).append(name)
        return {leader: tuple(names) for leader, names in groups.items()}


def find_layers(graph: Graph) -> tuple[tuple[Layer, ...], tuple[tuple[Node, str], ...]]:
    """The layers that can compute in integers, and those with weights that cannot, with the
    reason."""
    layers, obstacles = [], []
    for node in graph.nodes:
        if not any(v is not None and v.name in graph.parameter for v in node.inputs[1:]):
            continue
        reason = _find_obstacle(graph, node)
        if reason:
            obstacles.append((node, reason))
        else:
            assert isinstance(node.op, LinearLayer), "a layer sums channels times a weight"
            names = [v.name for v in node.inputs[1:] if v is not None]
            bias = names[1] if len(names) > 1 else None
            layers.append(Layer(node, node.op, _find_source(graph, node), names[0], bias))
    return tuple(layers), tuple(obstacles)


def _find_source(graph: Graph, node: Node) -> Value:
    """What a layer reads, before any dropout: rounding behind one would clip in training, where
    it scales numbers up."""
    value = node.inputs[0]
    assert value is not None, "a layer has an input"
    while (maker := graph.producers.get(value.name)) and maker.op.noisy:
        assert maker.inputs[0] is not None, "noise has an operand"
        value = maker.inputs[0]
    return value


def _find_obstacle(graph: Graph, node: Node) -> str:
    if node.op.in_integers != "layer":
        return f"ONNX Runtime has no integer kernel for `{node.op.name}`"
    source, *weights = node.inputs
    if source is None or source.type.dtype is not DType.F32:
        return "it does not compute in f32"
    for value in weights:
        if value is None or value.name not in graph.parameter:
            return "its weight is computed"
    weight = weights[0]
    assert weight is not None, "weights are never left out"
    if any(user.op.in_integers != "layer" for user in graph.users[weight.name]):
        return "another layer reads its weight as it is"
    return ""


def place(graph: Graph, layers: Collection[Layer], label: str, *, joins: bool) -> Placement:
    """The values to round so that these layers run in integers, and with `joins` also the sums,
    products, pools and concatenations between them.

    A convolution runs in integers only where its result is rounded too, behind the activation
    that follows; a dense layer gives fractions unless its reader rounds.
    """
    groups = _Groups()
    chosen = {layer.name for layer in layers}
    for layer in layers:
        groups.add(layer.source.name)
        if isinstance(layer.op, Conv):
            groups.add(find_end(graph, layer.node).name)
    for node in reversed(graph.nodes):  # from the layers back to what is only moved to them
        source = node.inputs[0] if node.inputs else None
        moved = node.op.in_integers == "moves" and node.outputs[0].name in groups
        if moved and source is not None and _is_moved(graph, source, groups):
            groups.add(source.name)
    for node in graph.nodes:
        inputs = [v for v in node.inputs if v is not None]
        if node.outputs[0].name in chosen or not inputs:
            continue
        if not all(v.name in groups for v in inputs) or inputs[0].type.dtype is not DType.F32:
            continue
        result = node.outputs[0].name
        match node.op.in_integers:
            case "moves":
                if not node.op.moves or result in groups:  # a maximum is work, a move is none
                    groups.tie(inputs[0].name, result)
            case "joins" if joins:
                groups.add(result)
                # One scale spares a requantization. But the zero point of a scale that also
                # serves negative numbers would not absorb the ReLU of those that have none.
                if len({_is_clipped(graph, value) for value in inputs}) == 1:
                    for value in inputs:
                        groups.tie(result, value.name)
            case "computes" if joins:
                groups.add(find_end(graph, node).name)
    return Placement(label, tuple(layers), groups.named())


def find_end(graph: Graph, node: Node) -> Value:
    """What a layer makes together with the activation behind it that rounding absorbs."""
    value = node.output
    users = graph.users.get(value.name, ())
    alone = len(users) == 1 and all(o.value != value for o in graph.outputs)
    return users[0].output if alone and users[0].op.clips else value


def _is_moved(graph: Graph, value: Value, groups: _Groups) -> bool:
    """Whether a value only moves numbers that are rounded."""
    maker = graph.producers.get(value.name)
    if value.name in groups or maker is None or maker.op.in_integers != "moves":
        return value.name in groups
    source = maker.inputs[0]
    return source is not None and _is_moved(graph, source, groups)


def _is_clipped(graph: Graph, value: Value) -> bool:
    """Whether a value is never negative because an activation says so."""
    maker = graph.producers.get(value.name)
    if maker is None or maker.op.limits[0] >= 0:
        return maker is not None
    return maker.op.keeps_channels and all(
        _is_clipped(graph, v) for v in maker.inputs if v is not None
    )


class _Groups:
    """Values that are rounded, and which of them have one scale."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._parents

    def add(self, name: str) -> None:
        """Rounds a value."""
        self._parents.setdefault(name, name)

    def tie(self, leader: str, name: str) -> None:
        """Rounds two values with one scale."""
        self.add(leader)
        self.add(name)
        self._parents[self.find(name)] = self.find(leader)

    def find(self, name: str) -> str:
        """The value that a scale is named after."""
        while self._parents[name] != name:
            name = self._parents[name]
        return name

    def named(self) -> dict[str, str]:
        """Every rounded value, with the value that its scale is named after."""
        return {name: self.find(name) for name in self._parents}


def find_stem(graph: Graph, layers: Collection[Layer]) -> Iterator[Layer]:
    """Convolutions that read an input of the net."""
    inputs = {item.name for item in graph.inputs}
    for layer in layers:
        if isinstance(layer.op, Conv) and layer.source.name in inputs:
            yield layer


def find_start(graph: Graph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers, two or more, up to the first narrow place: one that all numbers pass as one
    value, smaller than any before. None where there is no such place among the first layers.

    The first convolutions see the largest images. All that follow amplify their noise, and with
    few channels they hardly gain from integers; but what they make is moved to the layout of
    integer kernels, which costs by the element.
    """
    least: int | None = None
    for count, layer in enumerate(layers[:LONGEST_START], start=1):
        if not isinstance(layer.op, Conv):
            break
        end = find_end(graph, layer.node)
        size = end.type.size.evaluate(dict.fromkeys(end.type.size.symbols, SIDE))
        if least is not None and size < least and _passes_all(graph, end):
            return tuple(layers[:count])
        least = size if least is None else min(least, size)
    return ()


def _passes_all(graph: Graph, value: Value) -> bool:
    """Whether nothing but this value is made before it and read behind it."""
    names = [node.outputs[0].name for node in graph.nodes]
    maker = graph.producers[value.name]
    place = names.index(maker.outputs[0].name)
    before = {v.name for node in graph.nodes[: place + 1] for v in node.outputs}
    read = {v.name for node in graph.nodes[place + 1 :] for v in node.inputs if v is not None}
    read |= {item.value.name for item in graph.outputs}
    inputs = {item.name for item in graph.inputs}
    return (before | inputs) & read == {value.name}


@final
@dataclass(frozen=True)
class Candidate:
    """One way to place integers in a net: which layers stay float, and whether the ops between
    layers are integer too."""

    name: str
    label: str
    float_stem: bool = False
    float_start: bool = False
    float_depthwise: bool = False
    joins: bool = True

    def choose(self, graph: Graph, layers: Sequence[Layer]) -> Placement:
        """The placement of these layers. All calls of one weight are placed alike, because one
        module holds it."""
        stem = {layer.weight for layer in find_stem(graph, layers)} if self.float_stem else set()
        if self.float_start:
            stem |= {layer.weight for layer in find_start(graph, layers)}
        kept = [
            layer
            for layer in layers
            if layer.weight not in stem and not (self.float_depthwise and layer.is_depthwise)
        ]
        return place(graph, kept, self.label, joins=self.joins)


CANDIDATES: tuple[Candidate, ...] = (
    Candidate("all", "all layers and the ops between them"),
    Candidate("float_stem", "all but the first convolution", float_stem=True),
    Candidate(
        "float_start", "all behind the first narrow place", float_stem=True, float_start=True
    ),
    Candidate("layers", "layers with weights alone", joins=False),
    Candidate(
        "float_depthwise",
        "all but the first and depthwise convolutions",
        float_stem=True,
        float_depthwise=True,
    ),
)
"""Placements to measure. Which one is the fastest depends on the net and on the machine: a first
convolution of three channels and 7 x 7 pays, one of 3 x 3 costs, and so on."""

LONGEST_START = 8
"""A start has no more layers: each one that stays float gives up what integers gain."""
SIDE = 256
"""What symbolic dims count as where sizes are compared."""
STEM_PAYS = 64
"""Products per result from which a first convolution pays in integers: 147 (ResNet: 0.38 of fp32
with it, 0.64 without), not 27 (MobileNet-v2: 0.65 with it, 0.57 without) or 25 (digits)."""


def pick_by_rule(graph: Graph, layers: Collection[Layer]) -> Candidate:
    """The placement that is most likely the fastest, where nothing can be measured."""
    stem = list(find_stem(graph, layers))
    pays = all(_count_products(graph, layer) >= STEM_PAYS for layer in stem)
    return CANDIDATES[0] if pays else CANDIDATES[1]


def _count_products(graph: Graph, layer: Layer) -> int:
    """How many products a result of a layer is the sum of."""
    weight = graph.parameter[layer.weight].value.type
    return (weight.size.known or 0) // max(1, weight.shape[0].known or 1)
