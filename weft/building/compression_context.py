"""The context of compression passes in a build: rows, an evaluator, meters, trials."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.measure import Comparison, pool
from backends.onnx_runtime.session import Device, Session, open_session
from backends.verification.cases import make_cases
from compiler.ir.graph import Graph
from compiler.ir.sizes import SizeSearch
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Target
from compiler.system.files import parse_json, write_text
from weft.building.timing import draw_inputs, open_on_target, time_sessions
from weft.deployed.exporting import ExportSpec
from weft.deployed.measuring import BoundNet, choose_inputs, score_rows
from weft.results.cache import hash_text

Array = NDArray[Any]

HELD_OUT = 0.2
"""The part of the training rows that the evaluator reads where there is no validation split."""
MOST_ROWS = 4096
"""The evaluator reads no more rows than this: it is asked for every candidate of a choice."""
OPENINGS, SLOW_OPENING = 3, 1.0
"""How often sessions are opened for a comparison, unless opening all takes so many seconds."""
ROUNDS = 60
"""Samples of each net in a comparison, where its calls are short."""


@dataclass(frozen=True)
class RowPlan:
    """Which rows of a train's data passes may see. Calibration and judgement share none, and
    both leave out every split but the training and the validation one."""

    place: BoundNet
    seed: int

    @cached_property
    def evaluation_split(self) -> str:
        """The split that the evaluator reads."""
        names = self.place.train.data.split.names
        return "val" if "val" in names else "train"

    @cached_property
    def _shuffled(self) -> Array:
        rows = self.place.data.rows["train"]
        return np.random.default_rng(self.seed).permutation(rows)

    @property
    def _held_out(self) -> int:
        """How many training rows are the evaluator's: one at least, where calibration keeps one."""
        count = len(self._shuffled)
        return min(max(1, round(HELD_OUT * count)), count - 1)

    @cached_property
    def calibration(self) -> Array:
        """Row numbers for calibration, in random order."""
        if self.evaluation_split == "val":
            return self._shuffled
        return self._shuffled[self._held_out :]

    @cached_property
    def judgement(self) -> Array:
        """Row numbers for the evaluator."""
        if self.evaluation_split == "val":
            rows = self.place.data.rows["val"]
            return rows[:MOST_ROWS]
        return self._shuffled[: self._held_out][:MOST_ROWS]


@dataclass(frozen=True)
class DataSamples:
    """Calibration rows from the training split."""

    plan: RowPlan
    synthetic: bool = False

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        """Inputs of the net by name, `rows` in all (fewer where there are fewer), in batches."""
        place = self.plan.place
        chosen = self.plan.calibration[:rows]
        inputs = choose_inputs(place, chosen)
        for start in range(0, len(chosen), size):
            yield {name: array[start : start + size] for name, array in inputs.items()}


@dataclass(frozen=True)
class SyntheticSamples:
    """Random inputs for a net without data: standard normal numbers, and indices in range. Of a
    large net there are fewer than are asked for: rows drawn alike tell alike."""

    graph: Graph
    target: Target
    synthetic: bool = True
    most_work: float = 1.5e11
    """Multiply-adds of the net on all rows, unless these are `least_rows`."""
    least_rows: int = 8

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        """Inputs of the net by name, `rows` in all or as many as there are, in batches. A net
        without a batch gets its rows one by one."""
        batch = SizeSearch(self.graph, {}).batch
        pinned = {n: s for n, s in self.target.sizes if n != batch and n in self.graph.symbols}
        search = SizeSearch(self.graph, pinned)
        sizes = search.choose_typical()
        if sizes is None:
            return
        work = search.count_multiply_adds(sizes)
        rows = min(rows, max(self.least_rows, int(self.most_work / max(work, 1))))
        done = 0
        while done < rows:
            count = min(size, rows - done) if batch is not None else 1
            search = SizeSearch(self.graph, {**sizes, batch: count} if batch is not None else sizes)
            yield next(iter(make_cases(self.graph, search, done))).inputs
            done += count


