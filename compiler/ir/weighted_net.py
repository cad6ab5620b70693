"""A graph and the numbers of its parameters: what passes on trained nets take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from compiler.ir.graph import Graph
from compiler.records import dataclass

Array = NDArray[Any]


@dataclass(frozen=True)
class WeightedNet:
    """A graph and the numbers of its parameters, by path. Between passes `weights` has exactly
    one array per parameter and `graph.constants` is empty: numbers are never in two places."""

    graph: Graph
    weights: Mapping[str, Array]
