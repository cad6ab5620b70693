"""Benchmarks begin: what they compare is equal before it is timed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import objectives, train


@pytest.mark.parametrize("name", list(objectives.CASES))
def test_scripts_and_loops_by_hand_train_alike(name: str, tmp_path: Path) -> None:
    """Losses of twenty steps and the weights behind them, within 1e-5."""
    case = replace(objectives.CASES[name], batch=4)
    script, rival = objectives.start(case, tmp_path)
    objectives.compare(case, script, rival)
    assert script.epoch == rival.epoch == 1


def test_a_difference_is_seen(tmp_path: Path) -> None:
    case = replace(objectives.CASES["vae"], batch=4)
    script, rival = objectives.start(case, tmp_path)
    with torch.no_grad():
        next(rival.model.parameters()).mul_(1.01)
    with pytest.raises(AssertionError, match="by hand"):
        objectives.compare(case, script, rival)


def test_loops_of_tutorials_train_alike(tmp_path: Path) -> None:
    case = replace(train.CASES["lenet"], batch=8, steps=2, rounds=1)
    assert set(train.compare(case, tmp_path).timings) == {"generated", "tutorial", "tuned"}
