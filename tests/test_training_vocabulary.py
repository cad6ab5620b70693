"""Schedules and metrics against torch.optim.lr_scheduler and scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch

from compiler.ir.hint import HintBinary, HintConst, HintName
from compiler.training.base import METRICS, OPTIMIZERS, SCHEDULES, Metric, Schedule
from compiler.training.classification import Accuracy, BinaryAccuracy, Perplexity, TopK
from compiler.training.cycles import CosineRestarts, OneCycle
from compiler.training.expression import Expression, Formula
from compiler.training.plateau import Plateau
from compiler.training.registry import load_training
from compiler.training.regression import (
    R2,
    BatchMean,
    Mean,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)
from compiler.training.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseSquareRoot,
    InverseTime,
    MultiStep,
    Polynomial,
    Step,
)
from compiler.types.tensor import TensorType
from compiler.vocabulary.duration import NO_TIME, Duration
from tests.faults import fault_of
from tests.metric_code import run_metric

load_training()
STEPS, PER_EPOCH = 40, 8
LR = torch.optim.lr_scheduler

FIVE_PERCENT = Duration(0.125, "share")  # 5 of 40 steps
SCHEDULE_CASES = [
    Constant(),
    Constant(FIVE_PERCENT),
    Expression(Formula(HintBinary("**", HintConst(0.9), HintName("epoch"))), FIVE_PERCENT),
    Step(Duration(2, "epochs")),
    Step(Duration(7, "steps"), 0.5),
    Step(Duration(0.25, "share"), 0.5, Duration(1, "epochs")),
    Exponential(0.9),
    Exponential(0.9, Duration(4, "steps"), FIVE_PERCENT),
    Exponential(0.5, Duration(1.5, "epochs"), Duration(0.5, "epochs")),
    Cosine(),
    Cosine(FIVE_PERCENT),
    Plateau(),
    Plateau(factor=0.5, warmup=FIVE_PERCENT),
    Cosine(Duration(6, "steps"), 0.1),
    CosineRestarts(Duration(1, "epochs")),
    CosineRestarts(Duration(3, "steps"), 2, 0.1, FIVE_PERCENT),
    InverseSquareRoot(FIVE_PERCENT),
    InverseTime(),
    InverseTime(0.5, Duration(3, "steps"), FIVE_PERCENT),
    MultiStep((Duration(0.5, "share"), Duration(4, "epochs"))),
    MultiStep((Duration(3, "steps"),), 0.5, Duration(1, "epochs")),
    OneCycle(),
    OneCycle(0.5, 0.1, 0.0, "linear"),
    Polynomial(),
    Polynomial(2.0, 0.1, FIVE_PERCENT),
]


def run_code(schedule: Schedule, steps: int = STEPS) -> Callable[[int], float]:
    """The generated `learning_rate` as a function."""
    body = "\n    ".join(schedule.code("steps", "per_epoch"))
    names: dict[str, Any] = {"math": math, "steps": steps, "per_epoch": PER_EPOCH}
    exec(f"def learning_rate(step):\n    {body}", names)
    return names["learning_rate"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("schedule", SCHEDULE_CASES, ids=str)
def test_generated_schedule_is_its_meaning(schedule: Schedule) -> None:
    generated = run_code(schedule)
    for step in range(STEPS):
        assert generated(step) == pytest.approx(
            schedule.multiplier(step, STEPS, PER_EPOCH), abs=1e-12
        )


def torch_factors(make: Callable[[torch.optim.Optimizer], Any]) -> Iterator[float]:
    """Learning rates that a scheduler of torch gives, step by step, from 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    for step in range(STEPS):
        if step:
            optimizer.step()
            scheduler.step()
        yield optimizer.param_groups[0]["lr"]


def warm(optimizer: torch.optim.Optimizer, steps: int, rest: Any) -> Any:
    ramp = LR.LinearLR(optimizer, start_factor=1 / (steps + 1), total_iters=steps)
    return LR.SequentialLR(optimizer, [ramp, rest], milestones=[steps])


