"""Schedules that a spec writes out, as formulas of the step and the epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from compiler.driver import check
from compiler.report.diagnostics import Severity, Sink
from compiler.rows.validation import validate_data
from compiler.training.base import Schedule
from tests.train_scripts import lint, open_train, run, write

SPEC = """
model Net {{
    input features: f32[batch, 4]
    output logits: f32[batch, 10] = features -> dense(10)
}}
data iris {{
    source npz("iris.npz")
    split random(seed=0), train=64%, val=18%, test=18%
}}
train fit(decay: float = 0.9, ramp: int = 4) of Net on iris {{
    minimize cross_entropy(logits, label) with sgd(lr=0.01, schedule={schedule})
    batch 24  epochs {epochs}
}}
"""
IRIS = """source npz("iris.npz")"""
DIGITS = """
    source sklearn("digits")
    features = reshape(image[0, :4] / 16, [4])
"""
STEPS, PER_EPOCH = 40, 8


def read(schedule: str, folder: Path) -> Schedule:
    """The schedule that a spec gives its optimizer."""
    path = folder / "spec.weft"
    path.write_text(SPEC.format(schedule=schedule, epochs=5).replace(IRIS, DIGITS))
    program = check(str(path), overrides={}, sink=(sink := Sink()))
    assert program is not None, [str(m.text.title) for m in sink.messages]
    return program.trains["fit"].groups[0].optimizer.schedule


def refusals(schedule: str, folder: Path) -> list[str]:
    path = folder / "spec.weft"
    path.write_text(SPEC.format(schedule=schedule, epochs=5).replace(IRIS, DIGITS))
    check(str(path), overrides={}, sink=(sink := Sink()))
    return [f"{m.text.title}: {m.text.label}" for m in sink.messages if m.code != "W1001"]


CASES: list[tuple[str, Callable[[int], float]]] = [
    ("decay ** epoch", lambda s: 0.9 ** (s // PER_EPOCH)),
    ("1 / sqrt(step + 1)", lambda s: 1 / math.sqrt(s + 1)),
    ("0.5 * (1 + cos(pi * step / steps))", lambda s: 0.5 * (1 + math.cos(math.pi * s / STEPS))),
    (
        "if step < ramp then (step + 1) / ramp else max(0.1, 1 - step / steps)",
        lambda s: (s + 1) / 4 if s < 4 else max(0.1, 1 - s / STEPS),
    ),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("text", "factor"), CASES, ids=[text for text, _ in CASES])
def test_it_is_torchs_lambda(text: str, factor: Callable[[int], float], tmp_path: Path) -> None:
    schedule = read(text, tmp_path)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    generated = run_code(schedule)
    for step in range(STEPS):
        rate = optimizer.param_groups[0]["lr"]
        assert schedule.multiplier(step, STEPS, PER_EPOCH) == pytest.approx(rate, abs=1e-12)
        assert generated(step) == pytest.approx(rate, abs=1e-12)
        optimizer.step()
        scheduler.step()


def run_code(schedule: Schedule) -> Callable[[int], float]:
    body = "\n    ".join(schedule.code("steps", "per_epoch"))
    names: dict[str, Any] = {"math": math, "steps": STEPS, "per_epoch": PER_EPOCH}
    exec(f"def learning_rate(step):\n    {body}", names)
    return names["learning_rate"]  # type: ignore[no-any-return]


def test_operators_bind_as_in_the_language(tmp_path: Path) -> None:
    for text, expected in [
        ("1 - (step - 2) - (3 - step)", [0.0, 0.0]),
        ("2 ** 3 ** (step - step)", [2.0, 2.0]),
        ("-(-2) ** 2 + 4 + step", [0.0, 1.0]),
        ("(step + 1) / 2 * 4 % 3", [2.0, 1.0]),
        ("1 * (2 * (step + 3) // 4)", [1.0, 2.0]),
        ("if not (step < 1 or step > 5) and step == 1 then 3 else 4", [4.0, 3.0]),
    ]:
        schedule = read(text, tmp_path)
        generated = run_code(schedule)
        found = [schedule.multiplier(step, STEPS, PER_EPOCH) for step in range(2)]
        assert found == [generated(0), generated(1)] == expected, text


def test_a_warm_up_is_a_factor(tmp_path: Path) -> None:
    schedule = read("expression(decay ** epoch, warmup=10%)", tmp_path)
    generated = run_code(schedule)
    for step in range(STEPS):
        expected = 0.9 ** (step // PER_EPOCH) * min(1, (step + 1) / 5)
        assert schedule.multiplier(step, STEPS, PER_EPOCH) == pytest.approx(expected)
        assert generated(step) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqrt(step) * logits", "cannot compute with this: this is a tensor"),
        ('step * "a"', 'cannot compute with this: this is the string "a"'),
        ("max(step)", "cannot compute with this: this is `max(step)`"),
        ("sqrt(x=step)", "cannot compute with this: this is `sqrt(x=step)`"),
        ("gamma(step)", "cannot compute with this"),
        ("5epochs * step", "cannot compute with this: this is 5epochs"),
        ("step + decy", "unknown name `decy`"),
        ("step - 5", "must be a finite number, 0 or above, at step 0: is -5"),
        ("1 / epoch", "at step 0: is nan"),
        ("(-2) ** (step + 0.5)", "at step 0: is nan"),
        ("10.0 ** (400 + step)", "at step 0: is nan"),
        ("expression(1, warmup=120%)", "`warmup` of `expression` must be at most 100%"),
    ],
)
def test_what_is_no_formula(text: str, expected: str, tmp_path: Path) -> None:
    (found,) = refusals(text, tmp_path)
    assert expected in found


@pytest.mark.parametrize(
    ("word", "old", "new", "place"),
    [
        ("steps", "train fit(", "let steps = 10\ntrain fit(", "steps"),
        ("step", "ramp: int = 4", "step: int = 4", "step"),
        ("epoch", "decay: float", "epoch: float", "epoch"),
        ("steps", "    minimize", "    steps = 3\n    minimize", "steps"),
        ("step", "    source", "    step = label + 1\n    source", "step"),
    ],
    ids=["let", "parameter", "first parameter", "own let", "column"],
)
def test_a_name_of_the_training_has_no_other_meaning(
    word: str, old: str, new: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / "spec.weft"
    text = SPEC.format(schedule=f"1 / ({word} + 1)", epochs=5).replace(IRIS, DIGITS)
    assert check_codes(path, text) == []
    assert check_codes(path, text.replace(old, new, 1)) == ["W1474"]
    check(str(path), overrides={}, sink=(sink := Sink()))
    (found,) = (m for m in sink.messages if m.code == "W1474")
    assert found.span is not None
    assert found.span.text == word
    (label,) = found.text.labels
    assert label.span is not None
    assert label.span.text.startswith(place)
    assert label.span.start < found.span.start


def test_what_is_no_value_may_have_a_name_of_the_training(tmp_path: Path) -> None:
    text = SPEC.format(schedule="1 / (step + 1)", epochs=5).replace(IRIS, DIGITS)
    block = "block step(x: f32[...]) {\n    return x * 2\n}\n"
    text = block + text.replace("-> dense(10)", "-> step -> dense(10)")
    assert check_codes(tmp_path / "spec.weft", text) == []


def check_codes(path: Path, text: str) -> list[str]:
    path.write_text(text)
    check(str(path), overrides={}, sink=(sink := Sink()))
    return [m.code for m in sink.messages if m.severity is Severity.ERROR]


def test_several_faults_at_once(tmp_path: Path) -> None:
    assert len(refusals("step * logits + max(step) + foo", tmp_path)) == 3


def test_a_script_follows_it(tmp_path: Path) -> None:
    text = "if step < ramp then 0.5 else decay ** epoch * (1 - step / steps)"
    folder = write(SPEC.format(schedule=text, epochs=3), tmp_path)
    lint(folder)
    assert run(folder, "out").returncode == 0
    log = [json.loads(line) for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]
    steps = (3, 7, 11)  # the last of each epoch
    rates = [0.01 * (0.5 if s < 4 else 0.9 ** (s // 4) * (1 - s / 12)) for s in steps]
    assert [record["lr"] for record in log] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1 - epoch / 3", "-0.3333 at epoch 4"),
        ("1 / (2 - epoch)", "nan at epoch 2"),
        ("if epoch < 4 then 1 else -1", "-1 at epoch 4"),
        ("3 - step", "-1 at step 4"),  # every epoch has a step
    ],
)
def test_what_is_certain_is_refused_by_the_check(text: str, place: str, tmp_path: Path) -> None:
    (found,) = refusals(text, tmp_path)
    assert f"the schedule gives the factor {place}: one of the 5 epochs of `fit`" in found
    assert refusals(f"if epoch + step < 2 then {text} else 0.1", tmp_path) == []


@pytest.mark.parametrize("step", ["finetune(epochs={})", "distill(epochs={})"])
def test_a_schedule_that_another_training_follows(step: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.weft"
    text = SPEC.format(schedule="1 - epoch / 6", epochs=5).replace(IRIS, DIGITS)
    variant = "variant small of fit {{\n    apply prune(weights=50%) -> {}\n}}\n"
    assert check_codes(path, text + variant.format(step.format(7))) == []
    assert check_codes(path, text + variant.format(step.format(8))) == ["W1475"]
    check(str(path), overrides={}, sink=(sink := Sink()))
    (found,) = (m for m in sink.messages if m.code == "W1475")
    assert found.span is not None
    assert found.span.text == step.format(8)


def test_what_follows_from_the_rows_is_refused_before_training(tmp_path: Path) -> None:
    for text, codes in [
        ("1 - step / 6", ["W1475"]),
        ("1 - step / steps", []),
        ("1 - (step + 2) / steps", ["W1475"]),  # the last step of twelve
        ("1 - step / 11", []),
        ("1 - (step + epoch) / 11", ["W1475"]),
    ]:
        train = open_train(SPEC.format(schedule=text, epochs=3), tmp_path)
        validate_data(train, sink := Sink())
        assert [m.code for m in sink.messages if m.severity is Severity.ERROR] == codes, text


def test_a_long_training_is_looked_at_here_and_there(tmp_path: Path) -> None:
    schedule = read("1 - (step + 2) / steps", tmp_path)
    fault = schedule.find_fault(1000, 1_000_000)
    assert fault is not None
    assert fault.place == "step 999,999,999"


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_a_training_without_end_is_looked_at_here_and_there(unit: str, tmp_path: Path) -> None:
    last = 10**18 - 1
    assert read(f"1 - {unit} / {last}", tmp_path).find_fault(last + 1, None) is None
    fault = read(f"1 - {unit} / {last - 1000}", tmp_path).find_fault(last + 1, None)
    assert fault is not None
    assert fault.place == f"{unit} 999,999,999,999,999,999"
    long = " + ".join([f"({unit} - {unit} + 1)"] * 40)
    assert read(f"1 / ({long})", tmp_path).find_fault(last, None) is None


def test_a_script_ends_where_the_factor_is_below_zero(tmp_path: Path) -> None:
    folder = write(SPEC.format(schedule="1 - step / 6", epochs=3), tmp_path)
    done = run(folder, "out")
    assert done.returncode == 1
    assert "the schedule gives the factor -0.16" in done.stderr
    assert "at step 7" in done.stderr
    assert "Traceback" not in done.stderr
