"""What compression passes need from the context: data, an evaluator, meters, a trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from numpy.typing import NDArray

from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass
from compiler.report.source import Span

Array = NDArray[Any]


class Samples(Protocol):
    """Rows that a pass may look at. Calibration rows come from the training split and are
    disjoint from what `Evaluator` reads; test rows are never seen by a pass."""

    @property
    def synthetic(self) -> bool:
        """Whether they were drawn because there is no data; reports say so."""

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        """Inputs of the net by name, `rows` in all (fewer where there are fewer), in batches."""


class Evaluator(Protocol):
    """Figures of a net on the rows held out for decisions (the validation split, or a part of
    the training split that calibration does not use)."""

    def score(self, net: WeightedNet) -> Mapping[str, float]:
        """Metrics of the train by name, and `loss`."""


class LatencyMeter(Protocol):
    """Latency on the target."""

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        """Median seconds of one call of each net, compiled to ONNX and run in turns in ONNX
        Runtime on the target."""


class SizeMeter(Protocol):
    """Size on disk."""

    def weigh(self, net: WeightedNet) -> int:
        """Bytes of the net compiled to an ONNX file, as the variant is deployed."""


class TrialStore(Protocol):
    """Figures of trials that outlive an interrupted search, by key."""

    def recall(self, key: str) -> Mapping[str, float] | None:
        """What was remembered; None where nothing was."""

    def remember(self, key: str, figures: Mapping[str, float]) -> None:
        """Keeps figures; they are on disk when this returns."""


@dataclass(frozen=True)
class Goal:
    """A bound that the finished net must keep, for passes that choose their settings: a `require`
    with its figures put in. `figure` is "latency" (seconds), "size" (bytes), "params", "flops",
    "error", or a metric, whose bound has been carried over to the evaluator's rows."""

    figure: str
    relation: str  # "<=" or ">="
    bound: float
    span: Span | None = None


@dataclass(frozen=True)
class Tuning:
    """How `finetune`, `distill` and quantization-aware training train. `lr` is absolute; None is
    a tenth of what the train used. `teacher` is the net to follow, with `alpha` the share of the
    teacher's term and `temperature` of both softmaxes (Hinton et al. 2015). `masks` say, by
    parameter, which numbers may change: the others stay zero (what unstructured pruning left)."""

    epochs: int
    lr: float | None = None
    teacher: WeightedNet | None = None
    alpha: float = 0.5
    temperature: float = 4.0
    masks: Mapping[str, Array] = field(default_factory=dict)
    span: Span | None = None  # of the pass, for messages


class Trainer(Protocol):
    """Trains a net on as the train item says."""

    def train(self, net: WeightedNet, tuning: Tuning, label: str) -> WeightedNet:
        """The net with new numbers, of the epoch that judged best; the same graph. `label` names
        the folder in which the generated code is kept."""

    def gradients(self, net: WeightedNet, rows: int) -> Mapping[str, Array]:
        """The loss's gradient by trainable parameter, averaged over that many training rows."""


@dataclass(frozen=True)
class LayerNote:
    """What a pass did to one layer, or why it left it alone; `weft build --explain`, and a row of
    the report. `figures` are numbers by name: `rank`, `sqnr`, `channels`, `bits`, `seconds`."""

    step: str  # name of the pass
    path: str  # of the layer (`layer1.0.conv1`)
    done: str  # "64 -> 32 channels"; empty where nothing was done
    reason: str = ""
    figures: tuple[tuple[str, float], ...] = ()
    span: Span | None = None
    trial: bool = False
    """Whether it is about a net that was only tried, and is not the one that came out."""
