"""What is looked into: a trained net, rows of its data, and the classes they are explained for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.run.attribution import ScoredNet
from backends.pytorch.run.running import find_other_settings
from backends.pytorch.train.settings import OF_FIGURES
from compiler.compression.attach import find_calls
from compiler.ir.graph import Graph, Value
from compiler.loading import read_trained
from compiler.ops.class_losses import ClassLoss
from compiler.program.program import Program
from compiler.program.train import Train, TrainedNet
from compiler.report.diagnostics import CompileError
from compiler.report.messages.deployments import several_nets
from compiler.report.messages.evaluating import built_otherwise
from compiler.report.messages.files import nothing_to_do, unknown_item
from compiler.report.messages.inspecting import (
    bad_rows,
    no_such_class,
    no_such_row,
    not_trained_yet,
)
from compiler.report.suggestions import did_you_mean
from compiler.rows.class_words import find_target_words
from weft.deployed.given import need_input
from weft.deployed.measuring import BoundNet, choose_inputs
from weft.deployed.trained_data import BEST, read_fitted
from weft.inspection.layers import choose_output

Array = NDArray[Any]
FIRST_ROWS = 8
"""Rows that are looked at where nobody says which."""


@dataclass(frozen=True)
class Choice:
    """What was asked for on the command line; None: the default."""

    rows: str | None = None
    split: str | None = None
    class_: str | None = None
    layer: str | None = None
    features: str | None = None
    output: str | None = None


@dataclass(frozen=True)
class Subject:
    """A trained net with the rows that are looked at; `rows` are numbers within the split."""

    train: Train
    net: TrainedNet
    place: BoundNet
    scored: ScoredNet
    split: str
    rows: Array
    choice: Choice
    weights_file: Path
    words: tuple[str, ...] = ()

    @property
    def graph(self) -> Graph:
        """The net's graph."""
        return self.net.net.graph

    @cached_property
    def inputs(self) -> dict[str, Array]:
        """What the net is given of the rows, by name."""
        return self.read_inputs(self.rows)

    def read_inputs(self, rows: Array) -> dict[str, Array]:
        """What the net is given of rows of the split."""
        found = choose_inputs(self.place, self.place.data.rows[self.split][rows])
        types = {item.name: item.value.type.dtype.numpy for item in self.graph.inputs}
        return {name: np.asarray(found[name], types[name]) for name in types}

    @cached_property
    def scores(self) -> Array:
        """The scores of the rows, `[rows, classes]`."""
        return self.scored.score(self.inputs)

    @cached_property
    def probabilities(self) -> Array:
        """The same as probabilities."""
        return self.scored.find_probabilities(self.scores)

    @cached_property
    def classes(self) -> Array:
        """The class that each row is explained for.

        Raises:
            CompileError: the class that was asked for is not there.
        """
        predicted = self.scores.argmax(1)
        name = self.choice.class_
        return predicted if name is None else np.full_like(predicted, self._find_class(name))

    def _find_class(self, name: str) -> int:
        if name in self.words:
            return self.words.index(name)
        count = self.scores.shape[1]
        if re.fullmatch("[0-9]{1,9}", name) and int(name) < count:
            return int(name)
        raise CompileError([no_such_class(None, name, self._output, count, self.words)])

    @property
    def _output(self) -> str:
        """What the output with the scores is called."""
        return next(o.name for o in self.graph.outputs if o.value.name == self.scored.output.name)

    def name_entry(self, number: int) -> str:
        """An entry of the scores that is no class: `y[3]`, `y` where there is one."""
        output = self._output
        return f"{output}[{number}]" if self.scores.shape[1] > 1 else output

    def name_class(self, number: int) -> str:
        """The word of a class, else its number."""
        return self.words[number] if number < len(self.words) else str(number)

    def read_labels(self, rows: Array) -> Array | None:
        """The labels of rows of the split; None where the data has none."""
        column = _find_label(self.train, self.net)
        if column is None:
            return None
        data = self.place.data
        return np.asarray(data.columns[column][data.rows[self.split][rows]])

    @cached_property
    def image(self) -> str | None:
        """The floating-point input that marks are drawn over: the one with most axes."""
        ranks = {i.name: i.value.type.rank for i in self.graph.inputs}
        names = [name for name in self.scored.differentiable if 2 <= ranks[name] <= 4]
        return max(names, key=lambda name: ranks[name], default=None)

    def count_rows(self) -> int:
        """The rows of the split."""
        return len(self.place.data.rows[self.split])


