"""Curves of a classifier: what its scores tell apart at every threshold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Chart, Direction, Measured, Metric
from compiler.training.comparing import refuse
from compiler.training.ranking import Ranking
from compiler.types.tensor import TensorType

Array = NDArray[Any]

POINTS = 200
"""A curve has at most as many points: what a picture shows, not a file for each row."""


@dataclass(frozen=True)
class ThresholdCurve(Ranking):
    """Base of curves over the thresholds of one score for each row, from the highest down."""

    better: ClassVar[Direction | None] = None

    def resolve_classes(self, types: Sequence[TensorType]) -> Metric:
        advice = f"draw one curve for each class: `{self.name}(scores[:, 0], labels == 0)`"
        raise refuse(self.name, f"{types[0]} is not one score for each row", advice)

    def measure(self, scores: Array, positive: Array, weights: Array) -> Measured:
        order = np.argsort(-scores, kind="stable")
        last = np.append(np.diff(scores[order]) != 0, True)
        hits = np.append(0, (positive * weights)[order].cumsum()[last])
        misses = np.append(0, (~positive * weights)[order].cumsum()[last])
        if not hits[-1] or not misses[-1]:
            return self.nothing
        count = min(len(hits), POINTS)
        chosen = np.arange(count) * (len(hits) - 1) // (count - 1)
        return self.trace(hits, misses)[:, chosen]

    @abstractmethod
    def trace(self, hits: Array, misses: Array) -> Array:
        """The points, of how much above each threshold is of the class, and how much is not."""


def write_function(name: str, title: str, points: str) -> str:
    """The Python text of what measures a curve; `points` is an expression of hits and misses."""
    return f'''
def {name}(scores: Tensor, positive: Tensor, counts: Tensor) -> list[list[float]]:
    """{title}, from the highest score down; equal scores are one step."""
    counted = counts > 0
    scores, order = scores[counted].sort(descending=True)
    last = F.pad(scores.diff() != 0, (0, 1), value=True)
    hits = F.pad((positive * counts)[counted][order].cumsum(0)[last], (1, 0))
    misses = F.pad((~positive * counts)[counted][order].cumsum(0)[last], (1, 0))
    if not hits[-1] or not misses[-1]:
        return []
    points = {points}
    count = min(len(hits), {POINTS})
    return points[:, torch.arange(count) * (len(hits) - 1) // (count - 1)].tolist()
'''


@METRICS.register
@final
@dataclass(frozen=True)
class RocCurve(ThresholdCurve):
    """Receiver operating characteristic: the share of the rows that are of the class above each
    threshold, over the share of the others that are (Fawcett 2006). A curve and no number: it
    chooses nothing, and is a picture in the report; the area under it is `auroc`.

    Scores and labels (0 and 1, or bool) are one number for each row, logits or probabilities; of
    several classes each has its own curve, `roc_curve(scores[:, 0], label == 0)`. The figure is
    two rows, false and true positive rates, from (0, 0) at the highest score to (1, 1); of more
    than 200 scores 200 are drawn. Where no row is of the class, or all are, there is no curve.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.

    Example: `metric roc = roc_curve(score, even)`
    Source: Fawcett 2006, https://doi.org/10.1016/j.patrec.2005.10.010
    """

    name: ClassVar[str] = "roc_curve"
    chart: ClassVar[Chart | None] = Chart(
        "curve", "false positive rate", "true positive rate", "auroc", "scores that tell nothing"
    )
    function: ClassVar[str] = write_function(
        "roc_points",
        "False and true positive rates",
        "torch.stack([misses / misses[-1], hits / hits[-1]])",
    )

    def trace(self, hits: Array, misses: Array) -> Array:
        return np.stack([misses / misses[-1], hits / hits[-1]])


@METRICS.register
@final
@dataclass(frozen=True)
class PrecisionRecallCurve(ThresholdCurve):
    """Precision over recall: of the rows above each threshold the share that is of the class, over
    how much of the class is above it. A curve and no number: it chooses nothing, and is a picture
    in the report; the area under it is `average_precision`.

    Scores and labels (0 and 1, or bool) are one number for each row, logits or probabilities; of
    several classes each has its own curve, `precision_recall_curve(scores[:, 0], label == 0)`. The
    figure is two rows, recall and precision, from (0, 1) at the highest score to a recall of 1; of
    more than 200 scores 200 are drawn. Where no row is of the class, or all are, there is no curve.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.

    Example: `metric found = precision_recall_curve(score, even)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_recall_curve.html
    """

    name: ClassVar[str] = "precision_recall_curve"
    chart: ClassVar[Chart | None] = Chart("curve", "recall", "precision", "average_precision")
    function: ClassVar[str] = write_function(
        "pr_points",
        "Recall and precision",
        "torch.stack([hits / hits[-1], (hits / (hits + misses)).nan_to_num(1)])",
    )

    def trace(self, hits: Array, misses: Array) -> Array:
        said = hits + misses
        precision = np.divide(hits, said, out=np.ones(len(said)), where=said > 0)
        return np.stack([hits / hits[-1], precision])