ORACLES: list[tuple[Schedule, Callable[[torch.optim.Optimizer], Any]]] = [
    (Constant(), lambda o: LR.ConstantLR(o, factor=1.0)),
    (Constant(FIVE_PERCENT), lambda o: LR.LinearLR(o, start_factor=1 / 6, total_iters=5)),
    (Step(Duration(2, "epochs"), 0.3), lambda o: LR.StepLR(o, 2 * PER_EPOCH, 0.3)),
    (Exponential(0.9, Duration(1, "steps")), lambda o: LR.ExponentialLR(o, 0.9)),
    (Exponential(0.9), lambda o: LR.ExponentialLR(o, 0.9 ** (1 / PER_EPOCH))),
    (
        Exponential(0.9, Duration(1, "steps"), FIVE_PERCENT),
        lambda o: warm(o, 5, LR.ExponentialLR(o, 0.9)),
    ),
    (Cosine(), lambda o: LR.CosineAnnealingLR(o, STEPS)),
    (Cosine(minimum=0.2), lambda o: LR.CosineAnnealingLR(o, STEPS, eta_min=0.2)),
    (
        MultiStep((Duration(10, "steps"), Duration(0.75, "share")), 0.3),
        lambda o: LR.MultiStepLR(o, [10, 30], 0.3),
    ),
    (InverseTime(0.5, Duration(4, "steps")), lambda o: LR.LambdaLR(o, lambda t: 1 / (1 + t / 8))),
    (Polynomial(2.0), lambda o: LR.PolynomialLR(o, STEPS, 2.0)),
    (
        Polynomial(warmup=FIVE_PERCENT),
        lambda o: warm(o, 5, LR.PolynomialLR(o, STEPS - 5)),
    ),
    (
        CosineRestarts(Duration(3, "steps"), 2, 0.1),
        lambda o: LR.CosineAnnealingWarmRestarts(o, 3, 2, 0.1),
    ),
    (OneCycle(), lambda o: LR.OneCycleLR(o, 1.0, STEPS, cycle_momentum=False)),
    (
        OneCycle(0.31, 0.1, 0.01, "linear"),
        lambda o: LR.OneCycleLR(
            o,
            1.0,
            STEPS,
            pct_start=0.31,
            anneal_strategy="linear",
            cycle_momentum=False,
            div_factor=10,
            final_div_factor=10,
        ),
    ),
    (CosineRestarts(Duration(1, "epochs")), lambda o: LR.CosineAnnealingWarmRestarts(o, PER_EPOCH)),
    (Cosine(FIVE_PERCENT), lambda o: warm(o, 5, LR.CosineAnnealingLR(o, STEPS - 5))),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("schedule", "oracle"), ORACLES, ids=[str(s) for s, _ in ORACLES])
def test_schedule_equals_torch(schedule: Schedule, oracle: Callable[..., Any]) -> None:
    mine = [schedule.multiplier(step, STEPS, PER_EPOCH) for step in range(STEPS)]
    assert mine == pytest.approx(list(torch_factors(oracle)), abs=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("peak", "steps"), [(0.95, 12), (0.3, 1), (0.3, 2), (0.05, 9)])
def test_one_cycle_of_a_few_steps_is_torchs(peak: float, steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = LR.OneCycleLR(optimizer, 1.0, steps, pct_start=peak, cycle_momentum=False)
    schedule = OneCycle(peak)
    generated = run_code(schedule, steps)
    for step in range(steps):
        if step:
            optimizer.step()
            scheduler.step()
        rate = optimizer.param_groups[0]["lr"]
        assert schedule.multiplier(step, steps, steps) == pytest.approx(rate, abs=1e-9)
        assert generated(step) == pytest.approx(rate, abs=1e-9)


def test_inverse_square_root_is_that_of_the_step() -> None:
    schedule = InverseSquareRoot(Duration(4, "steps"))
    factors = [schedule.multiplier(step, STEPS, PER_EPOCH) for step in range(9)]
    ramp = [0.2, 0.4, 0.6, 0.8]
    assert factors == pytest.approx([*ramp, *(math.sqrt(4 / step) for step in range(4, 9))])


def test_step_counts_from_the_first_step_whatever_the_warmup() -> None:
    schedule = Step(Duration(10, "steps"), 0.5, Duration(4, "steps"))
    factors = [schedule.multiplier(step, STEPS, PER_EPOCH) for step in range(21)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[9:11] == [1.0, 0.5]
    assert factors[20] == 0.25


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        (NO_TIME, 0),
        (Duration(0.05, "share"), 2),
        (Duration(1.5, "epochs"), 12),
        (Duration(7, "steps"), 7),
    ],
)
def test_duration_in_steps(duration: Duration, steps: int) -> None:
    assert duration.steps(STEPS, PER_EPOCH) == steps
    names = {"steps": STEPS, "per_epoch": PER_EPOCH}
    assert eval(duration.code("steps", "per_epoch"), names) == steps


