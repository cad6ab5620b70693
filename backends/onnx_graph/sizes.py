"""Sizes at run time: symbolic dimensions computed from the shapes of the graph's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import Protocol

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.dtypes import Array
from compiler.types.dims import Dim, Monomial, Quotient, Symbol
from compiler.types.tensor import TensorType


class UnboundSymbol(Exception):
    """A symbolic dimension that no input has as an axis of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no input has an axis of size {name}")
        self.name = name


class SizeNodes(Protocol):
    """What is needed to write down the computation of sizes."""

    def constant(self, array: Array) -> ir.Value:
        """A shared initializer."""

    def add_plain(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        attributes: dict[str, object],
        label: str,
    ) -> ir.Value:
        """A node that belongs to no layer."""


class Sizes:
    """Computes each size once. Every size is a 1-D i64 tensor of one element, so that shapes
    are their concatenation.

    ONNX's integer `Div` rounds towards zero and `//` rounds down: they agree because sizes are
    not negative.
    """

    def __init__(self, build: SizeNodes) -> None:
        self._build = build
        self._axes: dict[str, tuple[ir.Value, int]] = {}
        self._made: dict[Dim | Symbol | Quotient, ir.Value] = {}
        self._vectors: dict[tuple[Dim, ...], ir.Value] = {}

    def bind(self, value: ir.Value, type: TensorType) -> None:
        """Makes the plain symbols among the dims of a value known: of an input, or of the first
        value that has them."""
        for axis, dim in enumerate(type.shape):
            match dim.terms:
                case ((((Symbol(name), 1),), 1),):
                    self._axes.setdefault(name, (value, axis))

    def vector(self, dims: tuple[Dim, ...]) -> ir.Value:
        """A 1-D tensor of these sizes.

        Raises:
            UnboundSymbol: a symbol is the size of no input's axis.
        """
        if dims not in self._vectors:
            self._vectors[dims] = self._make_vector(dims)
        return self._vectors[dims]

    def _make_vector(self, dims: tuple[Dim, ...]) -> ir.Value:
        known = [d.known for d in dims]
        if None not in known:
            return self._build.constant(np.array(known, dtype=np.int64))
        parts: list[ir.Value] = []
        for constant, run in groupby(dims, key=lambda d: d.known is not None):
            if constant:
                parts.append(self._build.constant(np.array([d.known for d in run], np.int64)))
            else:
                parts.extend(self._size(dim) for dim in run)
        if len(parts) == 1:
            return parts[0]
        return self._build.add_plain("Concat", parts, {"axis": 0}, "sizes/shape")

    def _size(self, dim: Dim) -> ir.Value:
        if dim not in self._made:
            terms = [self._term(monomial, count) for monomial, count in dim.terms if count > 0]
            minus = [self._term(monomial, -count) for monomial, count in dim.terms if count < 0]
            total = reduce(self._add, terms) if terms else self._number(0)
            self._made[dim] = reduce(self._subtract, minus, total)
        return self._made[dim]

    def _term(self, monomial: Monomial, count: int) -> ir.Value:
        factors = [self._atom(atom) for atom, power in monomial for _ in range(power)]
        if count != 1 or not factors:
            factors.append(self._number(count))
        return reduce(self._multiply, factors)

    def _atom(self, atom: Symbol | Quotient) -> ir.Value:
        if atom not in self._made:
            match atom:
                case Symbol(name):
                    self._made[atom] = self._read(name)
                case Quotient(numerator, denominator):
                    parts = [self._size(numerator), self._size(denominator)]
                    self._made[atom] = self._build.add_plain("Div", parts, {}, "sizes/quotient")
        return self._made[atom]

    def _read(self, name: str) -> ir.Value:
        if name not in self._axes:
            raise UnboundSymbol(name)
        value, axis = self._axes[name]
        attributes: dict[str, object] = {"start": axis, "end": axis + 1}
        return self._build.add_plain("Shape", [value], attributes, f"sizes/{name}")

    def _number(self, number: int) -> ir.Value:
        return self._build.constant(np.array([number], dtype=np.int64))

    def _add(self, left: ir.Value, right: ir.Value) -> ir.Value:
        return self._build.add_plain("Add", [left, right], {}, "sizes/sum")

    def _subtract(self, left: ir.Value, right: ir.Value) -> ir.Value:
        return self._build.add_plain("Sub", [left, right], {}, "sizes/difference")

    def _multiply(self, left: ir.Value, right: ir.Value) -> ir.Value:
        return self._build.add_plain("Mul", [left, right], {}, "sizes/product")
