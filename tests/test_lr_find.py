"""`weft lr-find`: rates that grow, the loss beside them, and what is suggested."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from backends.pytorch.run.rates import FoundRate, Probe
from compiler.report.diagnostics import CompileError
from tests.train_scripts import GAN, NETS, PLAIN, lint, save_data
from weft.cli.main import app

SGD = PLAIN.replace("OPTIMIZER", "sgd(lr=0.3, momentum=0.9, schedule=cosine(warmup=2epochs))")

GROWING = ("--from", "1e-4", "--to", "100", "--steps", "60", "--format=json")


def find(text: str, folder: Path, *options: str) -> tuple[str, list[str]]:
    save_data(folder)
    (folder / "spec.weft").write_text(text)
    out = str(folder / "out")
    given = ["lr-find", str(folder / "spec.weft"), "-o", out, "--device", "cpu", *options]
    done = CliRunner().invoke(app, given)
    if isinstance(done.exception, CompileError):
        return done.output, [m.code for m in done.exception.messages]
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output, []


def test_rates_grow_and_losses_are_those_of_the_training(tmp_path: Path) -> None:
    """The weights are the ones that a training begins with; the first loss is of these."""
    said, _ = find(SGD, tmp_path, *GROWING)
    found = json.loads(said)["fit"]
    rates = [rate for rate, _, _ in found["probes"]]
    ratio = 1e6 ** (1 / 59)
    assert rates == pytest.approx([1e-4 * ratio**k for k in range(len(rates))])
    assert len(rates) < 60, "it ends where the loss has grown"
    mean = 0.0
    for step, (_, loss, smooth) in enumerate(found["probes"], 1):
        mean = 0.98 * mean + 0.02 * loss
        assert smooth == pytest.approx(mean / (1 - 0.98**step))
    assert 1e-3 < found["steepest"] < 3
    folder = tmp_path / "out" / "fit-lr-find"
    lint(folder)
    assert "<svg" in (folder / "report.html").read_text()
    assert not (tmp_path / "out" / "fit").exists()
    again, _ = find(
        SGD, tmp_path, "--from", "1e-4", "--to", "100", "--steps", "60", "--format=json"
    )
    assert json.loads(again) == json.loads(said)


def test_groups_keep_the_ratio_of_their_rates(tmp_path: Path) -> None:
    """Of two optimizers, in nets that load and freeze weights, accumulated, with `until`."""
    text = NETS.replace("batch 24", "batch 24  accumulate 2  until stalled(val.loss, epochs=1)")
    said, faults = find(text, tmp_path, "--steps", "30", "--from", "1e-3", "--to", "0.1")
    assert not faults
    script = (tmp_path / "out" / "fit-lr-find" / "train.py").read_text()
    rates = re.search(r"LEARNING_RATES = \[(.+), (.+)\]", script)
    assert rates is not None
    assert float(rates[1]) == 1e-3
    assert float(rates[2]) == pytest.approx(1e-2)
    assert "fit: " in said


def test_the_steepest_fall_and_the_tenth() -> None:
    """Of a curve whose fall is known: as a logistic function of the logarithm, around 1e-2."""
    rates = torch.logspace(-6, 0, 121).double()
    losses = 2 - nn.functional.sigmoid(3 * (rates.log10() + 2)) + 5 * (rates - 0.3).clamp(min=0)
    probes = [Probe(r, v, v) for r, v in zip(rates.tolist(), losses.tolist(), strict=True)]
    found = FoundRate(probes)
    assert found.steepest == pytest.approx(1e-2, rel=0.2)
    lowest = rates[losses.argmin()].item()
    assert found.tenth == pytest.approx(lowest / 10)
    rising = [Probe(p.rate, -p.loss, float(k)) for k, p in enumerate(probes)]
    assert FoundRate(rising).steepest is None
    assert FoundRate(rising).tenth is None
    assert FoundRate([]).steepest is None


@pytest.mark.parametrize(
    ("text", "options", "codes"),
    [
        (SGD, ("--from", "0"), ["W1580"]),
        (SGD, ("--from", "1", "--to", "1"), ["W1580"]),
        (SGD, ("--to", "inf"), ["W1580"]),
        (SGD, ("--from", "nan"), ["W1580"]),
        (GAN, (), ["W1581"]),
        (PLAIN.replace("OPTIMIZER", "lbfgs()"), (), ["W1581"]),
        (SGD, ("fot",), ["W0904"]),
    ],
)
def test_refusals(text: str, options: tuple[str, ...], codes: list[str], tmp_path: Path) -> None:
    assert find(text, tmp_path, *options)[1] == codes


def test_a_search_that_fails_says_what_a_training_says(tmp_path: Path) -> None:
    """Here in the first step: the loss is no number."""
    text = SGD.replace("cross_entropy(logits, label)", "cross_entropy(logits / 0, label)")
    said, _ = find(text, tmp_path, "--steps", "20")
    assert "falls at no rate" in said
