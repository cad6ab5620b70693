"""What an op needs to write itself as ONNX nodes; `backends.onnx_graph` has the builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType

Array = NDArray[Any]


class OnnxValue(Protocol):
    """A tensor of the ONNX graph under construction; opaque to ops."""


Values = Sequence[Any]
"""Values of that graph; None where an optional operand is left out."""


class OnnxBuilder(Protocol):
    """What an op needs to write itself as ONNX nodes."""

    @property
    def opset(self) -> int:
        """Version of the default operator set."""

    def need_opset(self, op_type: str, needed: int) -> None:
        """Says since when an operator takes what it is given here."""

    def op(
        self,
        op_type: str,
        inputs: Sequence[Any],
        attributes: Mapping[str, object] | None = None,
        *,
        outputs: int = 1,
        domain: str = "",
    ) -> Any:
        """Adds a node; one value, or a tuple of them for `outputs` > 1. None inputs are left
        out. Attribute values are ints, floats, strings, lists of them, arrays or `DType`s."""

    def constant(self, array: Array, dtype: DType | None = None, like: Any = None) -> Any:
        """An initializer with these numbers; equal ones are shared. `dtype` says what NumPy's
        cannot: bf16, whose numbers are float32 here. It is named after the weight `like`, whose
        numbers it holds in another form."""

    def packed(self, codes: Array, bits: int, like: Any) -> Any:
        """An initializer of i8 or u8 codes that takes `bits`, 4 or 8, for each in the file. Where
        the opset has no integers of 4 bits, it takes 8. It is named after the weight `like`."""

    def dtype_of(self, value: Any) -> DType | None:
        """The element type of a value, where it is known."""

    def numbers(self, value: Any) -> Array | None:
        """The numbers of a weight or constant; None where the value is computed."""

    def accumulate(self, op_type: str, value: Any, start: Any, type: TensorType) -> tuple[Any, Any]:
        """An operator of two tensors applied to `start` and the entries of the first axis of
        `value`, each of this type, one after the other: the last result, and all of them along a
        first axis."""

    def shape(self, dims: Sequence[Dim]) -> Any:
        """A 1-D i64 tensor of sizes: constant where all are known, computed from the graph's
        inputs where they are symbolic. One symbolic entry that can be inferred becomes -1 only
        through `reshape`."""

    def reshape(self, value: Any, source: Sequence[Dim], target: Sequence[Dim]) -> Any:
        """`value` (of shape `source`) reshaped to `target`, with 0 and -1 in the constant shape
        where that says it; nothing is added where the shapes are equal."""