@pytest.mark.parametrize(
    "make",
    [
        lambda: CosineRestarts(Duration(0, "epochs")),
        lambda: CosineRestarts(Duration(1, "epochs"), growth=0),
        lambda: InverseSquareRoot(NO_TIME),
        lambda: InverseTime(rate=0.0),
        lambda: MultiStep(()),
        lambda: MultiStep((Duration(-1, "epochs"),)),
        lambda: OneCycle(peak=0.0),
        lambda: OneCycle(start=1.5),
        lambda: OneCycle(end=-0.1),
        lambda: Polynomial(power=0.0),
        lambda: Polynomial(minimum=1.0),
        lambda: Cosine(minimum=1.0),
        lambda: Cosine(Duration(2, "share")),
        lambda: Step(Duration(0, "epochs")),
        lambda: Step(Duration(1, "epochs"), 0.0),
        lambda: Exponential(-1.0),
        lambda: Constant(Duration(-1, "steps")),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Callable[[], object]) -> None:
    assert fault_of(make).text.title


# --- metrics ------------------------------------------------------------------------------------

GENERATOR = np.random.default_rng(0)
SCORES = GENERATOR.normal(size=(50, 7)).astype(np.float32)
LABELS = GENERATOR.integers(0, 7, 50)
LOGITS = GENERATOR.normal(size=50).astype(np.float32)
BINARY = GENERATOR.integers(0, 2, 50)
TARGET = GENERATOR.normal(size=50).astype(np.float32)
PREDICTED = (TARGET + GENERATOR.normal(size=50) / 2).astype(np.float32)
TOKENS = GENERATOR.normal(size=(50, 6, 7)).astype(np.float32)
TOKEN_LABELS = GENERATOR.integers(0, 7, (50, 6))
DENSE = GENERATOR.normal(size=(50, 3, 4, 5)).astype(np.float32)
DENSE_LABELS = GENERATOR.integers(0, 3, (50, 4, 5))


def cross_entropy(scores: Any, labels: Any) -> float:
    return float(
        torch.nn.functional.cross_entropy(torch.tensor(scores).double(), torch.tensor(labels))
    )


METRIC_CASES: list[tuple[Metric, Sequence[Any], float]] = [
    (
        Accuracy(),
        (SCORES, LABELS),
        sklearn.metrics.accuracy_score(LABELS, SCORES.argmax(1)),
    ),
    (
        Accuracy(),
        (DENSE, DENSE_LABELS),
        sklearn.metrics.accuracy_score(DENSE_LABELS.ravel(), DENSE.argmax(1).ravel()),
    ),
    (
        Accuracy(),
        (TOKENS, TOKEN_LABELS),
        sklearn.metrics.accuracy_score(TOKEN_LABELS.ravel(), TOKENS.argmax(-1).ravel()),
    ),
    (Accuracy(), (LOGITS, BINARY), sklearn.metrics.accuracy_score(BINARY, LOGITS > 0)),
    (
        BinaryAccuracy(),
        (LOGITS[:, None], BINARY[:, None].astype(bool)),
        sklearn.metrics.accuracy_score(BINARY, LOGITS > 0),
    ),
    (
        TopK(3),
        (SCORES, LABELS),
        sklearn.metrics.top_k_accuracy_score(LABELS, SCORES, k=3, labels=range(7)),
    ),
    (
        TopK(2),
        (DENSE, DENSE_LABELS),
        sklearn.metrics.top_k_accuracy_score(
            DENSE_LABELS.ravel(), np.moveaxis(DENSE, 1, -1).reshape(-1, 3), k=2, labels=range(3)
        ),
    ),
    (Perplexity(), (SCORES, LABELS), math.exp(cross_entropy(SCORES, LABELS))),
    (
        Perplexity(),
        (TOKENS, TOKEN_LABELS),
        math.exp(cross_entropy(TOKENS.reshape(-1, 7), TOKEN_LABELS.ravel())),
    ),
    (
        MeanSquaredError(),
        (PREDICTED, TARGET),
        sklearn.metrics.mean_squared_error(TARGET, PREDICTED),
    ),
    (
        RootMeanSquaredError(),
        (PREDICTED, TARGET),
        sklearn.metrics.root_mean_squared_error(TARGET, PREDICTED),
    ),
    (
        MeanAbsoluteError(),
        (PREDICTED, TARGET),
        sklearn.metrics.mean_absolute_error(TARGET, PREDICTED),
    ),
    (R2(), (PREDICTED[:, None], TARGET[:, None]), sklearn.metrics.r2_score(TARGET, PREDICTED)),
    (R2(), (PREDICTED[:1].repeat(9), np.ones(9, np.float32)), 0.0),
    (R2(), (np.ones(9, np.float32), np.ones(9, np.float32)), 1.0),
    (Mean(), (SCORES,), float(SCORES.astype(np.float64).mean())),
]


def type_of(array: np.ndarray[Any, Any]) -> TensorType:
    dtype = {"float32": "f32", "int64": "i64", "bool": "bool"}[array.dtype.name]
    return TensorType.of(dtype, ("batch", *array.shape[1:]))


@pytest.mark.parametrize(("metric", "arrays", "expected"), METRIC_CASES, ids=lambda x: str(x)[:30])
def test_metric_equals_its_oracle(metric: Metric, arrays: Sequence[Any], expected: float) -> None:
    types = [type_of(a) for a in arrays]
    metric.check(types)
    resolved = metric.resolve(types)
    assert resolved.evaluate(*arrays) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("metric", "arrays", "expected"), METRIC_CASES, ids=lambda x: str(x)[:30])
