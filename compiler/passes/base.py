"""What a pass is: a frozen dataclass that makes a graph from a graph and says what it left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from compiler.ir.graph import Graph, Node
from compiler.records import dataclass

Array = NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """Why a pass left a site alone."""

    name: str  # of the pass
    node: Node
    reason: str

    def __str__(self) -> str:
        span = self.node.origin.span
        place = span.location if span is not None else self.node.outputs[0].name
        return f"{place}: {self.name} left {self.node.op.name} alone: {self.reason}"


@dataclass
class Context:
    """What passes need beside the graph. `weights` is an array per parameter path, None while
    they are not known; a pass that needs them then leaves everything alone."""

    weights: Mapping[str, Array] | None = None
    explanations: list[Explanation] = field(default_factory=list)

    def numbers(self, graph: Graph, path: str) -> Array | None:
        """The numbers of a parameter: those a pass computed, else the weights'."""
        computed = graph.constants.get(path)
        if computed is not None:
            return np.asarray(computed)
        return self.weights.get(path) if self.weights is not None else None


@dataclass(frozen=True)
class Pass(ABC):
    """Base of passes. Fields are the options, in the spec, in Python and on the command line.

    A pass gets a valid graph and returns a valid one, the same object where it changes nothing.
    It keeps the inputs and outputs, copies `scope` and `origin` from the node it replaces, gives
    a new value the name of the one it replaces, and keeps the parameters of a node under one
    prefix.
    """

    name: ClassVar[str]

    @abstractmethod
    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph after the pass."""

    def leave(self, context: Context, node: Node, reason: str) -> None:
        """Records why a site was left alone (`--explain PASS`)."""
        context.explanations.append(Explanation(self.name, node, reason))
