"""Initializers draw from the distributions that their PyTorch statements draw from."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from compiler.report.messages.layers import option_out_of_range
from compiler.vocabulary.initializers import INITIALIZERS, Initializer
from compiler.vocabulary.initializers.drawn import Normal, TruncNormal, Uniform, UnitVector
from compiler.vocabulary.initializers.given import Constant, Ones, Values, Zeros
from compiler.vocabulary.initializers.matrices import Dirac, Identity, Orthogonal
from compiler.vocabulary.initializers.modules import (
    ModuleConstant,
    ModuleEmbedding,
    ModuleUniform,
    PaddedRows,
)
from compiler.vocabulary.initializers.scaled import (
    KaimingNormal,
    KaimingUniform,
    LecunNormal,
    LecunUniform,
    XavierNormal,
    XavierUniform,
)
from compiler.vocabulary.spelling import In
from tests.faults import fault_of
from tests.laws.torch_terms import Runner

SHAPE = (64, 96, 3, 3)
MADE: list[Initializer] = [
    Zeros(),
    Ones(),
    Constant(0.3),
    Normal(0.02, 0.5),
    Uniform(-0.1, 0.3),
    TruncNormal(0.02),
    TruncNormal(1.0, 0.0, -0.5, 2.0),
    TruncNormal(1.0, 0.0, 0.2, 0.4),
    UnitVector(),
    XavierUniform(0.5),
    XavierNormal(),
    KaimingUniform(math.sqrt(5)),
    KaimingUniform(mode="fan_out", nonlinearity="relu"),
    KaimingNormal(nonlinearity="tanh"),
    LecunUniform(),
    LecunNormal(),
    Orthogonal(0.5),
    Identity(),
    Dirac(),
    PaddedRows(Normal(0.02), 3),
    ModuleUniform(96 * 9),
    ModuleConstant(0.25),
    ModuleEmbedding(),
]


def find_shape(initializer: Initializer) -> tuple[int, ...]:
    """A shape that an initializer is for."""
    return SHAPE[: initializer.most_axes]


def start(initializer: Initializer, target: torch.Tensor) -> None:
    """Runs the statements that generated code has."""
    for statement in initializer.torch(In(0)) or (initializer.spell(In(0)),):
        Runner([target], {}).run(statement)


def test_every_initializer_is_tried() -> None:
    assert {type(i) for i in MADE} == set(INITIALIZERS.classes()) - {Values}


def test_given_numbers_are_kept() -> None:
    initializer = Values((1.0, 2.5, -3.0, 4.0, 0.0, 6.0))
    drawn = initializer.draw((2, 3), np.random.default_rng(0))
    target = torch.full((2, 3), math.nan)
    Runner([target], {}).run(initializer.spell(In(0)))
    np.testing.assert_array_equal(drawn, [[1.0, 2.5, -3.0], [4.0, 0.0, 6.0]])
    np.testing.assert_array_equal(target.numpy(), drawn)


@pytest.mark.parametrize("initializer", MADE, ids=str)
def test_same_distribution_as_pytorch(initializer: Initializer) -> None:
    shape = find_shape(initializer)
    drawn = initializer.draw(shape, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert drawn.shape == shape
    torch.manual_seed(0)
    target = torch.full(shape, math.nan)
    start(initializer, target)
    quantiles = np.linspace(0, 1, 21)
    found = np.quantile(drawn, quantiles)
    expected = np.quantile(target.numpy(), quantiles)
    spread = max(float(expected[-1] - expected[0]), 1e-6)
    # The tails of 55,296 normal draws differ; the quantiles between them do not.
    np.testing.assert_allclose(found[1:-1], expected[1:-1], atol=0.01 * spread)
    np.testing.assert_allclose(found[[0, -1]], expected[[0, -1]], atol=0.2 * spread)


@pytest.mark.parametrize("initializer", MADE, ids=str)
def test_draws_are_reproducible(initializer: Initializer) -> None:
    shape = (8, 4, 3)[: initializer.most_axes]
    first = initializer.draw(shape, np.random.default_rng(3))
    second = initializer.draw(shape, np.random.default_rng(3))
    np.testing.assert_array_equal(first, second)


def test_modules_draw_by_themselves() -> None:
    assert not ModuleUniform(8).torch(In(0))
    assert len(Normal(0.02).torch(In(0))) == 1


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6), (4, 2, 3, 3)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    initializer = Orthogonal(2.0)
    drawn = initializer.draw(shape, np.random.default_rng(0)).reshape(shape[0], -1)
    target = torch.empty(shape)
    start(initializer, target)
    for matrix in (drawn, target.reshape(shape[0], -1).numpy()):
        short = min(matrix.shape)
        product = matrix @ matrix.T if len(matrix) == short else matrix.T @ matrix
        np.testing.assert_allclose(product, 4 * np.eye(short), atol=1e-5)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (2, 3, 4)])
def test_unit_vectors_have_length_one(shape: tuple[int, ...]) -> None:
    initializer = UnitVector()
    target = torch.full(shape, math.nan)
    start(initializer, target)
    for numbers in (target.numpy(), initializer.draw(shape, np.random.default_rng(0))):
        np.testing.assert_allclose(np.square(numbers).sum(), 1, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (4, 6, 3), (6, 4, 3, 2), (2, 2, 1, 4, 5)])
def test_identities_are_pytorchs(shape: tuple[int, ...]) -> None:
    initializer = Identity() if len(shape) == 2 else Dirac()
    target = torch.empty(shape)
    start(initializer, target)
    drawn = initializer.draw(shape, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, target.numpy())


def test_padding_row_of_a_named_start_is_zero() -> None:
    initializer = PaddedRows(Normal(0.02), -1)
    target = torch.full((5, 3), math.nan)
    start(initializer, target)
    for numbers in (target.numpy(), initializer.draw((5, 3), np.random.default_rng(0))):
        assert not numbers[-1].any()
        assert numbers[:-1].all()


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("he_normal", "kaiming_normal"),
        ("he_uniform", "kaiming_uniform"),
        ("glorot_normal", "xavier_normal"),
        ("glorot_uniform", "xavier_uniform"),
        ("truncated_normal", "trunc_normal"),
    ],
)
def test_names_of_keras_and_of_pytorch(alias: str, name: str) -> None:
    assert INITIALIZERS.get(alias) is INITIALIZERS.get(name)


def test_module_defaults_are_pytorchs() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 4096)
    draw = ModuleUniform(64).draw((4096, 64), np.random.default_rng(0))
    bound = 1 / math.sqrt(64)
    for numbers in (layer.weight.detach().numpy(), layer.bias.detach().numpy(), draw):
        assert np.abs(numbers).max() <= bound
        assert numbers.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_padding_row_is_zero() -> None:
    numbers = ModuleEmbedding(2).draw((5, 3), np.random.default_rng(0))
    assert not numbers[2].any()
    assert numbers[1].any()


@pytest.mark.parametrize("initializer", [i for i in MADE if i.least_axes], ids=str)
def test_fans_need_two_axes(initializer: Initializer) -> None:
    with pytest.raises(ValueError, match="no inputs and outputs"):
        initializer.draw((7,), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda: Normal(-1.0), "std"),
        (lambda: Normal(math.inf), "std"),
        (lambda: Uniform(1.0, 0.0), "high"),
        (lambda: TruncNormal(1.0, low=3.0, high=2.0), "high"),
        (lambda: TruncNormal(0.0), "std"),
        (lambda: XavierNormal(0.0), "gain"),
        (lambda: KaimingNormal(math.nan), "a"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], Initializer], option: str) -> None:
    message = fault_of(make)
    assert message.kind is option_out_of_range
    assert message.text.title.startswith(f"`{option}` of ")
