"""What pruning says to the journal: what each layer lost, or why it kept everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.pruning.axes import TOO_LATE
from compiler.compression.pruning.groups import Channels
from compiler.compression.selecting import KEPT_OUT, layer_path
from compiler.ir.evaluate import Array
from compiler.ir.graph import Graph, Node
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.layers import Layer
from compiler.report.source import Span


def note_channels(
    before: WeightedNet,
    after: WeightedNet,
    channels: Channels,
    allows: Callable[[str], bool],
    context: CompressionContext,
    reasons: Mapping[str, str],
) -> None:
    """Notes for each layer how many outputs it has left, and why not fewer. The channels are
    those of the net before; `reasons` are what else is known to keep layers whole, by path."""
    makers = {path for group in channels.groups for path in group.makers}
    left = {layer_path(node): _count_outputs(node) for node in _list_layers(after.graph)}
    for node in _list_layers(before.graph):
        path, count = layer_path(node), _count_outputs(node)
        now = left[path]
        if now != count:
            figures = (("channels", float(now)),)
            context.note(
                LayerNote("prune", path, f"{count} -> {now} channels", "", figures, _span(node))
            )
            continue
        reason = channels.obstacles.get(path, "")
        if not reason and not allows(path):
            reason = KEPT_OUT
        elif not reason and path in makers:
            reason = reasons.get(path) or explain_group(path, channels, allows)
        context.note(LayerNote("prune", path, "", reason, (), _span(node)))


def explain_group(path: str, channels: Channels, allows: Callable[[str], bool]) -> str:
    """Why a layer whose channels form a group has kept all of them."""
    for group in channels.groups:
        kept = next((p for p in group.makers if not allows(p)), None)
        if path in group.makers and kept is not None:
            return f"its channels are also those of `{kept}`, which may not be touched"
    return "no channel of it was among those to go"


def _list_layers(graph: Graph) -> list[Node]:
    """The nodes whose weights make channels, one for each path."""
    layers = [node for node in _walk(graph) if isinstance(node.op, Layer)]
    return list({layer_path(node): node for node in reversed(layers)}.values())[::-1]


def _walk(graph: Graph) -> Iterator[Node]:
    """The nodes, those inside loops too."""
    for node in graph.nodes:
        for body in node.op.bodies:
            yield from _walk(body)
        yield node


def _count_outputs(node: Node) -> int:
    assert isinstance(node.op, Layer), "only layers are counted"
    return node.op.channels


def _span(node: Node) -> Span | None:
    return node.origin.span


def note_weights(
    figures: Mapping[str, Array],
    masks: Mapping[str, Array],
    reasons: Mapping[str, str],
    context: CompressionContext,
) -> None:
    """Notes for each weight how many of its numbers became zero, or the reason why none."""
    for path, reason in reasons.items():
        context.note(LayerNote("prune", path, "", reason))
    for path, mask in masks.items():
        array = figures[path]
        kept = int(np.count_nonzero(mask))
        share = 1 - kept / array.size
        reason = "zeros make the file smaller, not ONNX Runtime faster"
        figure = (("sparsity", share),)
        context.note(LayerNote("prune", path, f"{share:.1%} zeros", reason, figure))


def find_quantized(graph: Graph) -> dict[str, str]:
    """The layers that `quantize` has been at, by path, with what that means for pruning."""
    made = {v.name for node in graph.nodes if node.op.quantized for v in node.outputs}
    return {
        layer_path(node): TOO_LATE
        for node in graph.nodes
        if any(value is not None and value.name in made for value in node.inputs[1:])
    }
