"""The figures of a variant: its file beside that of the net before any pass, measured in turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.session import Device, Session
from compiler.compression.contracts import Measured, Spread
from compiler.ir.cost import is_weight, summarize
from compiler.ir.graph import Graph, Value
from compiler.ir.liveness import find_last_uses, find_peak
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Target
from weft.building.timing import count_threads, draw_inputs, open_on_target, time_undisturbed
from weft.deployed.exporting import OnnxArtifact, list_onnx
from weft.deployed.measuring import BoundNet, Score, choose_inputs, score_rows

Array = NDArray[Any]

RESAMPLES = 400
"""How often rows are resampled for a metric that is no mean of rows."""
REPORTED = 5.0
"""Seconds that the calls of each file should take, where these are the figures of the report."""
MOST_ROWS = 20_000
"""Splits with more rows are resampled, which costs the same for any number of rows."""


@dataclass(frozen=True)
class Candidate:
    """A net whose figures are taken, and its file; `place` is that in a train, if it has one."""

    name: str
    net: WeightedNet
    artifact: OnnxArtifact
    place: BoundNet | None

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.artifact.path

    @property
    def graph(self) -> Graph:
        """What is in the file: the net and what is around it."""
        return self.artifact.net.graph


COUNTED = ("params", "flops", "memory")
"""The figures that follow from a graph."""


# --- counted ------------------------------------------------------------------------------------


def count_figures(candidate: Candidate, sizes: Mapping[str, int]) -> dict[str, float]:
    """`size`, `params`, `flops` and `memory`."""
    files = filter(Path.is_file, list_onnx(candidate.path))
    size = float(sum(file.stat().st_size for file in files))
    return {"size": size, **{name: count_figure(name, candidate.graph, sizes) for name in COUNTED}}


def count_figure(name: str, graph: Graph, sizes: Mapping[str, int]) -> float:
    """A figure of those that follow from the graph."""
    match name:
        case "params":
            return float(count_numbers(graph))
        case "flops":
            return float(2 * summarize(graph).multiply_adds.evaluate(sizes))
    return float(count_memory(graph, sizes))


def count_numbers(graph: Graph) -> int:
    """Numbers in the weights: those that training changes, and the codes that stand for them."""
    return sum(p.value.type.size.known or 0 for p in graph.parameters if is_weight(p))


def count_memory(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Bytes of the weights, and of the largest set of tensors that are alive at once when the
    nodes run in order. Weights are counted as a runtime holds them when it has loaded the file:
    in floats where that unpacks them, in bytes where integers are computed with, and so is every
    rounded value. An arena that shares memory better or worse differs from it."""
    fixed = _find_fixed(graph)
    values = {p.value.name: p.value for p in graph.parameters}
    values |= {item.name: item.value for item in graph.inputs}
    values |= {v.name: v for node in graph.nodes for v in node.outputs}
    bytes_of = {name: _count_bytes(graph, value, sizes) for name, value in values.items()}
    running = [node for node in graph.nodes if node.outputs[0].name not in fixed]
    peak = find_peak(graph, lambda value: bytes_of[value.name], running)
    last = find_last_uses(running) | {o.value.name: len(running) for o in graph.outputs}
    return peak + _count_held(graph, bytes_of, fixed & last.keys())


def _count_held(graph: Graph, bytes_of: Mapping[str, int], read: Set[str]) -> int:
    """Bytes of what is known once the file is loaded, as far as nodes that run read it. What is
    computed twice of the same weights is held once."""
    held = {p.value.name: bytes_of[p.value.name] for p in graph.parameters if p.value.name in read}
    for node in graph.nodes:
        made = [v.name for v in node.outputs if v.name in read]
        if made:
            sources = tuple(v.name if v is not None else "" for v in node.inputs)
            held[f"{node.op} of {sources}"] = sum(bytes_of[name] for name in made)
    return sum(held.values())


def _find_fixed(graph: Graph) -> set[str]:
    """The parameters, and what is computed from them alone, which is done once."""
    fixed = {p.value.name for p in graph.parameters}
    for node in graph.nodes:
        names = [v.name for v in node.inputs if v is not None]
        if names and fixed.issuperset(names):
            fixed |= {v.name for v in node.outputs}
    return fixed


def _count_bytes(graph: Graph, value: Value, sizes: Mapping[str, int]) -> int:
    """Bytes of a value: what is rounded to levels is held in these."""
    maker = graph.producers.get(value.name)
    rounded = maker is not None and maker.op.rounds
    return value.type.size.evaluate(sizes) * (1 if rounded else value.type.dtype.bytes)


