"""Symbolic dimensions: exact integer polynomials over named sizes and floor quotients.

A `Dim` is kept in canonical form, so that structural equality is equality of polynomials. Every
symbol stands for a size of at least 1; that is what lets signs and inequalities be decided.
"""

from compiler.types.dims.bounds import at_most, bounds, equal
from compiler.types.dims.polynomial import (
    MAX_BITS,
    Dim,
    DimError,
    DimTooLarge,
    Monomial,
    Quotient,
    Symbol,
    product,
)

__all__ = [
    "MAX_BITS",
    "Dim",
    "DimError",
    "DimTooLarge",
    "Monomial",
    "Quotient",
    "Symbol",
    "at_most",
    "bounds",
    "equal",
    "product",
]
