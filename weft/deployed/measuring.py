"""Figures of a deployed file: metrics on a split of the data, latency."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.measure import measure
from backends.onnx_runtime.session import Device, Session, open_session
from backends.verification.cases import make_cases
from compiler.compression.attach import CallOfNet, find_net, group_calls
from compiler.compression.given import find_given
from compiler.data.holding import Rows, choose_rows, is_held, read_columns
from compiler.data.joined import qualify
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Input, Output, Value
from compiler.ir.sizes import SizeSearch
from compiler.ir.subgraph import extract_subgraph
from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.joining import find_lead
from compiler.program.program import Program
from compiler.program.train import MetricUse, Train
from compiler.report.diagnostics import CompileError
from compiler.report.messages.contracts import input_needs_weights, rows_related
from compiler.report.messages.files import unknown_item
from compiler.report.suggestions import did_you_mean
from compiler.rows.loading import LoadedData, load_data, load_parts, pair_rows
from compiler.rows.loss_parts import measure_losses
from compiler.rows.moments import settle_moment
from compiler.training.base import Measured
from compiler.types.dims import Dim
from weft.deployed.sizing import KnownSizes

Array = NDArray[Any]


@dataclass(frozen=True)
class Latency:
    """Median seconds of one call, at which sizes, on which device, with how many threads."""

    seconds: float
    sizes: Mapping[str, Any]
    device: str
    threads: int


def measure_latency(graph: Graph, path: Path, device: Device, known: KnownSizes) -> Latency:
    """Latency of a file on random inputs, at the sizes that are known and typical ones."""
    threads = os.cpu_count() or 1
    session = open_session(path, device=device, threads=threads)
    sizes = known.settle(graph)
    case = next(iter(make_cases(graph, SizeSearch(graph, sizes.sizes))))
    timing = measure({"file": lambda: session.run(case.inputs)}).timings["file"]
    return Latency(timing.median, sizes.encode(), session.device.value, threads)


Runner = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Computes a net's outputs by name from its inputs by name, a batch at a time."""


@dataclass(frozen=True)
class BoundNet:
    """A net inside a train, whose place another form of it takes: a file, or a compressed net.
    `weights` are the trained numbers of the train's other nets, by the train's paths, `fitted` the
    figures that it fitted on its rows; without them those of the rows at hand."""

    train: Train
    name: str
    folder: Path
    preprocess: DataSet | None = None
    weights: Mapping[str, Array] | None = None
    fitted: Mapping[str, Array] | None = None

    @cached_property
    def data(self) -> LoadedData:
        """The train's data.

        Raises:
            CompileError: it cannot be read.
        """
        if not self.train.data.members:
            return load_data(self.train.data, self.folder, self.fitted)
        return self.pair(self.train.data.members[0].name)

    @cached_property
    def _parts(self) -> Mapping[str, LoadedData]:
        return load_parts(self.train.data, self.folder, self.fitted)

    def pair(self, lead: str) -> LoadedData:
        """Several data sets with the rows of one, and those of the others beside them."""
        return pair_rows(self.train.data, self._parts, lead)

    @cached_property
    def settled(self) -> Train:
        """The train with the numbers of the end of its training."""
        return settle_moment(self.train, len(self.data.rows["train"]))

    @cached_property
    def calls(self) -> tuple[CallOfNet, ...]:
        """The calls of the net, outside of loops, that are given what the first one is: in
        evaluation all of them put out the same. None where the train's outputs need none."""
        return next(iter(self.groups), ())

    @cached_property
    def groups(self) -> tuple[tuple[CallOfNet, ...], ...]:
        """The calls of the net, outside of loops, that what stands in its place is run for: those
        that are given the same together. A file that takes raw columns of one of several data sets
        is not run for what was made of another."""
        groups = group_calls(self.train, self.name)
        if self.preprocess is None or not self.train.data.members:
            return groups
        own = qualify(self.preprocess.name, "")
        return tuple(g for g in groups if all(n.startswith(own) for n in _list_read(self, g[0])))


def find_place(
    deploy: Deploy, program: Program, weights: Mapping[str, Array] | None = None
) -> BoundNet:
    """The place of a deployed net in its train: of a variant, that of the net it was made from.
    `weights` are the trained numbers, by the train's paths."""
    variant = program.variants.get(deploy.variant or "")
    train = program.trains[(variant.train if variant is not None else deploy.train) or ""]
    name = variant.net if variant is not None else deploy.trained
    return BoundNet(train, name, program.source.folder, deploy.preprocess, weights)


