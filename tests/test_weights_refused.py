"""Weights that are not what a net takes: refused alike from a file, from Python and in a spec."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import weft
from compiler.ir.weights import write_weights
from compiler.ops.normalization import BatchNorm
from compiler.passes.base import Context
from compiler.passes.pipeline import ONNX_PASSES, run_passes
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.verification import PassMadeNan
from compiler.report.messages.weights import (
    WeightKind,
    WeightMissing,
    WeightRange,
    WeightShape,
    WeightsNotFinite,
    WeightsTooLarge,
)

SPEC = """model M {
    input x: f32[b, 3]
    y = x -> dense(4, bias=false) as d
    output z = y -> batch_norm as n
}
"""
GOOD = {
    "d.weight": np.ones((4, 3), np.float32),
    "n.weight": np.ones(4, np.float32),
    "n.bias": np.zeros(4, np.float32),
    "n.running_mean": np.zeros(4, np.float32),
    "n.running_var": np.ones(4, np.float32),
}


def refuse(folder: Path, **changed: Any) -> Message:
    """What is said of weights that are given from Python and, where a file holds them, from one;
    by a call and by a spec."""
    arrays = {path: changed.get(path.replace(".", "_"), array) for path, array in GOOD.items()}
    arrays = {path: array for path, array in arrays.items() if array is not None}
    messages = [_find(lambda: weft.loads(SPEC).model("M").torch(arrays))]
    if all(isinstance(a, np.ndarray) and a.dtype.kind != "c" for a in arrays.values()):
        path = folder / "w.safetensors"
        write_weights(path, arrays, {})
        messages.append(_find(lambda: weft.loads(SPEC).model("M").onnx(folder / "m.onnx", path)))
        loading = f'{SPEC}net n = M() -> load("w.safetensors")\n'
        spec = weft.loads(loading, folder=folder)
        messages.append(_find(lambda: spec.model("n").weights()))
        (layer,) = messages[-1].labels()
        assert messages[-1].span is not None
        assert messages[-1].span.location.endswith(":6:16")
        assert messages[0].span is not None
        assert layer.span.location.endswith(messages[0].span.location.removeprefix("<text>"))
        assert not (folder / "m.onnx").exists()
    assert len({type(message) for message in messages}) == 1
    assert messages[0].span is not None, "the layer is named"
    return messages[0]


def _find(action: Any) -> Message:
    with pytest.raises(CompileError) as caught:
        action()
    (message,) = caught.value.messages
    return message


@pytest.mark.parametrize("dtype", ["complex64", "int8", "int64", "uint8", "bool"])
def test_other_kinds_of_numbers_are_refused(dtype: str, tmp_path: Path) -> None:
    message = refuse(tmp_path, d_weight=np.ones((4, 3), dtype))
    assert isinstance(message, WeightKind)
    assert message.path == "d.weight"
    assert message.span is not None
    assert message.span.location.endswith(":3:14")


def test_objects_and_ragged_lists_are_refused(tmp_path: Path) -> None:
    assert isinstance(refuse(tmp_path, n_bias=[None, 1, 2, 3]), WeightKind)
    assert isinstance(refuse(tmp_path, d_weight=[[1.0, 2.0], [3.0]]), WeightShape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_width_of_floating_point_is_taken(dtype: torch.dtype) -> None:
    given = {path: torch.from_numpy(array).to(dtype) for path, array in GOOD.items()}
    made = weft.loads(SPEC).model("M").weights(given)
    assert all(array.dtype == np.float32 for array in made.values())


def test_numbers_that_the_dtype_does_not_hold(tmp_path: Path) -> None:
    message = refuse(tmp_path, d_weight=np.full((4, 3), 1e300))
    assert isinstance(message, WeightsTooLarge)
    assert (message.count, message.found, message.expected) == (12, 1e300, "f32")
    assert isinstance(refuse(tmp_path, d_weight=np.full((4, 3), np.inf)), WeightsNotFinite)


def test_a_variance_below_zero(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = refuse(tmp_path, n_running_var=np.array([1, -2.5, 0, -1], np.float32))
    assert isinstance(message, WeightRange)
    assert (message.path, message.count, message.found) == ("n.running_var", 2, -2.5)
    assert message.label() == "one is -2.5, and they are 0 or above"


def test_shapes_and_missing_weights_name_the_layer(tmp_path: Path) -> None:
    message = refuse(tmp_path, n_bias=np.zeros(3, np.float32))
    assert isinstance(message, WeightShape)
    assert message.span is not None
    assert message.span.location.endswith(":4:21")
    assert isinstance(refuse(tmp_path, n_bias=None), WeightMissing)


def test_no_pass_makes_nan_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the range of the variance, folding it would; no warning of NumPy says so instead."""
    monkeypatch.setattr(BatchNorm, "weight_limits", {})
    weights = GOOD | {"n.running_var": np.full(4, -1, np.float32)}
    graph = weft.loads(SPEC).model("M").graph
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = _find(lambda: run_passes(graph, ONNX_PASSES, Context(weights)))
    assert isinstance(message, PassMadeNan)
    assert message.name == "fold_batch_norm"
    assert message.span is not None