@dataclass(frozen=True)
class SplitEvaluator:
    """Metrics and loss of a net on the rows held out for decisions, run by ONNX Runtime."""

    plan: RowPlan
    opset: int = 21

    def score(self, net: WeightedNet) -> Mapping[str, float]:
        """Metrics of the train by name, and `loss`."""
        session = open_net(net, self.opset)
        scores = score_rows(
            self.plan.place,
            self.plan.evaluation_split,
            session.run_rows,
            self.plan.judgement,
        )
        return {name: score.total() for name, score in scores.items()}


@dataclass(frozen=True)
class OnnxLatencyMeter:
    """Latency of nets as ONNX files on the target."""

    graph: Graph
    target: Target
    spec: ExportSpec

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        """Median seconds of one call of each net, all in turns. Sessions that open soon are
        opened several times: two of one file differ, as memory happens to lie."""
        inputs = draw_inputs(self.spec.wrap(nets[0]).graph, self.target)
        found: list[Comparison] = []
        with tempfile.TemporaryDirectory() as folder:
            paths = {str(number): Path(folder) / f"{number}.onnx" for number in range(len(nets))}
            for net, path in zip(nets, paths.values(), strict=True):
                self.spec.write(self.spec.wrap(net), path)
            openings = OPENINGS
            while len(found) < openings:
                start = time.perf_counter()
                sessions = {name: open_on_target(path, self.target) for name, path in paths.items()}
                if time.perf_counter() - start > SLOW_OPENING:
                    openings = 1
                given = dict.fromkeys(paths, inputs)
                found.append(time_sessions(sessions, given, rounds=ROUNDS // openings))
        return [pool(found).timings[name].median for name in paths]


@dataclass(frozen=True)
class OnnxSizeMeter:
    """Bytes of nets as they are deployed."""

    spec: ExportSpec

    def weigh(self, net: WeightedNet) -> int:
        """Bytes of the file."""
        with tempfile.TemporaryDirectory() as folder:
            return self.spec.write(self.spec.wrap(net), Path(folder) / "net.onnx").bytes


@dataclass(frozen=True)
class TrialFile:
    """Figures of trials in a file, which holds one line of JSON per trial. `context` is what they
    all follow from besides what their keys say; those of another context are kept, not recalled."""

    path: Path
    known: dict[str, dict[str, float]] = field(default_factory=dict)
    context: str = ""

    @staticmethod
    def open(path: Path, context: str = "") -> TrialFile:
        """The trials of a file; a line that was cut short or is no trial is left out."""
        known = {}
        if path.is_file():
            for line in path.read_bytes().splitlines():
                entry = parse_json(line)
                # A line that is not what it would be if it were written now is not Weft's own.
                if _is_trial(entry):
                    known[entry["key"]] = entry["figures"]
            write_text(path, "".join(map(_encode, known.items())))
        return TrialFile(path, known, context)

    def recall(self, key: str) -> Mapping[str, float] | None:
        """What was remembered; None where nothing was."""
        return self.known.get(self.context + key)

    def remember(self, key: str, figures: Mapping[str, float]) -> None:
        """Keeps figures; they are on disk when this returns."""
        entry = (self.context + key, dict(figures))
        self.known[entry[0]] = entry[1]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_encode(entry))


def _encode(entry: tuple[str, Mapping[str, float]]) -> str:
    key, figures = entry
    return json.dumps({"key": key, "figures": figures, "hash": _hash_trial(key, figures)}) + "\n"


def _hash_trial(key: str, figures: Mapping[str, float]) -> str:
    return hash_text(key, json.dumps(figures))


def _is_trial(entry: object) -> bool:
    """Whether an entry is as it was remembered."""
    if not isinstance(entry, dict) or entry.keys() != {"key", "figures", "hash"}:
        return False
    try:
        return isinstance(entry["key"], str) and entry["hash"] == _hash_trial(
            entry["key"], entry["figures"]
        )
    except RecursionError:  # it is nested as deep as can just be read
        return False


def open_net(net: WeightedNet, opset: int = 21, target: Target | None = None) -> Session:
    """A session of a net alone, without preprocessing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        ExportSpec(opset).write(net, path)
        if target is not None:
            return open_on_target(path, target)
        return open_session(path, device=Device.CPU, spinning=False)
