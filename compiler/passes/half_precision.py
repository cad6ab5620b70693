"""Computes a net in half precision, with casts only where it meets what stays in f32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Output, Parameter, Value
from compiler.ops.choosing import Cast
from compiler.ops.creation import Constant
from compiler.report.diagnostics import Fault
from compiler.types.tensor import DType, TensorType
from compiler.writing.names import free_name

Array = NDArray[Any]

LARGEST = 65504.0
"""The largest number of f16 (IEEE 754)."""


@dataclass
class HalfRewriter:
    """Retypes a graph node by node. `computes` says of a node whether it may compute in half
    precision; where its type rule refuses, it stays in f32."""

    graph: Graph
    dtype: DType
    weights: Mapping[str, Array]
    computes: Callable[[Node], bool]
    halved: set[str] = field(default_factory=set)
    """Names of the first outputs of nodes that compute in half precision."""
    _nodes: list[Node] = field(default_factory=list)
    _values: dict[str, Value] = field(default_factory=dict)
    _casts: dict[tuple[str, DType, object], Value] = field(default_factory=dict)

    def run(self) -> Graph:
        """The graph: inputs and outputs have the types they had."""
        self._values = {i.name: i.value for i in self.graph.inputs}
        chosen = {id(node) for node in self.graph.nodes if self._may_compute(node)}
        parameters = tuple(self._retype(p, chosen) for p in self.graph.parameters)
        self._values |= {p.path: p.value for p in parameters}
        for node in self.graph.nodes:
            self._add(node, half=id(node) in chosen)
        outputs = tuple(self._finish(output) for output in self.graph.outputs)
        return replace(self.graph, parameters=parameters, nodes=tuple(self._nodes), outputs=outputs)

    def _may_compute(self, node: Node) -> bool:
        if isinstance(node.op, Constant):
            users = self.graph.users.get(node.output.name, ())
            return self._fits(node.op) and any(self._may_compute(user) for user in users)
        makers = [self.graph.producers.get(v.name) for v in node.inputs if v is not None]
        numbers = [m.op for m in makers if m is not None and isinstance(m.op, Constant)]
        return self.computes(node) and all(map(self._fits, numbers))

    def _fits(self, op: Constant) -> bool:
        """Whether a constant has the same meaning in half precision."""
        if not op.dtype.is_float or not isinstance(op.value, int | float | tuple):
            return True
        finite = op.array[np.isfinite(op.array)]
        return self.dtype is DType.BF16 or bool((np.abs(finite) <= LARGEST).all())

    def _retype(self, parameter: Parameter, chosen: set[int]) -> Parameter:
        """A weight that only layers in half precision read is kept in it."""
        users = self.graph.users.get(parameter.path, ())
        plain = parameter.value.type.dtype is DType.F32
        large = np.abs(self.weights[parameter.path]).max(initial=0) > LARGEST if plain else False
        if not plain or not users or any(id(user) not in chosen for user in users):
            return parameter
        if large and self.dtype is DType.F16:
            return parameter
        kind = TensorType(self.dtype, parameter.value.type.shape)
        return replace(parameter, value=Value(parameter.path, kind))

    def _add(self, node: Node, *, half: bool) -> None:
        if half and isinstance(node.op, Constant) and node.op.dtype is DType.F32:
            node = replace(node, op=replace(node.op, dtype=self.dtype))
        inputs = tuple(self._read(v, node, half=half) for v in node.inputs)
        types = [v.type if v is not None else None for v in inputs]
        try:
            made = node.op.infer(lambda left, relation, right: None, *types)
        except Fault:
            assert half, "in f32 a node has the types that it had"
            self._add(node, half=False)
            return
        outputs = tuple(Value(v.name, t) for v, t in zip(node.outputs, made, strict=True))
        self._values |= {v.name: v for v in outputs}
        if half and any(v.type.dtype is self.dtype for v in outputs):
            self.halved.add(outputs[0].name)
        self._nodes.append(replace(node, inputs=inputs, outputs=outputs))

    def _read(self, value: Value | None, node: Node, *, half: bool) -> Value | None:
        """An input in the precision in which a node computes."""
        if value is None:
            return None
        current = self._values[value.name]
        wanted = self.dtype if half else DType.F32
        if value.type.dtype is not DType.F32 or current.type.dtype is wanted:
            return current
        return self._cast(current, wanted, node)

    def _cast(self, value: Value, dtype: DType, node: Node) -> Value:
        """A value in another precision, once for each frame that reads it."""
        key = (value.name, dtype, node.scope)
        if key not in self._casts:
            taken = {*self._values, *self.graph.producers, *(v.name for v in self._casts.values())}
            name = free_name(f"{value.name}_{dtype}", taken, "_")
            made = Value(name, TensorType(dtype, value.type.shape))
            site = Site(node.origin.span)
            self._nodes.append(Node(Cast(dtype), (value,), (made,), node.scope, site))
            self._casts[key] = made
        return self._casts[key]

    def _finish(self, output: Output) -> Output:
        current = self._values[output.value.name]
        if current.type.dtype is output.value.type.dtype:
            return replace(output, value=current)
        maker = self.graph.producers[output.value.name]
        like = replace(maker, scope=self.graph.frame)
        return replace(output, value=self._cast(current, output.value.type.dtype, like))
