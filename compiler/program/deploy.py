"""Deployments: which net goes into which file, and what stands around it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from compiler.ir.graph import Graph
from compiler.program.data import DataSet
from compiler.program.net import Net
from compiler.records import dataclass
from compiler.report.source import Span

OLDEST_OPSET = 18
"""The oldest ONNX opset that is written."""
NEWEST_OPSET = 26
"""The newest ONNX opset that is written: the newest that ONNX Runtime 1.31 runs."""


@dataclass(frozen=True)
class Deploy:
    """`deploy subject as onnx { … }`: exactly one of `net`, `train` and `variant` is set.

    `graph` is what is lowered: outputs pruned, preprocessing put before it. Of a variant it is
    the net before any pass: `outputs` and `preprocess` are put to the net that comes out, whose
    inputs were given the `columns`. `trained` is the name of the net in its train.
    """

    name: str
    target: str
    graph: Graph
    net: Net | None
    train: str | None
    opset: int = 21
    dynamic: tuple[str, ...] | None = None  # None: every symbolic dim stays symbolic
    fixed: tuple[tuple[str, int], ...] = ()
    labels: tuple[str, ...] = ()
    preprocess: DataSet | None = None
    span: Span | None = None
    variant: str | None = None
    outputs: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    verify: bool = True
    trained: str = ""