@dataclass(frozen=True)
class Measurement:
    """The figures of a split, and those that are no numbers."""

    figures: Mapping[str, float]
    charts: Mapping[str, Array]


def measure_deployed(place: BoundNet, session: Session, split: str) -> Measurement:
    """The metrics of a train on a split, and its loss, computed from what a deployed file puts out.

    The file runs the net; what the objective does after it (a softmax before a metric) runs in
    NumPy. A figure that reads an output which the file does not have is left out.

    Raises:
        CompileError: the data cannot be read, or has no such split.
    """
    figures: dict[str, float] = {}
    charts: dict[str, Array] = {}
    for use, count, score in _score_rows(place, split, session.run_rows):
        found = score(np.arange(count))
        if use.metric.chart is None:
            figures[use.name] = float(found)
        else:
            charts[use.name] = np.asarray(found)
    return Measurement(figures, charts)


@dataclass(frozen=True)
class Score:
    """A figure of a split, which can be computed of any rows of it."""

    rows: int
    measure: Callable[[Array], Measured]

    def evaluate(self, rows: Array) -> float:
        """The figure of these rows."""
        return float(self.measure(rows))

    def total(self) -> float:
        """The figure of all rows."""
        return self.evaluate(np.arange(self.rows))


def score_rows(
    place: BoundNet, split: str, run: Runner, rows: Array | None = None
) -> dict[str, Score]:
    """The metrics of a train that are numbers, and `loss`, of what stands in a net's place.

    Args:
        place: the net and its train.
        split: the split whose rows are read.
        run: computes the net's outputs.
        rows: row numbers within the data, in place of the split's.

    Raises:
        CompileError: the data cannot be read, or has no such split; the net's outputs are not
            those of single rows.
    """
    found = _score_rows(place, split, run, rows)
    return {use.name: Score(n, score) for use, n, score in found if use.metric.chart is None}


def _score_rows(
    place: BoundNet, split: str, run: Runner, rows: Array | None = None
) -> Iterator[tuple[MetricUse, int, Callable[[Array], Measured]]]:
    """Each metric, of how many rows, and what computes it of any of them."""
    step, losses = measure_losses(place.train)
    leads: dict[str, list[MetricUse]] = {}
    outputs = {o.name: o for o in step.outputs}
    for use in (*place.train.metrics, *losses):
        part = extract_subgraph(step, (), [outputs[name] for name in use.reads])
        read = (item.name for item in part.inputs if _is_read(part, item))
        leads.setdefault(find_lead(place.train.data, read).name, []).append(use)
    for lead, uses in leads.items():
        yield from _score_lead(place, lead, uses, split, run, rows)


def _score_lead(
    place: BoundNet,
    lead: str,
    uses: Sequence[MetricUse],
    split: str,
    run: Runner,
    rows: Array | None,
) -> Iterator[tuple[MetricUse, int, Callable[[Array], Measured]]]:
    """The same of the metrics that are taken over the rows of one data set."""
    first = lead == place.train.data.parts[0].name
    loaded = place.data if first else place.pair(lead)
    if split not in loaded.rows:
        known = tuple(loaded.rows)
        raise CompileError([unknown_item(None, "split", split, known, did_you_mean(split, known))])
    chosen = loaded.rows[split]
    if rows is not None:  # those of another data set than the first are as many
        chosen = rows if first else chosen[: len(rows)]
    columns = {name: choose_rows(array, chosen) for name, array in loaded.columns.items()}
    made: dict[str, tuple[Value, Array]] = {}
    for calls in _find_needed(place, uses):
        made |= _run_calls(place, loaded, calls, chosen, run)
    for use, score in _make_scores(place, uses, made, columns):
        yield use, len(chosen), score


def _find_needed(place: BoundNet, uses: Sequence[MetricUse]) -> Iterator[tuple[CallOfNet, ...]]:
    """The calls of a net, given the same together, that figures need something of."""
    outputs = {o.name: o for o in measure_losses(place.train)[0].outputs}
    wanted = [outputs[name] for use in uses for name in use.reads]
    part = extract_subgraph(place.train.graph, (), wanted)
    needed = {v.name for node in part.nodes for v in node.outputs}
    for calls in place.groups:
        if any(v.name in needed for call in calls for n in call.nodes for v in n.outputs):
            yield calls