def open_subject(program: Program, name: str | None, folder: Path, choice: Choice) -> Subject:
    """The trained net of that name (`fit`, or `fit.encoder`) in the folder of a build or training.

    Raises:
        CompileError: it is not there, was trained with other settings, or has no such rows.
    """
    train, net = _choose_net(program, name)
    weights_file = folder / train.name / BEST
    if not weights_file.exists():
        raise CompileError([not_trained_yet(None, train.name, str(weights_file))])
    need_input(weights_file)
    others = find_other_settings(train, weights_file)
    built = tuple(text for key, text in others.items() if key not in OF_FIGURES)
    if built:
        raise CompileError([built_otherwise(None, str(weights_file), built)])
    weights = read_trained(train, weights_file, train.span)
    fitted = read_fitted(train, weights_file)
    place = BoundNet(train, net.name, program.source.folder, None, weights, fitted)
    split = choice.split or train.data.split.names[-1]
    known = tuple(place.data.rows)
    if split not in known:
        raise CompileError([unknown_item(None, "split", split, known, did_you_mean(split, known))])
    rows = _read_rows(choice.rows, split, len(place.data.rows[split]))
    graph = net.net.graph
    own = {p.path: weights[net.prefix + p.path] for p in graph.parameters}
    output = choose_output(graph, choice.output)
    scored = ScoredNet(graph, own, output, tells_classes=_tells_classes(train, net, output))
    words = _find_words(train, net)
    return Subject(train, net, place, scored, split, rows, choice, weights_file, words)


def _choose_net(program: Program, name: str | None) -> tuple[Train, TrainedNet]:
    """The net of a name, of a train with one net also by the train's; without a name, that of the
    first train."""
    found: dict[str, tuple[Train, TrainedNet]] = {}
    for train in program.trains.values():
        if len(train.nets) == 1:
            found[train.name] = (train, train.nets[0])
        found |= {f"{train.name}.{net.name}": (train, net) for net in train.nets}
    if not found:
        raise CompileError([nothing_to_do(None, "inspect", "`train`")])
    wanted = next(iter(program.trains)) if name is None else name
    if wanted in found:
        return found[wanted]
    if wanted in program.trains:
        names = tuple(net.name for net in program.trains[wanted].nets)
        raise CompileError([several_nets(None, wanted, names)])
    known = (*program.trains, *found)
    near = did_you_mean(wanted, known)
    raise CompileError([unknown_item(None, "train or net", wanted, known, near)])


def _read_rows(text: str | None, split: str, count: int) -> Array:
    """The numbers of rows within a split.

    Raises:
        CompileError: the text is no list of numbers, or a row is not there.
    """
    if text is None:
        return np.arange(min(FIRST_ROWS, count))
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,18}", part) for part in parts):
        raise CompileError([bad_rows(None, text)])
    rows = list(dict.fromkeys(map(int, parts)))
    missing = [row for row in rows if row >= count]
    if missing:
        raise CompileError([no_such_row(None, row, split, count) for row in missing])
    return np.array(rows)


def _find_label(train: Train, net: TrainedNet) -> str | None:
    """The column of whole numbers, one for each row, that the net is not given."""
    return next((name for name, _ in _list_labels(train, net)), None)


def _list_labels(train: Train, net: TrainedNet) -> Iterator[tuple[str, Any]]:
    given = {i.name for i in net.net.graph.inputs}
    for item in train.graph.inputs:
        type_ = item.value.type
        if type_.rank == 1 and not type_.dtype.is_float and item.name not in given:
            yield item.name, item.value


def _tells_classes(train: Train, net: TrainedNet, output: Value) -> bool:
    """Whether a loss or a metric takes an output of a net, or what becomes of it entry by entry,
    for scores of classes."""
    calls = find_calls(train.graph, net)
    found = [call.values.get(output.name) for call in calls]
    scores = {value.name for value in found if value is not None}
    shapes = {value.type.shape for value in found if value is not None}
    for node in train.graph.nodes:
        if not any(v is not None and v.name in scores for v in node.inputs):
            continue
        if isinstance(node.op, ClassLoss):
            return True
        scores |= {v.name for v in node.outputs if v.type.shape in shapes}
    outputs = {o.name: o.value for o in train.graph.outputs}
    for use in train.metrics:
        first, *others = (outputs[name] for name in use.reads)
        whole = (v for v in others if not v.type.dtype.is_float and v.type.rank < first.type.rank)
        if first.name in scores and any(whole):
            return True
    return False


def _find_words(train: Train, net: TrainedNet) -> tuple[str, ...]:
    """The words of the classes, where the label is a column of words."""
    for _, value in _list_labels(train, net):
        found = find_target_words(train, value)
        return found.words if found is not None else ()
    return ()


def describe_rows(subject: Subject) -> Sequence[Mapping[str, Any]]:
    """What the net says of each row: its class, how probable that is, and the label."""
    labels = subject.read_labels(subject.rows)
    found = []
    for index, row in enumerate(subject.rows.tolist()):
        chosen = int(subject.classes[index])
        entry: dict[str, Any] = {"row": row, "score": float(subject.scores[index, chosen])}
        if subject.scored.tells_classes:
            predicted = int(subject.scores[index].argmax())
            entry["predicted"] = subject.name_class(predicted)
            entry["class"] = subject.name_class(chosen)
            entry["probability"] = float(subject.probabilities[index, chosen])
        else:
            entry["entry"] = subject.name_entry(chosen)
        if labels is not None:
            entry["label"] = subject.name_class(int(labels[index]))
        found.append(entry)
    return found