# --- timed --------------------------------------------------------------------------------------


def time_candidates(
    candidates: Sequence[Candidate], target: Target, *, rounds: int = 51
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Seconds of every round by candidate, all in turns, and the conditions."""
    inputs = {c.name: draw_inputs(c.graph, target) for c in candidates}

    def open_all() -> dict[str, Session]:
        return {c.name: open_on_target(c.path, target) for c in candidates}

    found = time_undisturbed(open_all, inputs, rounds=rounds, patience=REPORTED)
    timings = found.timings
    metadata = {
        "device": Device(target.device).value,
        "threads": count_threads(target),
        "rounds": len(next(iter(timings.values())).samples),
    }
    return {name: np.asarray(timing.samples) for name, timing in timings.items()}, metadata


# --- on rows ------------------------------------------------------------------------------------


def measure_split(candidate: Candidate, session: Session, split: str) -> dict[str, Measured]:
    """The metrics of a split, and `loss`, as the file computes them; with their samples."""
    assert candidate.place is not None, "a net without a train has no splits"
    scores = score_rows(candidate.place, split, session.run_rows)
    return {name: sample_score(score) for name, score in scores.items()}


def sample_score(score: Score) -> Measured:
    """A figure with a sample per row where it is the mean of its rows, and of resampled rows
    elsewhere. The rows are drawn with the same seed for every net."""
    value = score.total()
    if score.rows <= MOST_ROWS:
        each = np.array([score.evaluate(np.array([row])) for row in range(score.rows)])
        if abs(each.mean() - value) <= 1e-5 * max(1.0, abs(value)):
            return Measured(value, Spread.ROWS, each, score.rows)
    drawn = np.random.default_rng(0)
    samples = [score.evaluate(drawn.integers(0, score.rows, score.rows)) for _ in range(RESAMPLES)]
    return Measured(value, Spread.RESAMPLED, np.array(samples), score.rows)


# --- against the original -----------------------------------------------------------------------


@dataclass(frozen=True)
class OutputError:
    """How far outputs are from those of another net: `error` is the norm of the difference over
    the norm of the other's outputs, `of_spread` the root mean square of the difference over the
    standard deviation of the output over the rows, of that output where it is the largest."""

    error: float
    of_spread: float


@dataclass
class _Spread:
    """What has been seen of one output. Rows of one shape have a mean together."""

    difference: float = 0.0
    squares: float = 0.0
    totals: dict[tuple[int, ...], tuple[int, Array]] = field(default_factory=dict)

    def add(self, found: Array, expected: Array) -> None:
        self.difference += float(np.sum((found - expected) ** 2))
        self.squares += float(np.sum(expected**2))
        if expected.ndim:
            shape = expected.shape[1:]
            rows, total = self.totals.get(shape, (0, np.zeros(shape)))
            self.totals[shape] = (rows + len(expected), total + expected.sum(axis=0))

    @property
    def ratio(self) -> float:
        """The difference beside the spread over rows; beside the norm where there are no rows."""
        spread = self.squares
        for rows, total in self.totals.values():
            spread -= float(np.sum(np.square(total))) / rows if rows > 1 else 0.0
        return (self.difference / spread) ** 0.5 if spread > 1e-12 * self.squares else 0.0


def measure_error(
    session: Session, base: Session, batches: Iterator[Mapping[str, Array]]
) -> OutputError:
    """How far the outputs of a file are from those of the base's."""
    spreads: dict[str, _Spread] = {}
    for inputs in batches:
        found, expected = session.run_rows(inputs), base.run_rows(inputs)
        for name, array in expected.items():
            if np.issubdtype(array.dtype, np.floating) and name in found:
                exact = array.astype(np.float64)
                spreads.setdefault(name, _Spread()).add(found[name].astype(np.float64), exact)
    difference = sum(one.difference for one in spreads.values())
    norm = sum(one.squares for one in spreads.values())
    error = (difference / norm) ** 0.5 if norm else 0.0
    return OutputError(error, max((one.ratio for one in spreads.values()), default=0.0))


def read_rows(place: BoundNet, split: str) -> Iterator[Mapping[str, Array]]:
    """Inputs of all rows of a split, in batches: a contract that bounds what is computed of them
    speaks of the split, whose rows may lie in any order."""
    chosen = place.data.rows[split]
    inputs = choose_inputs(place, chosen)
    for start in range(0, len(chosen), place.train.batch):
        yield {name: array[start : start + place.train.batch] for name, array in inputs.items()}
