"""A proven bound on the bytes of a variant's file before any work, whatever the passes find.

Everything that is counted is surely in the file: the weights of layers that depend on an input and
reach an output of the deployment, a node for each, and what is said about the file itself. Biases
and norms are not counted (a batch norm is folded into the layer before it), nor is any other node.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from compiler.compression.base import CompressionPass, pass_of
from compiler.compression.selecting import is_adapter
from compiler.ir.graph import Graph, Node
from compiler.ops.layers import Layer
from compiler.ops.scan import Scan
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.deploy import Deploy
from compiler.program.variant import Variant
from compiler.records import dataclass

VARINT = 2
"""Bytes of a field of protobuf that holds a small number: its tag and the number."""
UNPACKING = 5
"""Nodes that put the entries of a sparse weight in their places: `Cast`, `CumSum`, `Cast`,
`ScatterElements`, `Reshape`. (Weights of one size share the `ConstantOfShape`.)"""


@dataclass(frozen=True)
class Floor:
    """What a variant's file has at least: `numbers` in weights, `bits` of each where they are
    not left out because they are zero (`sparse`), and `bytes` in all."""

    numbers: int
    bits: float
    sparse: bool
    bytes: int


def find_floor(variant: Variant, deploy: Deploy | None = None) -> Floor:
    """The least that the passes of a variant can leave, in the form that a deployment asks for."""
    graph = _find_deployed(variant.graph, deploy)
    passes = [pass_of(step) for step in variant.steps]
    sparse = any(map(_may_leave_out, passes))
    bits = 32.0
    for compression in passes:
        bits = 1.0 if chooses(compression) else compression.find_least_bits(bits)
    counts = _count_left(variant.graph, find_kept_weights(graph), passes)
    total = _count_frame(graph, deploy)
    for count in counts.values():
        total += _count_node(graph, 2, deploy) + _INITIALIZER
        total += _count_numbers(count, bits, passes, _count_node(graph, 1, deploy))
    return Floor(sum(counts.values()), bits, sparse, total)


def _count_numbers(count: int, bits: float, passes: Sequence[CompressionPass], node: int) -> int:
    """Bytes of the numbers of a weight and of the nodes that unpack them."""
    packed = int(count * bits // 8)
    if any(map(_may_leave_out, passes)):
        packed = min(packed, UNPACKING * node)
    packing = [p for p in passes if chooses(p) or p.find_least_bits(32.0) < 32]
    if packing and all(p.unpacks_weights for p in packing):
        return min(packed + node, 4 * count)
    return packed


def _may_leave_out(compression: CompressionPass) -> bool:
    return chooses(compression) or compression.may_leave_out_zeros


def chooses(compression: CompressionPass) -> bool:
    """Whether a pass applies others as it finds best."""
    values = (getattr(compression, option.field) for option in compression.options())
    return any(
        isinstance(item, CompressionPass | type)
        for value in values
        if isinstance(value, tuple)
        for item in value
    )


def _find_deployed(graph: Graph, deploy: Deploy | None) -> Graph:
    """The part of a net that its deployment keeps."""
    if deploy is None or not deploy.outputs:
        return DeadCode().run(graph, Context())
    kept = tuple(o for o in graph.outputs if o.name in deploy.outputs)
    return DeadCode().run(replace(graph, outputs=kept), Context())


# --- weights --------------------------------------------------------------------------------------


def find_kept_weights(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights that a file must have, by path: those that a layer reads whose input
    depends on an input of the net. What depends on none is computed when compiling."""
    inputs = {item.value.name for item in graph.inputs}
    trained = {
        p.path: p.value.type.known_shape
        for p in graph.parameters
        if p.trainable and p.value.type.rank >= 2 and not is_adapter(p.path.rpartition(".")[0])
    }
    found: dict[str, tuple[int, ...]] = {}
    for node in _list_dependent(graph.nodes, inputs):
        if isinstance(node.op, Layer):
            weight = node.inputs[1]
            shape = trained.get(weight.name) if weight is not None else None
            if weight is not None and shape is not None:
                found[weight.name] = shape
    return found


def _list_dependent(nodes: Sequence[Node], known: set[str]) -> Iterator[Node]:
    """The nodes whose first operand follows from numbers that only a run knows."""
    for node in nodes:
        read = {v.name for v in node.inputs if v is not None}
        if not read & known or node.op.reads_sizes:
            continue
        first = node.inputs[0]
        if first is not None and first.name in known:
            yield node
        if isinstance(node.op, Scan):
            given = [item.value.name for item in node.op.body.inputs]
            steps = node.op.sequences + node.op.states + int(node.op.count is not None)
            inner = {*given[:steps], *(name for name in given[steps:] if name in known)}
            yield from _list_dependent(node.op.body.nodes, inner)
        known |= {value.name for value in node.outputs}


def _count_left(
    graph: Graph, shapes: Mapping[str, tuple[int, ...]], passes: Sequence[CompressionPass]
) -> dict[str, int]:
    """The fewest numbers that the passes leave of each weight."""
    first = passes[0].count_all_least(graph) if passes and not chooses(passes[0]) else {}
    counts = {}
    for path, shape in shapes.items():
        kept = [1 if chooses(p) else p.count_least(shape) for p in passes]
        if path in first:
            kept[0] = first[path]
        counts[path] = _combine(prod(shape), kept)
    return counts


def _combine(size: int, kept: Sequence[int]) -> int:
    """What several passes leave: each may take its share of what the one before it left."""
    left = 1.0
    for count in kept:
        left *= count / size
    return max(1, int(left * size + 1e-6)) if size else 0


# --- what stands around them ----------------------------------------------------------------------


def _field(size: int) -> int:
    """Bytes of a field of protobuf that holds so many: a tag and a length stand before them."""
    return 2 + size


_INITIALIZER = _field(_field(1) + 3 * VARINT)
"""A weight besides its numbers: a name, a size or two, the type, the head of its numbers."""


def _count_node(graph: Graph, reads: int, deploy: Deploy | None) -> int:
    """Bytes of a node with so many inputs: names of at least one letter, an op of at least three,
    and where it comes from: `source`, the file and line, and `scope`, the blocks around it."""
    size = (reads + 2) * _field(1) + _field(3)
    spec = graph.frame.origin
    if spec is not None and (deploy is None or deploy.preprocess is None):
        size += _count_property("source", f"{spec.source.path}:1")
        size += _count_property("scope", graph.frame.block)
    return _field(size)


def _count_frame(graph: Graph, deploy: Deploy | None) -> int:
    """Bytes of what a file says about itself: versions, the spec, inputs and outputs, labels."""
    size = VARINT + _field(len("weft")) + _field(1) + _field(VARINT) + _field(_field(1))
    size += _count_property("weft_version", "1") + _count_property("spec_hash", "0" * 16)
    if deploy is not None and deploy.labels:
        size += _count_property("labels", json.dumps(list(deploy.labels), ensure_ascii=False))
    ports = {output.name: output.value.type for output in graph.outputs}
    if deploy is None or deploy.preprocess is None:
        ports |= {item.name: item.value.type for item in graph.inputs}
        if graph.frame.origin is not None:
            size += _count_property("spec", graph.frame.origin.source.path)
    for name, kind in ports.items():
        dims = _field(VARINT) * kind.rank
        size += _field(_field(len(name.encode())) + _field(_field(VARINT + _field(dims))))
    return size


def _count_property(key: str, value: str) -> int:
    """Bytes of a pair of words."""
    return _field(_field(len(key)) + _field(len(value.encode())))
