"""What a training knows of its data: the words behind its codes, and the figures that it fitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.codes import (
    WORDS,
    TrainedWords,
    describe_codes,
    is_shortened,
    shorten_words,
)
from compiler.data.joined import name_fitted, qualify
from compiler.ir.weights import WeightsError, read_weights
from compiler.loading import read_training
from compiler.program.data import DataSet
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError
from compiler.report.messages.training_runs import other_words
from compiler.report.messages.weights import weights_unreadable
from compiler.system.files import parse_json, read_json
from compiler.text.tree.syntax import File
from compiler.text.tree.syntax import Train as TrainItem

Array = NDArray[Any]

BEST = "best.safetensors"
"""The file of a training with the weights of its best epoch."""


def find_words(file: File, folder: Path) -> dict[str, TrainedWords]:
    """The words that the trainings in the folder of a build have seen, by data item."""
    found: dict[str, TrainedWords] = {}
    trains = _list_trains(file)
    for train in trains:
        _add_words(found, train, folder / train.name.text / BEST)
    for weights in sorted(folder.glob(f"*_*/{BEST}")):  # of trains with arguments: `fit_k1`
        named = _find_named(trains, weights)
        if named is not None:
            _add_words(found, named, weights)
    return found


def find_words_of(file: File, weights: Path) -> dict[str, TrainedWords]:
    """The words that a training has seen, from the file with its weights, by data item. The train
    is that of its folder's name, or the only one of the spec."""
    trains = _list_trains(file)
    named = _find_named(trains, weights.resolve())
    found: dict[str, TrainedWords] = {}
    for train in [named] if named is not None else trains if len(trains) == 1 else []:
        _add_words(found, train, weights)
    return found


def _find_named(trains: Sequence[TrainItem], weights: Path) -> TrainItem | None:
    """The train that has left weights, by the name of their folder: its own, and behind that its
    arguments where it has some."""
    folder = weights.parent.name
    found = [t for t in trains if folder == t.name.text or folder.startswith(f"{t.name.text}_")]
    return max(found, key=lambda train: len(train.name.text), default=None)


def _list_trains(file: File) -> list[TrainItem]:
    return [item for item in file.items if isinstance(item, TrainItem)]


def _add_words(found: dict[str, TrainedWords], train: TrainItem, weights: Path) -> None:
    """Adds the words of a training's data; those of an earlier train of the same data stay."""
    words = read_words(weights) if train.on and weights.is_file() else {}
    names = [reference.path[-1].text for reference in train.on]
    for data in names if words else ():
        own = qualify(data, "") if len(names) > 1 else ""
        known = {n.removeprefix(own): w for n, w in words.items() if n.startswith(own)}
        first = found.get(data, TrainedWords(train.name.text, {}))
        if known:
            found[data] = TrainedWords(first.train, {**known, **first.columns})


def read_words(weights: Path) -> dict[str, tuple[str, ...]]:
    """The words that a training has seen, by column, as far as they are still known in full."""
    found = _read_listed(read_training(weights))
    full: dict[str, Any] = {}
    for folder in (weights.parent, weights.resolve().parent.parent):  # `--out RUN` is inside it
        held = read_json(folder / WORDS)
        full = {**(held if isinstance(held, dict) else {}), **full}
    words = {}
    for column, listed in found.items():
        whole = full.get(column, listed)
        if isinstance(whole, list) and shorten_words(map(str, whole)) == listed:
            words[column] = tuple(map(str, whole))
        elif not is_shortened(listed):
            words[column] = tuple(listed)
    return words


def _read_listed(settings: dict[str, Any]) -> dict[str, list[str]]:
    """The words of each column as the settings of a training have them."""
    known = parse_json(str(settings.get("words", "{}")))
    columns = known.items() if isinstance(known, dict) else ()
    return {name: list(map(str, words)) for name, words in columns if isinstance(words, list)}


def find_data(train: Train, folder: Path) -> tuple[object, ...]:
    """What the data of a train is read from, of paths relative to a folder: files, and arrays
    or rows that are in none."""
    source = train.data.source
    return (*source.files(folder), source.held(folder), source.fingerprint(folder))


def read_fitted(train: Train, weights: Path) -> dict[str, Array] | None:
    """The figures that a training fitted on its rows (means, medians), by their statistic, read
    from beside its weights; None where the file is not of a training.

    Raises:
        CompileError: a column of words has other words now than the training knew, so that a code
            would mean another one; or the figures cannot be read.
    """
    settings = read_training(weights)
    if not settings:
        return None
    here = describe_codes(train.data.schema)
    faults = [
        other_words(train.span, train.name, column, tuple(words), tuple(here[column]))
        for column, words in _read_listed(settings).items()
        if column in here and words != here[column]
    ]
    if faults:
        raise CompileError(faults)
    return {
        qualify(part.name, name) if train.data.members else name: array
        for part, path in list_fitted(train, weights.parent)
        for name, array in _read_fitted(train, part, path).items()
    }


def list_fitted(train: Train, folder: Path) -> list[tuple[DataSet, Path]]:
    """The files in the folder of a training with its fitted figures, by data set."""
    parts = train.data.parts
    names = name_fitted([part.name for part in parts])
    return [(part, folder / names[part.name]) for part in parts]


def _read_fitted(train: Train, data: DataSet, path: Path) -> dict[str, Array]:
    """The fitted figures of a data set, by their statistic; none without a file.

    Raises:
        CompileError: they cannot be read, or are not those of this data.
    """
    if not path.is_file():
        return {}
    try:
        found = {name: np.asarray(array) for name, array in read_weights(path).items()}
    except WeightsError as error:
        raise CompileError([weights_unreadable(train.span, str(error), trained=True)]) from error
    for name, parameter in data.columns.parameter.items():
        size, wanted = found.get(name), parameter.value.type
        if size is not None and size.shape != wanted.known_shape:
            reason = f"{path} holds `{name}` as {list(size.shape)}, and the data item has {wanted}"
            raise CompileError([weights_unreadable(train.span, reason, trained=True)])
    return found
