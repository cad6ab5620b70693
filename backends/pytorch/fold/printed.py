"""Ops that exist in generated scripts only: they are printed, and mean nothing by themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NoReturn

from compiler.ir.graph import Node, Op
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Assume, Types
from compiler.types.tensor import TensorType
from compiler.vocabulary.spelling import Spelling


class Printed(Op):
    """Base of such ops; what they stand for has its meaning where it is declared."""

    @abstractmethod
    def torch(self, node: Node) -> Spelling:
        """The PyTorch spelling: all that such an op has."""

    def infer(self, assume: Assume, *inputs: TensorType | None) -> NoReturn:
        """It has the type of what it stands for."""
        raise AssertionError(f"{self.name} is printed only")

    def evaluate(self, *inputs: Array | None) -> NoReturn:
        """The meaning is in what it stands for."""
        raise AssertionError(f"{self.name} is printed only")

    def onnx(
        self, build: OnnxBuilder, inputs: Sequence[Any], types: Types, outputs: Sequence[TensorType]
    ) -> NoReturn:
        """It is never lowered."""
        raise AssertionError(f"{self.name} is printed only")
