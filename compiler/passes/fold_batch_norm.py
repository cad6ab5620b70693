"""Folds batch norms into the layers before them: in evaluation they are a scale and a shift.

((W x + b) - mean) * s + bias  =  (s W) x + ((b - mean) * s + bias),  s = weight / √(var + eps)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from compiler.ir.graph import Graph, Node
from compiler.ops.layers import LinearLayer
from compiler.ops.normalization import BatchNorm
from compiler.passes.base import Array, Context, Pass
from compiler.passes.rewrite import Rewriter
from compiler.passes.scaled import ScaledArray


@final
@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """A batch norm right behind a convolution or dense layer becomes part of its weights. The
    layer keeps its path; it gets a bias where it had none."""

    name = "fold_batch_norm"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph without the batch norms that can be folded."""
        folds: dict[str, Node] = {}  # by the output of the layer
        for node in graph.nodes:
            if isinstance(node.op, BatchNorm):
                reason = _find_obstacle(graph, node, context)
                if reason:
                    self.leave(context, node, reason)
                else:
                    folds[_source(graph, node).output.name] = node
        if not folds:
            return graph
        rewriter = Rewriter(graph)
        folded = {norm.output.name for norm in folds.values()}
        for node in graph.nodes:
            name = node.outputs[0].name
            if name in folds:
                _fold(graph, node, folds[name], context, rewriter)
            elif name not in folded:
                rewriter.keep(node)
        return rewriter.graph()


def _source(graph: Graph, norm: Node) -> Node:
    value = norm.inputs[0]
    assert value is not None, "a batch norm has an input"
    return graph.producers[value.name]


def _find_obstacle(graph: Graph, norm: Node, context: Context) -> str:
    """Why a batch norm cannot be folded; empty if it can."""
    value = norm.inputs[0]
    if value is None or value.name not in graph.producers:
        return "it is at an input of the network"
    layer = graph.producers[value.name]
    if not isinstance(layer.op, LinearLayer):
        return f"it follows `{layer.op.name}`, which has no weights"
    if layer.op.channel_axis % value.type.rank != 1:
        return "it does not normalise the last axis, which the dense layer before it makes"
    if len(graph.users[value.name]) > 1 or any(o.value == value for o in graph.outputs):
        return f"the result of `{layer.op.name}` is also used without it"
    for used in (*layer.inputs[1:], *norm.inputs[1:]):
        assert used is not None, "weights are never left out"
        if used.name not in graph.parameter:
            return f"`{used.name}` is computed"
        if context.numbers(graph, used.name) is None:
            return "the weights are not known yet"
        if len(graph.users[used.name]) > 1:
            return f"`{used.name}` is shared with another layer"
    return ""


def _fold(graph: Graph, layer: Node, norm: Node, context: Context, rewriter: Rewriter) -> None:
    """Replaces a layer and the norm behind it by the layer with other numbers."""
    op = layer.op
    assert isinstance(op, LinearLayer), "only layers with weights are folded into"
    weight, *bias = (_numbers(graph, layer, i, context) for i in range(1, len(layer.inputs)))
    scale, shift = _read_norm(graph, norm, context)
    folded_bias = shift + (bias[0] * scale if bias else 0)
    source, kept = layer.inputs[:2]
    assert source is not None, "a layer has an input"
    assert kept is not None, "a layer has a weight"
    parameter = graph.parameter[kept.name]
    dtype = parameter.value.type.dtype.numpy
    laid = _lay_scale(op, weight, scale)
    # Half precision is multiplied in f32 and rounded once, which only an array can hold.
    exact = weight.dtype == dtype and laid.dtype == dtype
    folded = ScaledArray(weight, laid) if exact else (weight * laid).astype(dtype)
    given = layer.inputs[2] if bias else None
    path = given.name if given else rewriter.free_name(_bias_path(parameter.path))
    inputs = [
        rewriter.current(source),
        rewriter.constant(parameter.path, folded),
        rewriter.constant(path, folded_bias.astype(dtype, copy=False), like=parameter),
    ]
    biased = replace(op, bias=True)  # type: ignore[type-var]
    rewriter.apply(biased, inputs, layer, [norm.output.name])


def _read_norm(graph: Graph, norm: Node, context: Context) -> tuple[Array, Array]:
    """Scale and shift of a batch norm."""
    op = norm.op
    assert isinstance(op, BatchNorm), "only batch norms are folded"
    numbers = [_numbers(graph, norm, i, context) for i in range(1, len(norm.inputs))]
    *affine, mean, variance = numbers
    scale = 1.0 / np.sqrt(variance + np.asarray(op.eps, variance.dtype))
    if not affine:
        return scale, -mean * scale
    scale = scale * affine[0]
    return scale, affine[1] - mean * scale


def _lay_scale(op: LinearLayer, weight: Array, scale: Array) -> Array:
    """The scale of each output channel in the layout of the weight."""
    ones = (1,) * (weight.ndim - 2)
    if op.made_axis == 0:
        return scale.reshape(-1, 1, *ones)
    # weight [c, out / groups, kernel…]: the input channels of a group see its outputs only.
    rows = np.repeat(scale.reshape(op.groups, -1), weight.shape[0] // op.groups, axis=0)
    return rows.reshape(*rows.shape, *ones)


def _numbers(graph: Graph, node: Node, index: int, context: Context) -> Array:
    """The numbers of a weight, computed in f32 where it is half precision."""
    value = node.inputs[index]
    assert value is not None, "weights are never left out"
    array = context.numbers(graph, value.name)
    assert array is not None, "obstacles were looked for"
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _bias_path(weight_path: str) -> str:
    head, _, _ = weight_path.rpartition(".")
    return f"{head}.bias" if head else "bias"
