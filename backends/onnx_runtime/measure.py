"""Measures latencies without lying: interleaved rounds, medians, and how sure they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from compiler.compression.contracts import median_interval


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, sample by sample, in the order measured."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return median(self.samples)

    @property
    def interval(self) -> tuple[float, float]:
        """A 95 % confidence interval of the median, in seconds."""
        return median_interval(np.array(self.samples))


@dataclass(frozen=True)
class Comparison:
    """Timings of several callables that took turns."""

    timings: Mapping[str, Timing]

    def ratio(self, name: str, base: str) -> float:
        """Time of one as a fraction of another's: the ratio of their medians."""
        return self.timings[name].median / self.timings[base].median

    def ratio_within_rounds(self, name: str, base: str) -> float:
        """The median ratio within a round: a machine that slows down for some minutes slows both
        by as much, and it stays what it was."""
        return float(np.median(self._ratios(name, base)))

    def _ratios(self, name: str, base: str) -> NDArray[np.float64]:
        pairs = zip(self.timings[name].samples, self.timings[base].samples, strict=True)
        return np.array([a / b for a, b in pairs])

    def ratio_interval(self, name: str, base: str) -> tuple[float, float]:
        """A 95 % confidence interval of the median ratio within a round. What disturbs a whole
        round disturbs both and cancels."""
        return median_interval(self._ratios(name, base))


def pool(comparisons: Sequence[Comparison]) -> Comparison:
    """All samples of several comparisons of the same callables, in order. Sessions that are opened
    anew are faster or slower than others of the same file by several percent, as memory happens
    to lie: figures of one opening each are surer of themselves than they should be."""
    names = comparisons[0].timings
    return Comparison(
        {
            name: Timing(tuple(s for one in comparisons for s in one.timings[name].samples))
            for name in names
        }
    )


def measure(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 30,
    warmup: int = 5,
    repeat: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Times callables in turns, each round beginning with another one.

    Args:
        calls: what to time, by name.
        rounds: samples of each.
        warmup: rounds before that, not counted.
        repeat: calls per sample, for calls near the clock's resolution.
        clock: seconds since some moment.
    """
    order = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in order}
    for turn in range(-warmup, rounds):
        shift = turn % len(order)
        for name in order[shift:] + order[:shift]:
            call = calls[name]
            start = clock()
            for _ in range(repeat):
                call()
            if turn >= 0:
                samples[name].append((clock() - start) / repeat)
    return Comparison({name: Timing(tuple(times)) for name, times in samples.items()})
