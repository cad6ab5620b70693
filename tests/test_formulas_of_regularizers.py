"""Regularizers against the formulas of their pages: the meaning, and the code of scripts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backends.pytorch.run.load import run_source
from compiler.training.base import Penalty
from compiler.training.regularizers import L1, L2, ElasticNet, GroupLasso
from compiler.vocabulary.signature import write_call
from tests.formulas.regularizers import FORMULAS

DRAWN = np.random.default_rng(9)
PENALTIES = [L1(), L1(0.3), L2(), L2(0.3), ElasticNet(0.1, 0.7), ElasticNet(2.0, 0.01)]
LASSOS = [
    GroupLasso(),
    GroupLasso(0.3),
    GroupLasso(0.3, groups="inputs"),
    GroupLasso(2.0, groups="inputs"),
]


@pytest.mark.parametrize("penalty", PENALTIES, ids=write_call)
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3, 3), (7,)])
def test_a_penalty_follows_the_formula(penalty: Penalty, shape: tuple[int, ...]) -> None:
    weight = DRAWN.normal(size=shape)
    wanted = FORMULAS.functions[penalty.name](penalty, weight)
    assert penalty.measure(weight) == pytest.approx(wanted, rel=1e-12)
    names = [name for name, _ in penalty.strengths]
    scope = {"w": torch.tensor(weight), **dict(penalty.strengths)}
    assert eval(penalty.code("w", names), scope).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("lasso", LASSOS, ids=write_call)
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3, 3)])
def test_a_proximal_step_follows_the_formula(lasso: GroupLasso, shape: tuple[int, ...]) -> None:
    """Of groups some are 0 before it, and some become so."""
    weight = DRAWN.normal(size=shape) * np.linspace(0.1, 2, shape[1]).reshape(
        -1, *[1] * len(shape[2:])
    )
    weight[0] = 0
    bias = DRAWN.normal(size=shape[0]) if lasso.groups == "outputs" else None
    if bias is not None:
        bias[0] = 0
    wanted = FORMULAS.functions["group_lasso"](lasso, weight, bias, 0.5)
    parts = [weight] if bias is None else [weight, bias]
    for found, expected in zip(lasso.shrink(parts, 0.5), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    lines = ["import torch", "from torch import Tensor", *lasso.code([lasso]), ""]
    shrink = run_source("\n".join(lines), "shrinking").shrink_groups
    tensors = [torch.tensor(part) for part in parts]
    shrink(tensors, 0.5 * lasso.strength, *map(int, lasso.arguments([lasso])))
    for tensor, expected in zip(tensors, wanted, strict=True):
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-9)
