"""Verdicts on contracts, against SciPy's tests and counted cases; bounds on sizes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from compiler.compression.contracts import (
    Judgement,
    Measured,
    Spread,
    Verdict,
    judge,
    median_interval,
)
from compiler.compression.floors import find_floor
from compiler.compression.wording import format_value
from compiler.driver import check_source
from compiler.program.requirement import Computed, Figure, Quantity, Requirement
from compiler.program.variant import Variant
from compiler.report.diagnostics import CompileError, Message, Severity, Sink
from compiler.report.messages.variants import variant_spec
from compiler.report.source import Source
from tests.checking import check_text
from weft.building.outcomes import Figures
from weft.building.variant_stages import VariantStages

ACCURACY = Figure(None, "test", "accuracy")
BASE = Figure("fit", "test", "accuracy")
RELATIVE = Requirement(ACCURACY, ">=", Computed("-", BASE, Quantity(0.005, "0.5%")))


def make_rows(rows: int, lost: int, won: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What two nets get right: the base all rows but `won`, the variant all but `lost`."""
    own, base = np.ones(rows), np.ones(rows)
    own[:lost] = 0
    base[lost : lost + won] = 0
    return own, base


def judge_rows(
    requirement: Requirement, own: NDArray[np.float64], base: NDArray[np.float64]
) -> Judgement:
    figures = {
        ACCURACY: Measured(float(own.mean()), Spread.ROWS, own, len(own)),
        BASE: Measured(float(base.mean()), Spread.ROWS, base, len(base)),
    }
    return judge(requirement, figures.__getitem__)


def test_a_drop_within_the_bound_passes() -> None:
    judgement = judge_rows(RELATIVE, *make_rows(100_000, 100, 0))
    assert judgement.verdict is Verdict.PASS
    assert not judgement.undecided
    assert judgement.gap == pytest.approx(0.004)


def test_a_drop_beyond_the_bound_fails() -> None:
    judgement = judge_rows(RELATIVE, *make_rows(10_000, 300, 0))
    assert judgement.verdict is Verdict.FAIL
    assert not judgement.undecided


def test_few_rows_decide_nothing_and_say_how_many_would() -> None:
    """At 3 % disagreement a bound of half a point takes thousands of rows."""
    judgement = judge_rows(RELATIVE, *make_rows(400, 6, 6))
    assert judgement.verdict is Verdict.PASS
    assert judgement.undecided
    assert judgement.needed is not None
    assert 3000 < judgement.needed < 6000


def test_the_rows_that_would_decide_do() -> None:
    judgement = judge_rows(RELATIVE, *make_rows(400, 6, 6))
    assert judgement.needed is not None
    factor = judgement.needed / 400 * 1.1
    more = judge_rows(RELATIVE, *make_rows(int(400 * factor), int(6 * factor), int(6 * factor)))
    assert not more.undecided


def test_the_paired_interval_is_that_of_the_difference() -> None:
    """The standard error of a paired difference is known in closed form: (b + c - d²/n) / n²."""
    lost, won, rows = 60, 20, 5000
    judgement = judge_rows(RELATIVE, *make_rows(rows, lost, won))
    assert judgement.interval is not None
    difference = (won - lost) / rows
    error = np.sqrt(lost + won - (won - lost) ** 2 / rows) / rows
    low, high = judgement.interval
    assert (low + high) / 2 == pytest.approx(difference + 0.005, abs=1e-12)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.02)


def test_nets_that_agree_everywhere_are_not_certain() -> None:
    judgement = judge_rows(RELATIVE, *make_rows(180, 0, 0))
    assert judgement.interval is not None
    assert judgement.interval[1] - judgement.interval[0] > 0.01
    assert judgement.undecided


def test_one_row_has_no_interval() -> None:
    loss, other = Figure(None, "test", "loss"), Figure("fit", "test", "loss")
    requirement = Requirement(loss, "<=", Computed("+", other, Quantity(1.0, "1")))
    figures = {
        loss: Measured(1.6, Spread.ROWS, np.array([1.6]), 1),
        other: Measured(1.5, Spread.ROWS, np.array([1.5]), 1),
    }
    judgement = judge(requirement, figures.__getitem__)
    assert judgement.verdict is Verdict.PASS
    assert judgement.interval is None


