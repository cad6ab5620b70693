"""Contracts: comparisons of figures in a `require`."""

from __future__ import annotations

from compiler.records import dataclass
from compiler.report.source import Span


@dataclass(frozen=True)
class Figure:
    """A measured number in a `require`: `test.accuracy`, `latency`, `fit.size`. `owner` is a train
    or variant (None: the variant itself), `split` None for what is no metric."""

    owner: str | None
    split: str | None
    name: str
    span: Span | None = None


@dataclass(frozen=True)
class Quantity:
    """A number in a `require`, in base units: bytes, seconds, fractions. `text` is as written."""

    value: float
    text: str


@dataclass(frozen=True)
class Computed:
    """Arithmetic in a `require`: `0.5 * fit.latency`, `fit.test.accuracy - 0.5%`."""

    operator: str  # one of + - * /
    left: Bound
    right: Bound


Bound = Figure | Quantity | Computed


@dataclass(frozen=True)
class Requirement:
    """One comparison of a `require` (those joined by `and` are several)."""

    left: Bound
    relation: str  # one of <= < >= >
    right: Bound
    span: Span | None = None
