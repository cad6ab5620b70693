"""The typed program: what elaboration makes of a file, and what drivers and backends read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from compiler.compression.base import CompressionPass
from compiler.compression.low_rank.lora import Lora
from compiler.compression.world import Target
from compiler.data.base import Column, DataSource
from compiler.data.splitting import Split
from compiler.data.statistics import Statistic
from compiler.ir.graph import Graph, Parameter
from compiler.ir.weights import match_paths
from compiler.records import dataclass
from compiler.report.source import Source, Span
from compiler.training.base import Direction, Metric, Optimizer, Regularizer


@dataclass(frozen=True)
class LoadWeights:
    """`-> load("file.safetensors", only=[…], except=[…], rename=["enc.*" -> "body.*"])`.

    `prefix` is the path of the part of the net that it loads (`backbone`; empty for the whole):
    the paths of the file and of the patterns are relative to it. `net teacher = fit` loads what
    the train `fit` learned, whose weights lie under `source` in its file; then `file` is empty.
    """

    file: str  # as written; relative to the spec's folder
    only: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    span: Span | None = None
    prefix: str = ""
    train: str | None = None
    source: str = ""


@dataclass(frozen=True)
class AddAdapters:
    """`-> lora(rank=8)` on a net. `prefix` is the path of the part of the net that it adapts;
    `loads` is how many of the net's loads come before: their files know nothing of adapters."""

    lora: Lora
    span: Span | None = None
    prefix: str = ""
    loads: int = 0


@dataclass(frozen=True)
class Net:
    """A network with its own weights: a model with arguments, and where its weights come from.
    `adapters` are still to be added to the graph; finished nets have none. `frozen` are its
    parameters that are not trained for the sake of adapters, as long as it has these."""

    name: str
    model: str
    graph: Graph
    loads: tuple[LoadWeights, ...] = ()
    span: Span | None = None
    adapters: tuple[AddAdapters, ...] = ()
    frozen: tuple[str, ...] = ()


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
class Regularization:
    """`regularize group_lasso(1e-3) over "hidden"`. `layers` are the parameters that it acts on:
    a weight, and its bias where that belongs to its groups."""

    regularizer: Regularizer
    layers: tuple[tuple[str, ...], ...]
    span: Span | None = None


@dataclass(frozen=True)
class MetricUse:
    """`metric name = metric(a, b)`: `arguments` are names of outputs of the train's graph, None
    for an optional operand that is left out. `better` is None where nobody has said which figure
    is: then it chooses nothing."""

    name: str
    metric: Metric
    arguments: tuple[str | None, ...]
    span: Span | None = None
    better: Direction | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return tuple(name for name in self.arguments if name is not None)


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
    regularizers: tuple[Regularization, ...] = ()

    @property
    def trainable(self) -> Mapping[str, Parameter]:
        """The parameters of the nets, frozen ones too, by the train's paths."""
        return {
            net.prefix + parameter.path: parameter
            for net in self.nets
            for parameter in net.net.graph.parameters
            if parameter.trainable
        }

    def find_held(self, group: ParameterGroup) -> Mapping[str, Parameter]:
        """The parameters that follow a group's optimizer."""
        others = [p for g in self.groups for p in g.patterns]
        frozen = match_paths(self.trainable, self.freeze)
        held = match_paths(self.trainable, group.patterns or ["*"])
        left_out = {*frozen, *(() if group.patterns else match_paths(held, others))}
        return {path: self.trainable[path] for path in held if path not in left_out}


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


@dataclass(frozen=True)
class Step:
    """One pass of an `apply`, and where it is called."""

    compression: CompressionPass
    span: Span | None = None


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
    steps: tuple[Step, ...]
    target: Target = field(default_factory=Target)
    requires: tuple[Requirement, ...] = ()
    doc: str = ""
    span: Span | None = None
    source: Net | None = None
    prefix: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Program:
    """A checked file. Models are elaborated with their default arguments; a model with a
    parameter that has no default appears only through the nets that give it."""

    source: Source
    models: Mapping[str, Net] = field(default_factory=dict)
    nets: Mapping[str, Net] = field(default_factory=dict)
    data: Mapping[str, DataSet] = field(default_factory=dict)
    trains: Mapping[str, Train] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    deploys: tuple[Deploy, ...] = ()


__all__ = [
    "AddAdapters",
    "Bound",
    "Computed",
    "DataSet",
    "Deploy",
    "EarlyStop",
    "Figure",
    "LoadWeights",
    "MetricUse",
    "Net",
    "ParameterGroup",
    "Program",
    "Quantity",
    "Regularization",
    "Requirement",
    "Split",
    "Step",
    "Train",
    "TrainedNet",
    "Variant",
]
