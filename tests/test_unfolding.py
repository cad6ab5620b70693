"""Windows as columns and back: against PyTorch with gradients, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.elaborating import codes
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(4)
IMAGES = DRAWN.normal(size=(2, 3, 6, 7)).astype(np.float32)
COLUMNS = DRAWN.normal(size=(2, 8, 12)).astype(np.float32)

CASES: list[tuple[str, str, Callable[..., Any]]] = [
    ("x", "unfold(x, 3)", lambda x: F.unfold(x, 3)),
    (
        "x",
        "unfold(x, [2, 3], stride=2, padding=[1, 0], dilation=[1, 2])",
        lambda x: F.unfold(x, (2, 3), stride=2, padding=(1, 0), dilation=(1, 2)),
    ),
    ("columns", "fold(columns, [4, 5], 2)", lambda x: F.fold(x, (4, 5), 2)),
    (
        "columns",
        "fold(columns, [4, 6], 2, stride=[1, 2], padding=[0, 1], dilation=1)",
        lambda x: F.fold(x, (4, 6), 2, stride=(1, 2), padding=(0, 1)),
    ),
    (
        "x",
        "fold(unfold(x, 2, stride=1), [6, 7], 2) / fold(unfold(ones_like(x), 2), [6, 7], 2)",
        lambda x: x,
    ),
]


@pytest.mark.parametrize(("name", "call", "oracle"), CASES, ids=[c[1] for c in CASES])
def test_numbers_and_gradients_are_pytorchs(
    name: str, call: str, oracle: Callable[..., torch.Tensor]
) -> None:
    given = {"x": IMAGES, "columns": COLUMNS}
    compare_block("tensors", call, {name: given[name]}, oracle)


WRONG = [
    ("unfold(x[0], 3)", "W0380"),
    ("unfold(cast(x, i64), 3)", "W0382"),
    ("unfold(x, 9)", "W0351"),
    ("unfold(x, 3, stride=0)", "W0353"),
    ("fold(x, [4, 5], 2)", "W0380"),
    ("fold(columns, [4, 6], 2)", "W0387"),
    ("fold(columns, [4, 5], 3)", "W0387"),
    ("fold(columns, [4], 2)", "W0392"),
]


@pytest.mark.parametrize(("call", "code"), WRONG)
def test_what_is_refused(call: str, code: str) -> None:
    inputs = "input x: f32[n, 3, 6, 7]\n    input columns: f32[n, 8, 12]"
    assert codes(f"model M {{\n    {inputs}\n    output y = {call}\n}}") == [code]