def test_an_absolute_bound_is_decided_by_the_figure() -> None:
    requirement = Requirement(ACCURACY, ">=", Quantity(0.97, "97%"))
    judgement = judge_rows(requirement, *make_rows(180, 5, 0))
    assert judgement.verdict is Verdict.PASS
    assert judgement.interval is not None
    assert not judgement.undecided
    low, high = (judgement.right + gap for gap in judgement.interval)
    wilson = binomtest(175, 180).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=1e-4)


def test_figures_that_are_counted_have_no_interval() -> None:
    requirement = Requirement(Figure(None, None, "size"), "<=", Quantity(2048, "2KiB"))
    judgement = judge(requirement, lambda figure: Measured(2049.0))
    assert judgement.verdict is Verdict.FAIL
    assert judgement.interval is None
    assert format_value(judgement.gap, requirement.left) == "1 B"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.97214, "0.9721"), (0.0, "0.0000"), (1e-6, "1e-06"), (-4.2e-5, "-4.2e-05")],
)
def test_small_figures_are_not_written_as_zeros(value: float, text: str) -> None:
    assert format_value(value, Figure(None, "val", "loss")) == text


def test_latency_is_held_round_by_round() -> None:
    """A disturbance of the whole machine disturbs both nets and cancels."""
    random = np.random.default_rng(0)
    disturbed = 1 + 5 * random.random(51)
    latency, base = Figure(None, None, "latency"), Figure("fit", None, "latency")
    figures = {
        latency: Measured(float(np.median(disturbed * 1e-3)), Spread.ROUNDS, disturbed * 1e-3),
        base: Measured(float(np.median(disturbed * 2e-3)), Spread.ROUNDS, disturbed * 2e-3),
    }
    requirement = Requirement(latency, "<=", Computed("*", Quantity(0.55, "0.55"), base))
    judgement = judge(requirement, figures.__getitem__)
    assert judgement.verdict is Verdict.PASS
    assert judgement.interval is not None
    assert judgement.interval[1] < 0


def test_the_interval_beside_a_latency_is_that_of_its_median() -> None:
    """Rounds in which both nets slow down move the median of the differences within a round, and
    not the medians that are printed."""
    own = np.array([1.0] * 6 + [4.0] * 5) * 1e-3
    other = np.array([2.0] * 6 + [9.0] * 5) * 1e-3
    latency, base = Figure(None, None, "latency"), Figure("fit", None, "latency")
    figures = {
        latency: Measured(float(np.median(own)), Spread.ROUNDS, own),
        base: Measured(float(np.median(np.sort(other)[::-1])) * 3, Spread.ROUNDS, other),
    }
    judgement = judge(Requirement(latency, "<=", base), figures.__getitem__)
    assert judgement.shown == median_interval(own)
    assert judgement.shown[0] <= judgement.left <= judgement.shown[1]
    quotient = Computed("/", latency, base)
    judged = judge(Requirement(quotient, "<=", Quantity(1.0, "1")), figures.__getitem__)
    assert judged.shown is None


def test_resampled_figures_have_the_interval_of_their_quantiles() -> None:
    samples = np.random.default_rng(1).normal(0.8, 0.01, 400)
    measured = Measured(0.8, Spread.RESAMPLED, samples, 1000)
    requirement = Requirement(ACCURACY, ">=", Quantity(0.7, "0.7"))
    interval = judge(requirement, lambda figure: measured).interval
    assert interval is not None
    assert interval == pytest.approx((0.8 - 1.96 * 0.01 - 0.7, 0.8 + 1.96 * 0.01 - 0.7), abs=4e-3)