@pytest.mark.parametrize("batch", [7, 50])
def test_generated_metric_does_not_depend_on_batches(
    metric: Metric, arrays: Sequence[Any], expected: float, batch: int
) -> None:
    resolved = metric.resolve([type_of(a) for a in arrays])
    assert run_metric(resolved, arrays, batch) == pytest.approx(expected, abs=1e-6)


def test_mean_of_a_loss_counts_batches_by_their_rows() -> None:
    metric = Mean().resolve([TensorType.of("f32", ())])
    assert isinstance(metric, BatchMean)
    code = metric.code(["loss"])
    ((_, expression),) = code.sums
    total = sum(
        float(eval(expression, {"loss": torch.tensor(loss), "rows": rows}))
        for loss, rows in ((1.0, 3), (5.0, 1))
    )
    assert eval(code.result, {"total": total, "rows": 4}) == 2.0


@pytest.mark.parametrize(
    ("metric", "types"),
    [
        (Accuracy(), ("f32[b, 7]", "f32[b]")),
        (Accuracy(), ("i64[b, 7]", "i64[b]")),
        (Accuracy(), ("f32[b, 3, 4]", "i64[b]")),
        (Accuracy(), ("f32[b, 3, 4, 5]", "i64[b, 4, 6]")),
        (TopK(8), ("f32[b, 7]", "i64[b]")),
        (TopK(0), ("f32[b, 7]", "i64[b]")),
        (MeanSquaredError(), ("f32[b, 1]", "f32[b]")),
        (MeanSquaredError(), ("f32[b]", "bool[b]")),
        (R2(), ("f32[b, 2]", "f32[b, 2]")),
        (BinaryAccuracy(), ("i64[b]", "i64[b]")),
    ],
    ids=str,
)
def test_metric_refuses_what_it_cannot_compare(metric: Metric, types: tuple[str, str]) -> None:
    parsed = [read_type(text) for text in types]
    assert fault_of(lambda: metric.check(parsed)).text.label


def read_type(text: str) -> TensorType:
    dtype, _, dims = text.rstrip("]").partition("[")
    return TensorType.of(dtype, [int(d) if d.isdigit() else d for d in dims.split(", ")])


def test_everything_is_registered_and_documented() -> None:
    assert {"accuracy", "top_k", "mse", "r2"} <= set(METRICS.names())
    for registry in (SCHEDULES, OPTIMIZERS, METRICS):
        for cls in registry.classes():
            assert cls.summary().endswith((".", "."))
            for option in cls.options():
                assert f"\n- `{option.name}`:" in cls.manual(), (cls, option.name)