def _run_calls(
    place: BoundNet, loaded: LoadedData, calls: Sequence[CallOfNet], rows: Array, run: Runner
) -> dict[str, tuple[Value, Array]]:
    """What stands in the net's place puts out in these calls, by the value in the step."""
    graph = find_net(place.train, place.name).net.graph
    _refuse_related_rows(place, graph, calls[0])
    by_row = [o for o in graph.outputs if _has_rows(o.value, graph)]
    wanted, found = {o.name for o in by_row}, []
    for piece in loaded.pieces(rows, place.train.batch):
        inputs = choose_inputs(place, piece, calls[0], loaded)
        found.append(_run_in_chunks(run, inputs, place.train.batch, wanted))
    results = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    return {
        call.values[o.value.name].name: (call.values[o.value.name], results[o.name])
        for call in calls
        for o in by_row
        if o.name in results and o.value.name in call.values
    }


def _list_read(place: BoundNet, call: CallOfNet) -> list[str]:
    """The columns that a call of a net is given, or what it is given is made of."""
    given = find_given(place.train, find_net(place.train, place.name), call)
    made = given.computed.inputs if given.computed is not None else ()
    return [*given.columns.values(), *(item.name for item in made)]


def _refuse_related_rows(place: BoundNet, graph: Graph, call: CallOfNet) -> None:
    given = find_given(place.train, find_net(place.train, place.name), call).computed
    for output in (*graph.outputs, *(given.outputs if given is not None else ())):
        first, *others = output.value.type.shape or (Dim.of(1),)
        if any(first.symbols & dim.symbols for dim in others):
            fault = rows_related(
                output.origin or graph.frame.origin,
                place.name,
                output.name,
                str(output.value.type),
            )
            raise CompileError([fault])


def _has_rows(value: Value, graph: Graph) -> bool:
    """Whether a value has an entry for each row: its first axis is that of the inputs."""
    leading = {i.value.type.shape[:1] for i in graph.inputs}
    return value.type.shape[:1] in leading and value.type.rank > 0


def sample_inputs(
    place: BoundNet | None, graph: Graph, fixed: Mapping[str, int], rows: int = 8
) -> dict[str, Array] | None:
    """Inputs of a graph that stands in a net's place, from the first training rows: as many as a
    file of `fixed` sizes takes, where the number of rows is among these. None for a net without a
    train, or that its train does not apply."""
    if place is None or not place.calls:
        return None
    known = place.data.rows["train"]
    leading = graph.inputs[0].value.type.shape[0]
    rows = min(rows, len(known)) if leading.symbols.isdisjoint(fixed) else leading.evaluate(fixed)
    arrays = choose_inputs(place, np.resize(known, rows))
    types = {item.name: item.value.type.dtype.numpy for item in graph.inputs}
    return {name: arrays[name].astype(types[name]) for name in types}


def choose_inputs(
    place: BoundNet,
    rows: Array,
    call: CallOfNet | None = None,
    loaded: LoadedData | None = None,
) -> dict[str, Array]:
    """What the net takes in a call, the first one if none is named: the columns that it was given,
    or raw ones where the columns stand before it; of the rows at hand, or those of the train."""
    train, data = place.train, loaded or place.data
    if place.preprocess is not None:
        return data.take_raw(rows, place.preprocess.name)
    given = find_given(train, find_net(train, place.name), call)
    found = {n: np.asarray(data.columns[c][rows]) for n, c in given.columns.items()}
    if given.computed is not None:
        found |= _compute_inputs(place, given.computed, rows, data)
    return found


def _compute_inputs(
    place: BoundNet, part: Graph, rows: Array, data: LoadedData
) -> dict[str, Array]:
    """Inputs that the train computes of columns, a batch at a time, as its script does."""
    weights = dict(place.weights or {})
    missing = [p for p in part.parameters if p.path not in weights]
    if missing:
        fault = input_needs_weights(place.train.span, part.outputs[0].name, missing[0].path)
        raise CompileError([fault])

    if not part.inputs:  # draws alone, as many as there are rows of a column
        part = replace(part, inputs=place.train.graph.inputs[:1])
    draws = np.random.default_rng(place.train.seed)  # of all batches, one after the other

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return _evaluate_part(part, weights, inputs, draws)

    columns = read_columns({item.name: data.columns[item.name] for item in part.inputs}, rows)
    return _run_in_chunks(run, columns, place.train.batch, {o.name for o in part.outputs})


