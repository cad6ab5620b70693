"""Builds one ONNX graph over onnx-ir: nodes, shared constants, sizes, and readable names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.attributes import make_attribute
from backends.onnx_graph.dtypes import (
    Array,
    PackedArray,
    element_type,
    onnx_dtype,
    onnx_shape,
    stored_array,
    stored_dtype,
)
from backends.onnx_graph.kernels import find_kernel
from backends.onnx_graph.names import Names
from backends.onnx_graph.opsets import UnavailableOp, find_override
from backends.onnx_graph.simplify import Simplifier
from backends.onnx_graph.sizes import Sizes
from compiler.passes.scaled import ScaledArray
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType

PACKED_SINCE = 21
"""The opset whose `Cast` reads integers of 4 bits."""


@dataclass(frozen=True)
class Initializer:
    """A weight or constant of the graph: its value and its numbers as the file holds them."""

    value: ir.Value
    array: Array | ScaledArray | PackedArray
    dtype: DType

    @property
    def kind(self) -> ir.DataType:
        """Its element type in the file."""
        return element_type(self.dtype, self.array)


@dataclass
class Section:
    """The nodes that one Weft node is written as, until they are named."""

    label: str
    metadata: Mapping[str, str]
    nodes: list[ir.Node] = field(default_factory=list)


class GraphBuilder:
    """Implements `compiler.ir.onnx_builder.OnnxBuilder`.

    Nodes are simplified as they are made: an Identity, a Cast to the type a value has, a
    Transpose of a Transpose, a Reshape of a Reshape and a node that there is already never come
    into being.
    """

    def __init__(self, opset: int, around: GraphBuilder | None = None) -> None:
        self.nodes: list[ir.Node] = []
        self._opset = opset
        self._around = around
        self._section: Section | None = None
        self.inputs: list[ir.Value] = []
        if around is None:
            self.names = Names()
            self.initializers: dict[str, Initializer] = {}
            self.sizes = Sizes(self)
            self._types: dict[ir.Value, TensorType] = {}
            self._constants: dict[tuple[DType, tuple[int, ...], bytes], ir.Value] = {}
            self._simplifier = Simplifier()
        else:
            self.names, self.initializers = around.names, around.initializers
            self.sizes, self._types = around.sizes, around._types
            self._constants = around._constants
            self._simplifier = around._simplifier.copy()

    def inside(self) -> GraphBuilder:
        """A builder for the body of a loop in this graph. It sees the values made so far;
        constants and sizes that it needs are made outside, once."""
        return GraphBuilder(self._opset, self)

    # --- the protocol that ops see --------------------------------------------------------

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return self._opset

    def need_opset(self, op_type: str, needed: int) -> None:
        """See the protocol.

        Raises:
            UnavailableOp: the opset is older.
        """
        if self._opset < needed:
            raise UnavailableOp(op_type, needed)

    def op(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object] | None = None,
        *,
        outputs: int = 1,
        domain: str = "",
    ) -> Any:
        """Adds a node; see the protocol.

        Raises:
            UnavailableOp: the opset has no such operator, and none of its own says the same.
            FixedDimension: an attribute would fix a symbolic dimension.
            MissingKernel: ONNX Runtime has no kernel of it for the dtype of its operand.
            OldKernel: ONNX Runtime has none for this opset.
        """
        given: Mapping[str, object] = {k: v for k, v in (attributes or {}).items() if v is not None}
        if domain == "":
            simpler = self._simplifier.find(op_type, inputs, given)
            if simpler is not None:
                op_type, inputs, given = simpler
            if op_type == "Identity":
                assert inputs[0] is not None
                return inputs[0]
            override = find_override(op_type, self._opset)
            if override is not None:
                return override(self, inputs, given)
        dtype = self.dtype_of(inputs[0] if inputs else None)
        instead = find_kernel(op_type, dtype, self._opset)
        if instead is not None:
            return instead(self, inputs, given)
        node = self._simplifier.find_equal(op_type, inputs, given, domain)
        if node is None or len(node.outputs) != outputs:
            node = self._make(op_type, inputs, given, outputs, domain)
            assert self._section is not None, "nodes are added between begin and finish"
            self._section.nodes.append(node)
            self._simplifier.record(node, inputs, given, self._opset)
        return node.outputs[0] if outputs == 1 else tuple(node.outputs)

    def constant(
        self, array: Array, dtype: DType | None = None, like: ir.Value | None = None
    ) -> ir.Value:
        """An initializer with these numbers; see the protocol."""
        found = dtype or DType.of_numpy(np.asarray(array).dtype)
        if found is None:
            raise TypeError(f"no Weft dtype for {np.asarray(array).dtype}")
        stored = stored_array(np.asarray(array), found)
        key = (found, stored.shape, stored.tobytes())
        if key not in self._constants:
            whole = found is DType.I64 and stored.ndim == 1
            wish = "sizes" if whole else "constant"
            if like is not None:
                wish = f"{like.name}.{found}"
            self._constants[key] = self._initialize(self.names.value(wish), stored, found)
        return self._constants[key]

    def packed(self, codes: Array, bits: int, like: ir.Value) -> ir.Value:
        """An initializer of small integers; see the protocol."""
        if bits == 8 or self._opset < PACKED_SINCE:
            return self.constant(codes, like=like)
        array = PackedArray.pack(codes)
        name = self.names.value(f"{like.name}.{array.kind.name.lower()}")
        found = DType.of_numpy(codes.dtype)
        assert found is not None, "codes are i8 or u8"
        return self._initialize(name, array, found)

    def numbers(self, value: ir.Value) -> Array | None:
        """The numbers of a weight or constant; None where the value is computed."""
        item = self.initializers.get(value.name) if value.name is not None else None
        if item is None or item.value is not value or isinstance(item.array, PackedArray):
            return None
        return np.asarray(item.array)

    def shape(self, dims: Sequence[Dim]) -> ir.Value:
        """A 1-D i64 tensor of sizes, constant or computed from the graph's inputs."""
        return self.sizes.vector(tuple(Dim.of(d) for d in dims))

    def reshape(self, value: ir.Value, source: Sequence[Dim], target: Sequence[Dim]) -> ir.Value:
        """`value` (of shape `source`) reshaped to `target`."""
        wanted = tuple(Dim.of(d) for d in target)
        simplifier = self._simplifier
        origin, dims = simplifier.before_reshapes(value, tuple(Dim.of(d) for d in source))
        if dims == wanted:
            return origin
        made = simplifier.find_reshape(origin, wanted)
        if made is None:
            empty = any(d == 0 for d in wanted)
            shape = self.shape(wanted) if empty else self._reshape_target(dims, wanted)
            result = self.op("Reshape", [origin, shape], {"allowzero": 1} if empty else {})
            assert isinstance(result, ir.Value)
            simplifier.record_reshape(origin, dims, result, wanted)
            made = result
        return made

    def accumulate(
        self, op_type: str, value: ir.Value, start: ir.Value, type: TensorType
    ) -> tuple[ir.Value, ir.Value]:
        """An operator applied to the entries of the first axis one after the other; see the
        protocol."""
        inner = self.inside()
        before, entry = (inner.input(name, type) for name in ("so_far", "entry"))
        inner.begin("step", {})
        made: ir.Value = inner.op(op_type, [before, entry])
        inner.finish([made], ["next"], [type])
        shown = inner.add_plain("Identity", [made], {}, "shown")
        for result in (made, shown):
            declare_type(result, type)
        body = ir.Graph([before, entry], [made, shown], nodes=inner.nodes, name="step")
        last, running = self.op(
            "Scan", [start, value], {"body": body, "num_scan_inputs": 1}, outputs=2
        )
        return last, running

    def type_of(self, value: ir.Value) -> TensorType | None:
        """The type of an input, a weight or a layer's output; None inside a layer."""
        return self._types.get(value)

    def dtype_of(self, value: ir.Value | None) -> DType | None:
        """The element type of a value, where it is known."""
        return self._simplifier.dtype(value)

    # --- what the lowering driver uses ----------------------------------------------------

    def input(self, name: str, type: TensorType, doc: str = "") -> ir.Value:
        """Declares an input of the graph; its plain symbolic dims can be computed from it."""
        value = ir.Value(name=self.names.value(name), doc_string=doc or None)
        declare_type(value, type)
        self.inputs.append(value)
        self._learn(value, type)
        if self._around is None:
            self.sizes.bind(value, type)
        return value

    def input_text(self, name: str, type: TensorType, doc: str = "") -> ir.Value:
        """Declares an input of text with the shape of a type; as `input`."""
        value = ir.Value(name=self.names.value(name), doc_string=doc or None)
        value.type, value.shape = ir.TensorType(ir.DataType.STRING), onnx_shape(type)
        self.inputs.append(value)
        self.sizes.bind(value, type)
        return value

    def weight(self, path: str, type: TensorType, array: Array | ScaledArray) -> ir.Value:
        """Declares a weight under its parameter path. A product is computed when it is written,
        if it has the dtype of the parameter."""
        stored: Array | ScaledArray
        if isinstance(array, ScaledArray) and array.dtype == stored_dtype(type.dtype):
            stored = array
        else:
            stored = stored_array(np.asarray(array), type.dtype)
        value = self._initialize(self.names.value(path), stored, type.dtype)
        self._learn(value, type)
        return value

    def begin(self, label: str, metadata: Mapping[str, str]) -> None:
        """Starts the nodes of one Weft node."""
        self._section = Section(label, metadata)

    def finish(
        self, values: Sequence[ir.Value], names: Sequence[str], types: Sequence[TensorType]
    ) -> None:
        """Names the nodes begun last and their values; `names` are those of the Weft values,
        empty where they have none."""
        section = self._section
        assert section is not None, "finish follows begin"
        self._section = None
        made = {value for node in section.nodes for value in node.outputs}
        for value, name, known in zip(values, names, types, strict=True):
            if value in made and value.name is None and name:
                value.name = self.names.value(name)
            self._learn(value, known)
            if self._around is None:
                self.sizes.bind(value, known)
        single = len(section.nodes) == 1
        for node in section.nodes:
            label = section.label if single else f"{section.label}/{node.op_type}"
            node.name = self.names.node(label)
            node.metadata_props.update(section.metadata)
            for value in node.outputs:
                if value.name is None:
                    value.name = self.names.value(node.name)

    def add_plain(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object],
        label: str,
        *,
        domain: str = "",
    ) -> ir.Value:
        """Adds a named node that belongs to no layer: a computed size, an output's Identity."""
        node = self._make(op_type, inputs, attributes, 1, domain)
        node.name = self.names.node(label)
        (value,) = node.outputs
        value.name = self.names.value(label)
        return value

    # --- inside ---------------------------------------------------------------------------

    def _make(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object],
        outputs: int,
        domain: str,
    ) -> ir.Node:
        kept = list(inputs)
        while kept and kept[-1] is None:
            kept.pop()
        made = [make_attribute(name, value) for name, value in attributes.items()]
        node = ir.Node(domain, op_type, kept, made, num_outputs=outputs)
        self.nodes.append(node)
        return node

    def _initialize(
        self, name: str, stored: Array | ScaledArray | PackedArray, dtype: DType
    ) -> ir.Value:
        kind = element_type(dtype, stored)
        value = ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(stored.shape))
        self.initializers[name] = Initializer(value, stored, dtype)
        self._simplifier.learn(value, dtype)
        return value

    def _learn(self, value: ir.Value, type: TensorType) -> None:
        self._types.setdefault(value, type)
        self._simplifier.learn(value, type.dtype)

    def _reshape_target(self, source: tuple[Dim, ...], target: tuple[Dim, ...]) -> ir.Value:
        """The shape operand of a Reshape: numbers, 0 for an axis that stays and -1 for the one
        that is left, or else a computed shape."""
        entries: list[int] = []
        for axis, dim in enumerate(target):
            known = dim.known
            if known is None:
                known = 0 if axis < len(source) and source[axis] == dim else -1
            entries.append(known)
        if entries.count(-1) > 1:
            return self.shape(target)
        return self.constant(np.array(entries, dtype=np.int64))


def declare_type(value: ir.Value, type: TensorType) -> None:
    """Writes the type of an input or output into the model."""
    value.type = ir.TensorType(onnx_dtype(type.dtype))
    value.shape = onnx_shape(type)