@given(st.integers(20, 400), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_interval_of_a_median_holds_it(count: int, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(size=count)
    low, high = median_interval(samples)
    assert low <= np.median(samples) <= high


def test_the_interval_of_a_median_covers_the_true_one() -> None:
    random = np.random.default_rng(0)
    intervals = [median_interval(random.normal(size=51)) for _ in range(400)]
    covered = sum(low <= 0 <= high for low, high in intervals)
    assert covered >= 0.93 * 400


# --- bounds before any work -----------------------------------------------------------------------


def find_refusals(clauses: str, rest: str = "") -> list[Message]:
    sink = Sink()
    check_source(Source("spec.weft", variant_spec(clauses, rest)), sink=sink)
    return [message for message in sink.messages if message.severity is Severity.ERROR]


def find_codes(clauses: str, rest: str = "") -> list[str]:
    return [message.code for message in find_refusals(clauses, rest)]


def test_a_size_below_the_parameters_is_refused_at_once() -> None:
    (message,) = find_refusals("apply quantize(int8)  require size <= 256B")
    assert message.code == "W1171"
    assert message.text.label == "at least 2.6 KiB: 2,368 numbers at 8 bits, with labels and frame"


@pytest.mark.parametrize(
    ("passes", "numbers", "bits"),
    [
        ("finetune(epochs=1)", 32 * 64 + 10 * 32, 32),
        ("quantize(int8)", 32 * 64 + 10 * 32, 8),
        ("quantize(stored4)", 32 * 64 + 10 * 32, 4),
        ("quantize(weights4) -> finetune(epochs=1)", 32 * 64 + 10 * 32, 4),
        ("prune(channels=50%)", 16 * 64 + 10 * 16, 32),  # inputs and outputs stay
        # A third of both sides; two ninths where the meter may round once more.
        ("finetune(epochs=1) -> prune(channels=50%)", 10 * 21 + 3 * 10, 32),
        ('finetune(epochs=1) -> prune(channels=50%, round_to="fastest")', 7 * 14 + 2 * 7, 32),
        ("prune(weights=90%) -> quantize(stored8)", 32 * 64 + 10 * 32, 8),
        ("prune(zeros=true)", 1 + 1, 32),
        ("low_rank(energy=90%)", 64 + 32 + 32 + 10, 32),
        ("search([prune, quantize(stored8)])", 1 + 1, 1),
    ],
)
def test_what_passes_leave_at_least(passes: str, numbers: int, bits: float) -> None:
    program = check_text(variant_spec(f"apply {passes}  require size <= 1MiB"))
    floor = find_floor(program.variants["tiny"])
    assert (floor.numbers, floor.bits) == (numbers, bits)


def test_a_bound_that_can_hold_is_not_refused() -> None:
    assert find_codes("apply quantize(int8)  require size <= 4KiB") == []
    assert find_codes("apply quantize(int8)  require size <= 0.01 * fit.size") == []
    assert find_codes("apply quantize(int8)  require size >= 10B") == []


def test_labels_are_part_of_the_file() -> None:
    labels = 'deploy tiny as onnx { labels ["a rather long name number {i}" for i in 0..10] }\n'
    clauses = "apply quantize(int8)  require 2700B >= size"
    assert find_codes(clauses) == []
    assert find_codes(clauses, labels) == ["W1171"]


def test_a_figure_of_a_dropped_output_is_a_diagnostic() -> None:
    stages = object.__new__(VariantStages)
    variant = cast(Variant, SimpleNamespace(name="tiny"))
    with pytest.raises(CompileError) as refused:
        stages.look_up(Figure(None, "test", "accuracy"), variant, {"tiny": Figures({}, {})})
    (message,) = refused.value.messages
    assert message.code == "W1326"
    assert "`accuracy` of `tiny`" in message.text.title


TWO_OUTPUTS = """
model Net() {
    input image: f32[batch, 8, 8]
    h = image -> flatten -> dense(16) as stem -> relu
    output logits = h -> dense(10) as head
    output norm = mean(h, 1)
}
data digits {
    source sklearn("digits")
    image = image / 16
    wanted = cast(label, f32)
    split random(seed=0), train=80%, val=20%
}
train fit of Net on digits {
    minimize cross_entropy(logits, label) with sgd(lr=0.1)
    metric accuracy = accuracy(logits, label)
    metric distance = mae(norm, wanted)
    batch 64  epochs 1
}
variant tiny of fit { apply quantize(stored8)  require REQUIRED }
deploy tiny as onnx { outputs KEPT }
"""


@pytest.mark.parametrize(
    ("required", "kept", "fits"),
    [
        ("val.accuracy >= 50%", "logits", True),
        ("val.accuracy >= 50%", "norm, logits", True),
        ("val.accuracy >= 50%", "norm", False),
        ("val.distance <= 9", "norm", True),
        ("val.distance <= 9", "logits", False),
        ("val.accuracy >= fit.val.accuracy - 1%", "norm", False),
        ("size <= 1MiB and val.loss <= 9", "norm", False),
        ("size <= 1MiB and latency <= 1s", "norm", True),
    ],
)
def test_outputs_that_contracts_read_are_kept(required: str, kept: str, fits: bool) -> None:
    text = TWO_OUTPUTS.replace("REQUIRED", required).replace("KEPT", kept)
    sink = Sink()
    check_source(Source("net.weft", text), sink=sink)
    found = {(m.code, m.span.source.position(m.span.start)[0]) for m in sink.messages if m.span}
    assert found == (set() if fits else {("W1326", 20)})
