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
from compiler.report.messages.verification import pass_made_nan
from compiler.report.messages.weights import (
    weight_kind,
    weight_missing,
    weight_range,
    weight_shape,
    weights_not_finite,
    weights_too_large,
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
        (layer,) = messages[-1].text.labels
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
    assert message.kind is weight_kind
    assert message.text.title.startswith("`d.weight` is of dtype ")
    assert message.span is not None
    assert message.span.location.endswith(":3:14")


def test_objects_and_ragged_lists_are_refused(tmp_path: Path) -> None:
    assert refuse(tmp_path, n_bias=[None, 1, 2, 3]).kind is weight_kind
    assert refuse(tmp_path, d_weight=[[1.0, 2.0], [3.0]]).kind is weight_shape


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_width_of_floating_point_is_taken(dtype: torch.dtype) -> None:
    given = {path: torch.from_numpy(array).to(dtype) for path, array in GOOD.items()}
    made = weft.loads(SPEC).model("M").weights(given)
    assert all(array.dtype == np.float32 for array in made.values())


def test_numbers_that_the_dtype_does_not_hold(tmp_path: Path) -> None:
    message = refuse(tmp_path, d_weight=np.full((4, 3), 1e300))
    assert message.kind is weights_too_large
    assert message.text.title.startswith("`d.weight` has 12 numbers in ")
    assert message.text.title.endswith(" that f32 does not hold")
    assert message.text.label == "one is 1e+300"
    assert refuse(tmp_path, d_weight=np.full((4, 3), np.inf)).kind is weights_not_finite


def test_a_variance_below_zero(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = refuse(tmp_path, n_running_var=np.array([1, -2.5, 0, -1], np.float32))
    assert message.kind is weight_range
    assert message.text.title.startswith("`n.running_var` has 2 numbers in ")
    assert message.text.label == "one is -2.5, and they are 0 or above"


def test_shapes_and_missing_weights_name_the_layer(tmp_path: Path) -> None:
    message = refuse(tmp_path, n_bias=np.zeros(3, np.float32))
    assert message.kind is weight_shape
    assert message.span is not None
    assert message.span.location.endswith(":4:21")
    assert refuse(tmp_path, n_bias=None).kind is weight_missing


def test_no_pass_makes_nan_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the range of the variance, folding it would; no warning of NumPy says so instead."""
    monkeypatch.setattr(BatchNorm, "weight_limits", {})
    weights = GOOD | {"n.running_var": np.full(4, -1, np.float32)}
    graph = weft.loads(SPEC).model("M").graph
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = _find(lambda: run_passes(graph, ONNX_PASSES, Context(weights)))
    assert message.kind is pass_made_nan
    assert message.text.title.startswith("the pass `fold_batch_norm` ")
    assert message.span is not None
