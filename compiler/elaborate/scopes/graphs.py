"""One graph under construction: its builder, what it captured, and its calls counted."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from compiler.elaborate.scopes.territory import Territory
from compiler.ir.builder import Builder
from compiler.ir.graph import Frame, Value
from compiler.program import AddAdapters, LoadWeights
from compiler.records import dataclass

if TYPE_CHECKING:
    from compiler.elaborate.scopes.files import FileScope
    from compiler.elaborate.values.values import NetValue, Tensor, Val


@dataclass(eq=False)
class GraphState:
    """A graph that is being built; the body of a `scan` is one inside another.

    `captured` are the tensors of the graph around it that the body reads, by the name of their
    value outside. `nets` places each net of file level that is used here, `loads` is what the
    nets load. `lets` holds tensors that file-level `let`s made here. `makers` are the names of
    the ops that made each value. `faults` is how many errors there were before it, `abandoned`
    says that its elaboration was given up. `of_rows` says that it computes columns of data, row
    by row. `territory` says whose weights lie where.
    """

    builder: Builder
    outer: GraphState | None = None
    captured: dict[str, tuple[Tensor, Value]] = field(default_factory=dict)
    nets: dict[int, NetValue] = field(default_factory=dict)
    lets: dict[tuple[FileScope, str], Val] = field(default_factory=dict)
    calls: int = 0
    loads: list[LoadWeights | AddAdapters] = field(default_factory=list)
    faults: int = 0
    abandoned: bool = False
    of_rows: bool = False
    makers: dict[str, str] = field(default_factory=dict)
    territory: Territory = field(default_factory=Territory)

    @property
    def root(self) -> GraphState:
        """The outermost graph: where parameters are declared."""
        return self if self.outer is None else self.outer.root

    @property
    def frame(self) -> Frame:
        """The frame that the outermost graph's nodes stand under."""
        return self.root.builder.frame

    def count_call(self) -> int:
        """A fresh number for a frame."""
        self.root.calls += 1
        return self.root.calls

    def value_of(self, tensor: Tensor) -> Value:
        """The tensor as a value of this graph; a tensor of a graph around it is captured."""
        if tensor.home is self:
            return tensor.value
        known = self.captured.get(tensor.value.name)
        if known is not None:
            return known[1]
        assert self.outer is not None, f"{tensor.value.name} belongs to another graph"
        outside = self.outer.value_of(tensor)
        inside = self.builder.input(outside.name, outside.type)
        self.captured[tensor.value.name] = (tensor, inside)
        return inside
