"""Metrics of how scores order rows: the area under the ROC curve, and average precision."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.ir.target_range import TargetRange
from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Kept, Measured, Metric, MetricCode
from compiler.training.comparing import find_class_axis, refuse, require_same_shape
from compiler.training.weighting import LabelComparison, Names
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand, compare

Array = NDArray[Any]


@dataclass(frozen=True)
class Ranking(LabelComparison):
    """Base of metrics of the order of all rows of a split by their scores, exact also where scores
    are equal."""

    hides_nan: ClassVar[bool] = True
    operands: ClassVar[tuple[Operand, ...]] = compare("scores", "labels")
    ignore_index: int | None = None

    function: ClassVar[str]
    """The Python text of what measures one class: from the scores of the rows, whether each is of
    the class, and its weight."""

    @property
    def size(self) -> int | None:
        """The number of classes; None where there is one score for two of them."""
        return None

    @abstractmethod
    def measure(self, scores: Array, positive: Array, weights: Array) -> Measured:
        """The same in NumPy; there is no figure where all rows are of the class, or none is."""

    @abstractmethod
    def resolve_classes(self, types: Sequence[TensorType]) -> Metric:
        """The metric that is meant for a score of each class.

        Raises:
            Fault: it takes no such scores, or they do not fit.
        """

    def check(self, types: Sequence[TensorType]) -> None:
        self.resolve(types)

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        scores, labels = types[:2]
        if scores.rank != labels.rank:
            return self.resolve_classes(types)
        require_same_shape(self.name, (scores, replace(labels, dtype=scores.dtype)))
        per_row = labels.rank == 1 or (labels.rank == 2 and labels.shape[1] == 1)
        if not per_row or not scores.dtype.is_float:
            advice = f"give each a metric of its own: `{self.name}(scores[:, 0], labels[:, 0])`"
            raise refuse(self.name, f"{scores} is not one score for each row", advice)
        return self

    def target_range(self, types: Sequence[TensorType]) -> TargetRange | None:
        if types[0].rank == types[1].rank:
            return TargetRange(0, 1, self.ignore_index, whole=True)
        size = types[0].shape[1].known
        return None if size is None else TargetRange(0, size - 1, self.ignore_index)

    def evaluate(self, *arrays: Array | None) -> Measured:
        scores, labels = arrays[0], arrays[1]
        assert scores is not None, "only masks and weights may be left out"
        assert labels is not None, "only masks and weights may be left out"
        weights = self.weigh(arrays).ravel()
        rows = scores.reshape(len(weights), -1)[weights > 0].astype(np.float64)
        known, weights = labels.ravel()[weights > 0], weights[weights > 0]
        if np.isnan(rows).any():
            return self.nothing
        if self.size is None:
            return self.measure(rows[:, 0], known > 0, weights)
        found = [float(self.measure(rows[:, c], known == c, weights)) for c in np.unique(known)]
        return float(np.mean(found)) if found else math.nan

    def code(self, arguments: Names) -> MetricCode:
        scores, labels = arguments[:2]
        weight, size = self.spell_weight(arguments), self.size
        name = self.function.strip().removeprefix("def ").partition("(")[0]
        per_row = f"{scores}.flatten()" if size is None else f"{scores}"
        nan = f"{scores}.isnan()" if size is None else f"{scores}.isnan().any(1)"
        finals = {"counts": "torch.ones_like(targets)"}
        kept = [Kept("scores", per_row, size), Kept("targets", f"{labels}.flatten()")]
        if weight:
            kept.append(Kept("counts", f"{weight}.flatten()"))
            finals = {}
        if size is None:
            finals["figure"] = f"{name}(scores, targets > 0, counts)"
        else:
            each = f"{name}(scores[:, c], targets == c, counts) for c in range({size})"
            areas = f"[{each} if counts[targets == c].any()]"
            finals["areas"] = f"torch.tensor({areas}, dtype=torch.float64)"
            finals["figure"] = "areas.mean().item()"
        return MetricCode(
            (("count", self.spell_count(arguments)), self.spell_undefined(nan, arguments)),
            self.spell_result("figure", arguments),
            self.spell_steps(arguments),
            kept=tuple(kept),
            finals=tuple(finals.items()),
            functions=(self.function,),
        )


@dataclass(frozen=True)
class RankingArea(Ranking):
    """Base of areas under a curve; of several classes, the mean over those that are labels, each
    against the rest."""

    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0
    num_classes: int | None = None

    @property
    def size(self) -> int | None:
        return self.num_classes

    def resolve_classes(self, types: Sequence[TensorType]) -> Metric:
        scores, labels = types[:2]
        if find_class_axis(self.name, types[:2], None) != 1 or labels.rank != 1:
            advice = "scores are `[n, classes]` for labels `[n]`"
            raise refuse(self.name, f"{labels} is not one label for each row", advice)
        size = scores.shape[1].known
        if size is None:
            advice = "give the axis of the classes a known size"
            raise refuse(self.name, f"the number of classes of {scores} is open", advice)
        return replace(self, num_classes=size)


@METRICS.register
@final
@dataclass(frozen=True)
class Auroc(RankingArea):
    """Area under the receiver operating characteristic: the share of pairs of a row of the class
    and one of another that their scores put in order, ties counted half. Exact over the split.

        (Σ_{i, j} v_i w_j u(a_i - b_j)) / (Σ_{i, j} v_i w_j)

    a_i are the scores of the positives, b_j those of the others; u is 1 above 0, a half at 0, else
    0. v_i and w_j are how much the rows count: 1, or as the options say.

    Scores and labels (0 and 1, or bool) are one number for each row, logits or probabilities; or
    scores are `[n, classes]`, and the figure is the mean over the classes that are labels, each
    against the rest. Where no row is of a class, or all are, the figure is not a number.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `num_classes`: how many there are; found from the scores.

    Example: `metric auroc = auroc(score, even)`
    Source: Fawcett 2006, https://doi.org/10.1016/j.patrec.2005.10.010
    """

    name: ClassVar[str] = "auroc"
    function: ClassVar[str] = '''
def roc_area(scores: Tensor, positive: Tensor, counts: Tensor) -> float:
    """The share of pairs of a positive and another row that scores put in order."""
    low, order = scores[~positive].sort()
    below = F.pad(counts[~positive][order].cumsum(0), (1, 0))
    high, weights = scores[positive], counts[positive]
    won = below[torch.searchsorted(low, high)]
    won += below[torch.searchsorted(low, high, right=True)]
    return ((weights * won).sum() / (2 * weights.sum() * below[-1])).item()
'''

    def measure(self, scores: Array, positive: Array, weights: Array) -> float:
        order = np.argsort(scores[~positive], kind="stable")
        low = scores[~positive][order]
        below = np.concatenate([[0.0], weights[~positive][order].cumsum()])
        high = scores[positive]
        won = below[np.searchsorted(low, high)] + below[np.searchsorted(low, high, side="right")]
        pairs = 2 * weights[positive].sum() * below[-1]
        return float((weights[positive] * won).sum() / pairs) if pairs else math.nan


@METRICS.register
@final
@dataclass(frozen=True)
class AveragePrecision(RankingArea):
    """Area under the curve of precision over recall, as a sum of steps. Exact over the split.

        Σ_k (R_k - R_{k-1}) P_k,   R_k = TP_k / (TP_k + FN_k),   P_k = TP_k / (TP_k + FP_k)

    The counts of step k are those where all rows count as positive whose score is the kth highest
    or above, equal scores in one step; R_0 is 0.

    Scores and labels (0 and 1, or bool) are one number for each row, logits or probabilities; or
    scores are `[n, classes]`, and the figure is the mean over the classes that are labels, each
    against the rest. Where no row is of a class, the figure is not a number.

    - `mask`: a bool for each label: whether it counts.
    - `weight`: a number for each label: how much it counts.
    - `ignore_index`: a label that does not count.
    - `num_classes`: how many there are; found from the scores.

    Example: `metric ap = average_precision(score, even)`
    Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html
    """

    name: ClassVar[str] = "average_precision"
    function: ClassVar[str] = '''
def precision_area(scores: Tensor, positive: Tensor, counts: Tensor) -> float:
    """The area under precision over recall; equal scores are one step."""
    scores, order = scores.sort(descending=True)
    hits = (positive * counts)[order].cumsum(0)
    precision = (hits / counts[order].cumsum(0)).nan_to_num()
    last = F.pad(scores.diff() != 0, (0, 1), value=True)
    steps = F.pad(hits[last], (1, 0)).diff()
    return ((steps * precision[last]).sum() / steps.sum()).item()
'''

    def measure(self, scores: Array, positive: Array, weights: Array) -> float:
        order = np.argsort(-scores, kind="stable")
        hits = (positive * weights)[order].cumsum()
        precision = hits / weights[order].cumsum()
        last = np.append(np.diff(scores[order]) != 0, True)
        steps = np.diff(hits[last], prepend=0)
        return float((steps * precision[last]).sum() / steps.sum()) if steps.sum() else math.nan