def _make_scores(
    place: BoundNet,
    uses: Sequence[MetricUse],
    made: Mapping[str, tuple[Value, Array]],
    columns: Mapping[str, Rows],
) -> Iterator[tuple[MetricUse, Callable[[Array], Measured]]]:
    """Metrics from the net's outputs (by the name of their value in the step) and columns."""
    step = measure_losses(place.train)[0]
    outputs = {o.name: o for o in step.outputs}
    arrays: dict[str, Rows] = {value.name: array for value, array in made.values()}
    arrays |= columns
    starts = [value for value, _ in made.values()]
    for use in uses:
        part = _find_part(place, starts, [outputs[name] for name in use.reads])
        if part is None:
            continue
        if any(outputs[name].value.type.rank == 0 for name in use.reads):
            yield use, _score_batches(place, part, use, arrays)
            continue
        values = _evaluate_rows(place, part, arrays)
        operands = [None if name is None else values[name] for name in use.arguments]
        yield use, _score_metric(use, operands)


def _find_part(place: BoundNet, starts: Sequence[Value], wanted: list[Output]) -> Graph | None:
    """The part of the step behind the net's outputs; None where it reads an output that what
    stands in the net's place does not have."""
    part = extract_subgraph(place.settled.graph, starts, wanted)
    known = place.weights or {}
    prefix = find_net(place.train, place.name).prefix
    own = {prefix + p for p in find_net(place.train, place.name).net.graph.parameter}
    if any(p.path in own or p.path not in known for p in part.parameters):
        return None
    return replace(part, inputs=tuple(i for i in part.inputs if _is_read(part, i)))


def _evaluate_part(
    part: Graph,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    draws: np.random.Generator | None = None,
) -> Mapping[str, Array]:
    """What a part of a step makes of its inputs. Conditions are left out: they are those of the
    whole step, of its samples too (`image[:32]` needs 32 rows), and speak of whole batches."""
    return evaluate(replace(part, conditions=()), weights, inputs, draws=draws)


def _evaluate_rows(place: BoundNet, part: Graph, arrays: Mapping[str, Rows]) -> Mapping[str, Array]:
    """What a part makes of all rows. One that draws, or reads rows that are not in memory, goes
    through them a batch at a time, from the seed on, as the inputs of the net are computed: its
    draws are those that the net was given."""
    weights = dict(place.weights or {})
    read = {item.name: arrays[item.name] for item in part.inputs}
    if not any(node.op.varies for node in part.nodes) and all(map(is_held, read.values())):
        return _evaluate_part(
            part, weights, {name: np.asarray(column) for name, column in read.items()}
        )
    draws = np.random.default_rng(place.train.seed)

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return _evaluate_part(part, weights, inputs, draws)

    return _run_in_chunks(run, read, place.train.batch, {o.name for o in part.outputs})


def _score_metric(use: MetricUse, operands: Sequence[Array | None]) -> Callable[[Array], Measured]:
    @np.errstate(invalid="ignore")  # a file may put out NaN, and its figure is then none
    def score(rows: Array) -> Measured:
        return use.metric.evaluate(*(None if a is None else a[rows] for a in operands))

    return score


def _score_batches(
    place: BoundNet, part: Graph, use: MetricUse, arrays: Mapping[str, Rows]
) -> Callable[[Array], Measured]:
    """A figure of what is one number for all rows of a batch, as a loss is: combined over batches
    as the training script does it."""
    read, weights = [item.name for item in part.inputs], dict(place.weights or {})

    def score(rows: Array) -> Measured:
        batches = []
        draws = np.random.default_rng(place.train.seed)
        for start in range(0, len(rows), place.train.batch):
            batch = rows[start : start + place.train.batch]
            inputs = {name: np.asarray(arrays[name][batch]) for name in read}
            values = _evaluate_part(part, weights, inputs, draws)
            operands = [None if name is None else values[name] for name in use.arguments]
            batches.append((len(batch), operands))
        return use.metric.combine(batches)

    return score


def _is_read(part: Graph, item: Input) -> bool:
    return item.name in part.users or any(o.value.name == item.name for o in part.outputs)


def _run_in_chunks(
    run: Runner, inputs: Mapping[str, Rows], size: int, wanted: Set[str]
) -> dict[str, Array]:
    """The outputs of those names for all rows, a batch at a time."""
    rows = len(next(iter(inputs.values())))
    parts = [
        run({n: np.asarray(a[start : start + size]) for n, a in inputs.items()})
        for start in range(0, rows, size)
    ]
    names = [name for name in parts[0] if name in wanted]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
