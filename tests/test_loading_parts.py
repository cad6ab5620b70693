"""Weights of a part of a net, loaded under its path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.diagnostics import CompileError
from compiler.ir.weights import write_weights
from compiler.loading import find_loaded, find_weights
from tests.elaborating import elaborate

SPEC = (
    "model Body {\n    input x: f32[batch, 4]\n    output y = x -> dense(4) as fc\n}\n"
    'net body = Body() -> load("body.safetensors", except=["fc.bias"], rename=["old" -> "fc"])\n'
    "model M {\n    input x: f32[batch, 4]\n    net first = body\n"
    "    output y = x -> first -> dense(4) as head\n}\n"
    "net m = M()\n"
)


def test_a_part_is_loaded_under_its_path(tmp_path: Path) -> None:
    weight = np.arange(16, dtype=np.float32).reshape(4, 4)
    write_weights(tmp_path / "body.safetensors", {"old.weight": weight}, {})
    net = elaborate(SPEC)[0]["m"]
    loaded = find_loaded(net, tmp_path)
    assert list(loaded) == ["first.fc.weight"]
    np.testing.assert_array_equal(loaded["first.fc.weight"], weight)
    assert len(find_weights(net, tmp_path)) == 4


def test_a_missing_weight_of_a_part_is_named_in_full(tmp_path: Path) -> None:
    write_weights(tmp_path / "body.safetensors", {"other": np.zeros(3, np.float32)}, {})
    net = elaborate(SPEC)[0]["m"]
    with pytest.raises(CompileError) as caught:
        find_loaded(net, tmp_path)
    assert "first.fc.weight" in caught.value.messages[0].label() + caught.value.messages[0].title()
