"""The typed program: what elaboration makes of a file, and what drivers and backends read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compiler.data.base import Column, DataSource
from compiler.data.splitting import Split
from compiler.data.statistics import Statistic
from compiler.ir.graph import Graph
from compiler.source import Source, Span
from compiler.training.base import Metric, Optimizer


@dataclass(frozen=True)
class LoadWeights:
    """`-> load("file.safetensors", only=[…], except=[…], rename=["enc.*" -> "body.*"])`.

    `prefix` is the path of the part of the net that it loads (`backbone`; empty for the whole):
    the paths of the file and of the patterns are relative to it.
    """

    file: str  # as written; relative to the spec's folder
    only: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    span: Span | None = None
    prefix: str = ""


@dataclass(frozen=True)
class Net:
    """A network with its own weights: a model with arguments, and where its weights come from."""

    name: str
    model: str
    graph: Graph
    loads: tuple[LoadWeights, ...] = ()
    span: Span | None = None


@dataclass(frozen=True)
class DataSet:
    """A data item: a source, its raw columns, and the column expressions as one graph.

    `columns` runs on whole batches: its inputs are raw columns with a leading symbolic dim
    `rows`, its outputs the columns a train may use. Its buffers are statistics fitted on the
    training split (`standardize`, `fill`); `statistics` says how, in the order in which they can
    be fitted.
    """

    name: str
    source: DataSource
    schema: tuple[Column, ...]
    columns: Graph
    split: Split
    statistics: tuple[Statistic, ...] = ()
    doc: str = ""
    span: Span | None = None


@dataclass(frozen=True)
class TrainedNet:
    """A net inside a train. `prefix` is where its parameters live in the train's graph
    (`"m."`; empty for `train f of M`); `frozen` are path patterns without gradient."""

    name: str
    net: Net
    prefix: str = ""


@dataclass(frozen=True)
class ParameterGroup:
    """`with OPT over "patterns"`; no patterns: all parameters that no other group claims."""

    optimizer: Optimizer
    patterns: tuple[str, ...] = ()
    span: Span | None = None


@dataclass(frozen=True)
class MetricUse:
    """`metric name = metric(a, b)`: `arguments` are names of outputs of the train's graph."""

    name: str
    metric: Metric
    arguments: tuple[str, ...]
    span: Span | None = None


@dataclass(frozen=True)
class EarlyStop:
    """`until stalled(val.accuracy, epochs=8)`; `metric` may be `loss`."""

    split: str
    metric: str
    epochs: int
    span: Span | None = None


@dataclass(frozen=True)
class Train:
    """A train item: nets, data, objective and settings.

    `step` is one graph from the data's columns (leading dim `batch`) through the nets (frames)
    to its outputs: `loss` (a scalar), and what metrics read. The nets' frames are children of
    its root frame, so the objective prints as a function that calls the nets.
    """

    name: str
    nets: tuple[TrainedNet, ...]
    data: DataSet
    step: Graph
    groups: tuple[ParameterGroup, ...]
    metrics: tuple[MetricUse, ...]
    batch: int
    epochs: int
    seed: int = 0
    precision: str = "f32"  # or "bf16", "f16"
    clip: float | None = None  # norm of all gradients together
    layout: str = "contiguous"  # or "channels_last": how images lie in memory while training
    until: EarlyStop | None = None
    freeze: tuple[str, ...] = ()
    doc: str = ""
    span: Span | None = None


@dataclass(frozen=True)
class Deploy:
    """`deploy subject as onnx { … }`: exactly one of `net` and `train` is set."""

    name: str
    target: str
    graph: Graph  # what is lowered: outputs pruned, preprocessing put before it
    net: Net | None
    train: str | None
    opset: int = 21
    dynamic: tuple[str, ...] | None = None  # None: every symbolic dim stays symbolic
    fixed: tuple[tuple[str, int], ...] = ()
    labels: tuple[str, ...] = ()
    preprocess: DataSet | None = None
    span: Span | None = None


@dataclass(frozen=True)
class Program:
    """A checked file. Models are elaborated with their default arguments; a model with a
    parameter that has no default appears only through the nets that give it."""

    source: Source
    models: Mapping[str, Net] = field(default_factory=dict)
    nets: Mapping[str, Net] = field(default_factory=dict)
    data: Mapping[str, DataSet] = field(default_factory=dict)
    trains: Mapping[str, Train] = field(default_factory=dict)
    deploys: tuple[Deploy, ...] = ()


__all__ = [
    "DataSet",
    "Deploy",
    "EarlyStop",
    "LoadWeights",
    "MetricUse",
    "Net",
    "ParameterGroup",
    "Program",
    "Split",
    "Train",
    "TrainedNet",
]
