"""Variants: which passes change which net, for which target, and what must hold after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from compiler.ir.graph import Graph
from compiler.program.net import Net
from compiler.program.requirement import Requirement
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.vocabulary.clauses import VARIANT, clause
from compiler.vocabulary.signature import Described


@dataclass(frozen=True)
class Target:
    """`target cpu(threads=2), batch=1`: where latency is measured and what kernels exist.

    `sizes` gives numbers to symbolic dims of the net's inputs where latency is measured; a dim
    without one is measured at a typical size: one row, and 32 or what is possible near it. `vnni`
    False means that 8-bit products saturate in 16 bits, so weights keep 7 bits (`reduce_range`).
    """

    device: str = "cpu"  # or "cuda"
    threads: int | None = None  # None: as many as there are cores
    sizes: tuple[tuple[str, int], ...] = ()
    vnni: bool = True
    span: Span | None = None


@dataclass(frozen=True)
class Step:
    """One pass of an `apply`, and where it is called."""

    compression: Described
    span: Span | None = None


@VARIANT.fills
@dataclass(frozen=True)
class Variant:
    """`variant tiny of fit { apply … require … }`, or `variant tiny of NET` with weights from
    elsewhere: then there is no `train`, and `source` says where they come from.

    `graph` is the net before any pass, with the paths of the net alone; the train stores its
    weights under `prefix`. `columns` names the column of the train's data that each input of the
    net was given.
    """

    name: str
    train: str | None
    net: str
    graph: Graph
    doc: str = ""
    span: Span | None = None
    source: Net | None = None
    prefix: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = clause(
        "apply prune(channels=50%) -> finetune(epochs=8) -> quantize(int8)",
        "the compression passes, in order",
        default=(),
    )
    target: Target = clause(
        "target cpu(threads=2), batch=1",
        "where latency is measured, at which sizes",
        default_factory=Target,
    )
    requires: tuple[Requirement, ...] = clause(
        "require test.accuracy >= fit.test.accuracy - 0.5% and size <= 24KiB",
        "what the result must hold; a build in which it does not fails",
        default=(),
        repeats=True,
    )
