"""Holds the script of a train to the rows that Weft loads."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np

from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.rows.loading import load_data
from tests.test_train_steps import import_script
from tests.train_scripts import lint


def assert_script_loads_alike(spec: str, folder: Path) -> str:
    """Writes the script of the train `fit` of a spec, which finds nothing to say, and runs its
    `load_splits`; the text of the script."""
    (folder / "spec.weft").write_text(spec)
    program = check(folder / "spec.weft", sink=(sink := Sink()))
    assert not sink.messages, [m.text.title for m in sink.messages]
    assert program is not None
    train = program.trains["fit"]
    code = folder / "code"
    write_training(train, code)
    lint(code)
    (code / "run").mkdir(exist_ok=True)
    load = import_script(code, "train").load_splits
    given = {"folder": folder, "out": code / "run", "device": "cpu"}
    splits = load(*(given[name] for name in inspect.signature(load).parameters))
    loaded = load_data(train.data)
    names = [item.name for item in train.graph.inputs]
    assert list(splits) == list(loaded.rows)
    for split, columns in splits.items():
        own = loaded.split(split)
        assert len(columns) == len(names)
        for name, column in zip(names, columns, strict=True):
            np.testing.assert_allclose(column.numpy(), own[name], rtol=1e-5, atol=1e-6)
    return (code / "train.py").read_text()
