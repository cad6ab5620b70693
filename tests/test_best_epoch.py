"""Which figure chooses the epoch whose weights are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.pytorch.train.script_spec import ScriptSpec
from tests.train_scripts import DINO, VAE, open_train

CONSTANT = 'metric brightness = mean(image), better="higher"\n    metric elbo'


def test_a_figure_that_no_training_changes_chooses_no_epoch(tmp_path: Path) -> None:
    """It would be best in the first epoch, and equal in all others."""
    script = ScriptSpec(open_train(VAE.replace("metric elbo", CONSTANT), tmp_path))
    assert script.monitor.name == "val.elbo"
    assert script.choice == "by val.elbo, higher is better"


@pytest.mark.parametrize(
    ("metric", "chosen"),
    [
        ('metric far = mean(x), better="higher"', "val.loss"),
        ("metric far = mse(teacher(x), zeros([batch, k]))", "val.far"),
        ('metric far = mean(center), better="higher"', "val.far"),
        ("metric far = mse(x, 2 * x)", "val.loss"),
    ],
)
def test_averages_and_buffers_change_with_a_training(
    metric: str, chosen: str, tmp_path: Path
) -> None:
    spec = DINO.replace("batch 24", f"{metric}\n    batch 24")
    assert ScriptSpec(open_train(spec, tmp_path)).monitor.name == chosen


def test_a_net_that_is_frozen_whole_changes_nothing(tmp_path: Path) -> None:
    spec = DINO.replace(
        "batch 24", "metric far = mse(other(x), zeros([batch, k]))\n    freeze other\n    batch 24"
    ).replace("buffer center", "net other = Net(k=k)\n    buffer center")
    assert ScriptSpec(open_train(spec, tmp_path)).monitor.name == "val.loss"
