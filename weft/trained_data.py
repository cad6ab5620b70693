"""What a training knows of its data: the words behind its codes, and the figures that it fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.codes import describe_codes
from compiler.diagnostics import CompileError
from compiler.files import parse_json
from compiler.ir.weights import WeightsError, read_weights
from compiler.loading import read_progress
from compiler.messages.training_runs import OtherWords
from compiler.messages.weights import WeightsUnreadable
from compiler.program import Train

Array = NDArray[Any]

FITTED = "columns.safetensors"
"""The file of a training with its fitted figures."""


def read_fitted(train: Train, weights: Path) -> dict[str, Array] | None:
    """The figures that a training fitted on its rows (means, medians), by their statistic, read
    from beside its weights; None where the file is not of a training.

    Raises:
        CompileError: a column of words has other words now than the training knew, so that a code
            would mean another one; or the figures cannot be read.
    """
    settings = read_progress(weights).get("settings")
    if not isinstance(settings, dict):
        return None
    known = parse_json(str(settings.get("words", "{}")))
    here = describe_codes(train.data.schema)
    faults = [
        OtherWords(train.span, train.name, column, tuple(map(str, words)), tuple(here[column]))
        for column, words in (known if isinstance(known, dict) else {}).items()
        if column in here and isinstance(words, list) and words != here[column]
    ]
    if faults:
        raise CompileError(faults)
    path = weights.parent / FITTED
    if not path.is_file():
        return {}
    try:
        found = {name: np.asarray(array) for name, array in read_weights(path).items()}
    except WeightsError as error:
        raise CompileError([WeightsUnreadable(train.span, str(error), trained=True)]) from error
    for name, parameter in train.data.columns.parameter.items():
        size, wanted = found.get(name), parameter.value.type
        if size is not None and size.shape != wanted.known_shape:
            reason = f"{path} holds `{name}` as {list(size.shape)}, and the data item has {wanted}"
            raise CompileError([WeightsUnreadable(train.span, reason, trained=True)])
    return found
