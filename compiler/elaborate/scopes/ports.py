"""What goes into a model and comes out, and what the body of a loop hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from compiler.elaborate.values.values import ArgumentValue, Tensor, Val
from compiler.records import dataclass
from compiler.report.source import Span


@dataclass(frozen=True)
class OutputEntry:
    """One `output` of a model."""

    name: str
    tensor: Tensor
    doc: str
    span: Span


@dataclass(eq=False)
class Ports:
    """What goes into a model and comes out. `given` are the tensors of a call; None where the
    model stands alone and declares the graph's own inputs."""

    given: Mapping[str, ArgumentValue] | None
    inputs: dict[str, Span] = field(default_factory=dict)
    outputs: list[OutputEntry] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Loop:
    """What the body of a `scan` hands out: stacked tensors with their axes, and its end."""

    axis: int
    emits: dict[str, tuple[Val, int, Span]] = field(default_factory=dict)
    until: tuple[Val, Span] | None = None
