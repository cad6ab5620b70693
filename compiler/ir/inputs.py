"""What an op is told of its operands and weights, each by the name of a parameter of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from compiler.ir.operands import Types
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType


class Port(NamedTuple):
    """An axis of a node's tensor, counted from 0. An `inner` port is an axis that no tensor has,
    one factor of a product: `number` tells it from others, `axis` is its size."""

    side: Literal["in", "out", "inner"]
    number: int
    axis: int


@dataclass(frozen=True)
class NodeInput:
    """An operand or a weight: its place among the inputs of the node, and its type."""

    place: int
    type: TensorType

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The sizes of its axes."""
        return self.type.shape

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return self.type.rank

    @property
    def dtype(self) -> DType:
        """The type of its entries."""
        return self.type.dtype

    def axis(self, axis: int) -> Port:
        """One of its axes, counted from the end where it is negative."""
        return Port("in", self.place, axis % self.rank)


@dataclass(frozen=True)
class OnnxInput(NodeInput):
    """An operand or a weight, with its value in the ONNX graph."""

    value: Any


def list_inputs(types: Types) -> list[NodeInput | None]:
    """The inputs of a node of these types; None where an optional operand is left out."""
    return [NodeInput(i, t) if t is not None else None for i, t in enumerate(types)]


def list_onnx_inputs(types: Types, values: Sequence[Any]) -> list[OnnxInput | None]:
    """The inputs of a node that is written, with their values."""
    pairs = enumerate(zip(types, values, strict=True))
    return [OnnxInput(i, t, v) if t is not None else None for i, (t, v) in pairs]


def list_values(*inputs: OnnxInput | None) -> list[Any]:
    """The values of inputs, as far as these are given."""
    return [found.value for found in inputs if found is not None]
