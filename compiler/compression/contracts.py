"""Verdicts on contracts: whether a `require` holds, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.feasibility import compute
from compiler.compression.requirements import find_all, find_figures
from compiler.program.requirement import Bound, Computed, Figure, Quantity, Requirement
from compiler.records import dataclass

Array = NDArray[Any]

CONFIDENCE = 1.96
"""Standard deviations of a 95 % interval."""


class Spread(StrEnum):
    """What the samples of a figure are."""

    ROWS = "rows"
    """A value for each row, whose mean is the figure."""
    RESAMPLED = "resampled"
    """The figure of resampled rows (Efron 1979): the same rows for all figures of a split."""
    ROUNDS = "rounds"
    """A time for each round of an interleaved measurement, whose median is the figure."""
    EXACT = "exact"
    """Counted; there is nothing uncertain in it."""


@dataclass(frozen=True)
class Measured:
    """A figure as it was measured. Samples of figures with the same spread and number belong
    together: the same rows, the same rounds. `rows` is how many rows a split has."""

    value: float
    spread: Spread = Spread.EXACT
    samples: Array | None = None
    rows: int = 0


class Verdict(StrEnum):
    """What became of a requirement."""

    PASS = "pass"  # noqa: S105 - a word of the report
    FAIL = "fail"


@dataclass(frozen=True)
class Judgement:
    """A requirement, what was measured, and how sure the verdict is. `gap` is left minus right,
    `interval` its 95 % interval; `needed` are the rows that would decide where `rows` do not.
    `shown` is the 95 % interval of the left side, as it stands beside the figure."""

    requirement: Requirement
    verdict: Verdict
    left: float
    right: float
    gap: float
    interval: tuple[float, float] | None = None
    rows: int = 0
    needed: int | None = None
    shown: tuple[float, float] | None = None

    @property
    def undecided(self) -> bool:
        """Whether the interval leaves both verdicts possible."""
        return self.needed is not None


Lookup = Callable[[Figure], Measured]


def judge(requirement: Requirement, look_up: Lookup) -> Judgement:
    """The verdict on a requirement.

    The measured figures decide. Where figures are held against each other on the same rows, the
    interval is that of the paired difference (for two nets' accuracy this is McNemar's test in
    its normal approximation); where it covers both sides, the judgement says how many rows would
    decide: the width of the interval falls with the root of their number.
    """
    measured = {f: look_up(f) for f in find_all(requirement)}
    values = {f: m.value for f, m in measured.items()}
    left = evaluate_bound(requirement.left, values)
    right = evaluate_bound(requirement.right, values)
    gap = left - right
    holds = is_kept(requirement.relation, gap)
    verdict = Verdict.PASS if holds else Verdict.FAIL
    uncertain = [m for m in measured.values() if m.spread is not Spread.EXACT]
    rows = max((m.rows for m in uncertain), default=0)
    interval = _find_interval(requirement, measured, gap)
    needed = None
    if interval is not None and len(uncertain) > 1 and interval[0] < 0 < interval[1]:
        half = (interval[1] - interval[0]) / 2
        needed = math.ceil(rows * (half / abs(gap)) ** 2) if gap and rows else None
    shown = _find_shown(requirement.left, measured, right, interval)
    return Judgement(requirement, verdict, left, right, gap, interval, rows, needed, shown)


def is_kept(relation: str, gap: float) -> bool:
    """Whether a relation holds, by what the left side is above the right one."""
    match relation:
        case "<=":
            return gap <= 0
        case "<":
            return gap < 0
        case ">=":
            return gap >= 0
    return gap > 0


def evaluate_bound(bound: Bound, values: Any) -> Any:
    """A side with its figures put in: numbers, or arrays of samples."""
    match bound:
        case Figure():
            return values[bound]
        case Quantity(value=value):
            return value
        case Computed(operator=operator, left=left, right=right):
            first, second = evaluate_bound(left, values), evaluate_bound(right, values)
            if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
                return _OPERATORS[operator](first, second)
            return compute(operator, first, second)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}


def _find_interval(
    requirement: Requirement, measured: dict[Figure, Measured], gap: float
) -> tuple[float, float] | None:
    """A 95 % interval of the gap, from the samples of its figures; None where they do not belong
    together, or nothing is uncertain."""
    sampled = [m for m in measured.values() if m.samples is not None]
    kinds = {(m.spread, len(m.samples)) for m in sampled if m.samples is not None}
    if len(kinds) != 1 or any(
        m.spread is not Spread.EXACT and m.samples is None for m in measured.values()
    ):
        return None
    ((spread, count),) = kinds
    values = {f: m.value if m.samples is None else m.samples for f, m in measured.items()}
    left = evaluate_bound(requirement.left, values)
    right = evaluate_bound(requirement.right, values)
    gaps = np.broadcast_to(np.asarray(left - right, dtype=np.float64), (count,))
    match spread:
        case Spread.RESAMPLED:
            low, high = np.quantile(gaps, [0.025, 0.975])
            return float(low), float(high)
        case Spread.ROUNDS:
            return median_interval(gaps)
    center = float(gaps.mean())
    if abs(center - gap) > 1e-6 * max(1.0, abs(gap)):
        return None  # a product of figures: its mean is not the product of the means
    if len(sampled) == 1 and _is_binary(sampled[0].samples):
        return _find_share_interval(requirement, measured)
    if all(_is_binary(m.samples) for m in sampled):
        # One more row for and one against: without them, nets that agree everywhere would have
        # an interval of no width (Agresti and Min 2005).
        gaps = np.concatenate([gaps, [center - 1, center + 1]])
    if len(gaps) < 2:
        return None  # one row says nothing about others
    half = CONFIDENCE * float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    return gap - half, gap + half


def _find_shown(
    side: Bound,
    measured: dict[Figure, Measured],
    right: float,
    interval: tuple[float, float] | None,
) -> tuple[float, float] | None:
    """The interval of the left side. Of rounds it is that of its own median: the median of the
    differences within a round, which decides how sure a verdict is, may lie elsewhere than the
    difference of the medians that are printed."""
    if interval is None:
        return None
    own = {f: measured[f] for f in find_figures(side)}
    timed = sum(m.spread is Spread.ROUNDS for m in own.values())
    if timed != 1:  # a quotient of two medians has none of its own
        return (right + interval[0], right + interval[1]) if not timed else None
    values = {f: m.value if m.samples is None else m.samples for f, m in own.items()}
    return median_interval(np.asarray(evaluate_bound(side, values), dtype=np.float64))


def _find_share_interval(
    requirement: Requirement, measured: dict[Figure, Measured]
) -> tuple[float, float]:
    """The interval where one share of rows is all that is uncertain (Wilson 1927): unlike the
    normal approximation it stays between 0 and 1."""
    gaps = []
    for sign in (-1, 1):
        values = {
            f: _move_share(m, sign) if m.samples is not None else m.value
            for f, m in measured.items()
        }
        left = evaluate_bound(requirement.left, values)
        gaps.append(left - evaluate_bound(requirement.right, values))
    return min(gaps), max(gaps)


def _move_share(measured: Measured, sign: int) -> float:
    """The lower or upper end of Wilson's interval of a share."""
    assert measured.samples is not None
    count, share, z = len(measured.samples), measured.value, CONFIDENCE
    center = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (center + sign * half) / (1 + z * z / count)


def _is_binary(samples: Array | None) -> bool:
    """Whether every sample is 0 or 1: a row is right or wrong."""
    return samples is not None and bool(np.isin(samples, (0.0, 1.0)).all())


def median_interval(samples: Array) -> tuple[float, float]:
    """A 95 % interval of the median by order statistics, without an assumption on the
    distribution (Conover, Practical Nonparametric Statistics)."""
    ordered = np.sort(samples)
    half = CONFIDENCE * math.sqrt(len(ordered)) / 2
    low = max(0, math.floor(len(ordered) / 2 - half))
    high = min(len(ordered) - 1, math.ceil(len(ordered) / 2 + half))
    return float(ordered[low]), float(ordered[high])
