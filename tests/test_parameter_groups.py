"""Groups of parameters in scripts: `param_groups` of one optimizer where all have one class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from backends.pytorch.run.load import run_source
from backends.pytorch.train.optimizing import emit_optimizers
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from tests.train_scripts import PLAIN, open_train

SHARED = [
    (
        'adamw(lr=0.01, weight_decay=0) over "*.bias" with adamw(lr=0.01, weight_decay=0.5)',
        ({"lr": 0.01, "weight_decay": 0.0}, {"lr": 0.01, "weight_decay": 0.5}),
    ),
    (
        'sgd(lr=0.1, momentum=0.9, nesterov=true) over "*.weight" with sgd(lr=0.2) over "*.bias"',
        (
            {"lr": 0.2, "momentum": 0.0, "nesterov": False},
            {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        ),
    ),
    (
        'sgd(lr=0.1) over "*.bias" with sgd(lr=0.2, momentum=0.9, nesterov=true)',
        (
            {"lr": 0.1, "momentum": 0.0, "nesterov": False},
            {"lr": 0.2, "momentum": 0.9, "nesterov": True},
        ),
    ),
    (
        'lion(lr=0.01, betas=[0.8, 0.9]) over "*.bias" with lion(lr=0.02)',
        ({"lr": 0.01, "betas": (0.8, 0.9)}, {"lr": 0.02, "betas": (0.9, 0.99)}),
    ),
]
"""Groups, and the settings of biases and weights."""


class Net(nn.Module):
    """What `PLAIN` generates."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 16)
        self.head = nn.Linear(16, 3)


@pytest.mark.parametrize(("groups", "settings"), SHARED)
def test_groups_of_one_class_share_an_optimizer(
    groups: str, settings: tuple[dict[str, object], ...], tmp_path: Path
) -> None:
    script = ScriptSpec(open_train(PLAIN.replace("OPTIMIZER", groups), tmp_path))
    text = emit_script(script).replace("from model import Net\n", "")
    made = vars(run_source(text, "grouped")) | {"model": Net()}
    exec("\n".join(emit_optimizers(script)), made)
    optimizer = made["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert "training.optimizers" not in text
    for name, parameter in made["model"].named_parameters():
        (group,) = (g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
        expected = settings[name.endswith("weight")]
        assert {key: group[key] for key in expected} == expected
    for parameter in made["model"].parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def test_rates_of_one_schedule_are_set_together(tmp_path: Path) -> None:
    groups = 'adam(lr=0.01, schedule=cosine()) over "*.bias" with adam(lr=0.02, schedule=cosine())'
    text = emit_script(ScriptSpec(open_train(PLAIN.replace("OPTIMIZER", groups), tmp_path)))
    assert "for group, rate in zip(" in text
    assert text.count("schedule(") == 2


def test_groups_of_other_classes_have_optimizers_of_their_own(tmp_path: Path) -> None:
    groups = 'adam(lr=0.01) over "*.bias" with sgd(lr=0.1)'
    text = emit_script(ScriptSpec(open_train(PLAIN.replace("OPTIMIZER", groups), tmp_path)))
    assert "torch.optim.Adam(group_1" in text
    assert "torch.optim.SGD(group_2" in text
