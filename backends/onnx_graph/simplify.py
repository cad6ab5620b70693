"""Nodes that need not exist: identities, casts, transposes and reshapes of their own kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.opsets import find_carried
from compiler.types.dims import Dim
from compiler.types.tensor import DType

Call = tuple[str, Sequence[ir.Value | None], Mapping[str, object]]


class Simplifier:
    """Remembers what values were made from, and finds the smaller way to make the next one."""

    def __init__(self) -> None:
        self._nodes: dict[object, ir.Node] = {}
        self._dtypes: dict[ir.Value, DType] = {}
        self._transposed: dict[ir.Value, tuple[ir.Value, tuple[int, ...]]] = {}
        self._reshaped: dict[ir.Value, tuple[ir.Value, tuple[Dim, ...]]] = {}
        self._reshapes: dict[tuple[ir.Value, tuple[Dim, ...]], ir.Value] = {}

    def copy(self) -> Simplifier:
        """One that knows the same, for the body of a loop: what it learns stays inside."""
        inner = Simplifier()
        for name, known in vars(self).items():
            setattr(inner, name, known.copy())
        return inner

    def learn(self, value: ir.Value, dtype: DType) -> None:
        """Remembers the element type of a value."""
        self._dtypes[value] = dtype

    def dtype(self, value: ir.Value | None) -> DType | None:
        """The element type of a value, where it is known."""
        return self._dtypes.get(value) if value is not None else None

    def find(
        self, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, object]
    ) -> Call | None:
        """A smaller call that means the same, `Identity` where nothing is left to do."""
        source = inputs[0] if inputs else None
        if source is None:
            return None
        if op_type == "Cast" and self._dtypes.get(source) is attributes.get("to"):
            return "Identity", [source], {}
        if op_type == "Transpose":
            return self._find_transpose(source, attributes.get("perm"))
        return None

    def find_equal(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object],
        domain: str,
    ) -> ir.Node | None:
        """A node that does the same to the same values: two layers may each ask for a mask."""
        key = _identify(op_type, inputs, attributes, domain)
        return self._nodes.get(key) if key is not None else None

    def record(
        self,
        node: ir.Node,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object],
        opset: int,
    ) -> None:
        """Remembers what a new node does."""
        key = _identify(node.op_type, inputs, attributes, node.domain)
        if key is not None:
            self._nodes[key] = node
        source = inputs[0] if inputs else None
        if node.op_type == "Cast":
            target = attributes.get("to")
            assert isinstance(target, DType), "Cast says its type as a DType"
            self._dtypes[node.outputs[0]] = target
        elif node.domain == "":
            carried = find_carried(node.op_type, opset)
            if isinstance(carried, int):
                carried = self.dtype(inputs[carried]) if carried < len(inputs) else None
            if carried is not None:
                self._dtypes[node.outputs[0]] = carried
        perm = attributes.get("perm")
        if node.op_type == "Transpose" and source is not None and isinstance(perm, list | tuple):
            self._transposed[node.outputs[0]] = (source, tuple(perm))

    def before_reshapes(
        self, value: ir.Value, shape: tuple[Dim, ...]
    ) -> tuple[ir.Value, tuple[Dim, ...]]:
        """The value and shape that a chain of reshapes began with."""
        return self._reshaped.get(value, (value, shape))

    def find_reshape(self, origin: ir.Value, shape: tuple[Dim, ...]) -> ir.Value | None:
        """The value with this shape, if it was made before."""
        return self._reshapes.get((origin, shape))

    def record_reshape(
        self, origin: ir.Value, source: tuple[Dim, ...], made: ir.Value, shape: tuple[Dim, ...]
    ) -> None:
        """Remembers a reshape."""
        self._reshaped[made] = (origin, source)
        self._reshapes[origin, shape] = made
        if origin in self._dtypes:
            self._dtypes[made] = self._dtypes[origin]

    def _find_transpose(self, source: ir.Value, perm: object) -> Call | None:
        if not isinstance(perm, list | tuple):
            return None
        order = tuple(int(axis) for axis in perm)
        if source in self._transposed:
            first, inner = self._transposed[source]
            source, order = first, tuple(inner[axis] for axis in order)
        if order == tuple(range(len(order))):
            return "Identity", [source], {}
        return "Transpose", [source], {"perm": order}


def _identify(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, object],
    domain: str,
) -> object | None:
    """What two nodes that do the same have in common; None where two never do."""
    random = op_type.startswith("Random") or op_type in ("Bernoulli", "Dropout", "Multinomial")
    if random or any(isinstance(a, ir.Graph | np.ndarray) for a in attributes.values()):
        return None
    values = tuple((name, repr(value)) for name, value in sorted(attributes.items()))
    return domain, op_type, tuple(inputs), values
