"""Layers of a loop's body whose weights are read before it: a module still holds them."""

from __future__ import annotations

from compiler.ir.graph import Node, Op, Value
from compiler.ops.indexing import Index
from compiler.ops.items import SliceItem
from compiler.ops.modules import owns_weights
from compiler.ops.scan import Scan
from compiler.passes.rewrite import Rewriter


def declare_layers(rewriter: Rewriter, node: Node, scan: Scan) -> None:
    """Adds the first step of a loop as far as the layers in its body need it. Nothing reads it:
    what is printed of it is the modules that hold the weights of these layers."""
    body = scan.body
    makers = {value.name: maker for maker in body.nodes for value in maker.outputs}
    needed: set[str] = set()
    waiting = [layer for layer in body.nodes if _has_module(layer)]
    while waiting:
        maker = waiting.pop()
        if maker.outputs[0].name in needed:
            continue
        needed.add(maker.outputs[0].name)
        waiting += [makers[v.name] for v in maker.inputs if v is not None and v.name in makers]
    if not needed:
        return
    known = _first_step(rewriter, node, scan)
    for maker in body.nodes:
        if maker.outputs[0].name in needed:
            inputs = tuple(None if v is None else known[v.name] for v in maker.inputs)
            made = rewriter.apply(maker.op, inputs, maker)
            known.update(zip((v.name for v in maker.outputs), made, strict=True))


def _has_module(node: Node) -> bool:
    """Whether its weights are its own, so that a module holds them."""
    return len(node.inputs) > len(node.op.operands) > 0 and _owns(node)


def _owns(node: Node) -> bool:
    variadic = any(operand.variadic for operand in node.op.operands)
    return not variadic and owns_weights(node)


def _first_step(rewriter: Rewriter, node: Node, scan: Scan) -> dict[str, Value]:
    """What the body reads in the first step, by its names."""
    outside = [None if v is None else rewriter.current(v) for v in node.inputs]
    known: dict[str, Value] = {}
    for item, sequence in zip(scan.slices, outside, strict=False):
        assert sequence is not None, "a scan has its sequences"
        axis = scan.axis % sequence.type.rank
        first: Op = Index((*[SliceItem()] * axis, 0))
        (known[item.name],) = rewriter.apply(first, [sequence], node)
    inner = (*scan.carried, *scan.captured)
    for item, value in zip(inner, outside[scan.sequences :], strict=True):
        assert value is not None, "a scan has its states"
        known[item.name] = value
    return known
