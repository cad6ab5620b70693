"""Penalties of weights: terms of the loss of a step, against their formulas and Keras' meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from backends.pytorch.run.running import read_metrics
from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.report.messages.items import setting_range
from compiler.report.messages.training import pattern_matches_nothing
from compiler.report.messages.tuning import nothing_to_regularize
from compiler.training.base import REGULARIZERS, Penalty
from compiler.training.registry import load_training
from compiler.training.regularizers import L1, L2, ElasticNet
from tests.train_scripts import (
    NETS,
    PLAIN,
    assert_two_processes_agree,
    lint,
    load_state,
    open_train,
    run,
    save_data,
    write,
    write_shared,
)

load_training()
PENALTIES: list[Penalty] = [L1(0.3), L2(0.2), ElasticNet(0.1, 0.4)]


def make_text(*clauses: str, optimizer: str = "sgd(lr=0.1)", epochs: int = 2) -> str:
    """A train with these clauses."""
    text = PLAIN.replace("OPTIMIZER", optimizer).replace("epochs 6", f"epochs {epochs}")
    return text.replace("    batch", "".join(f"    {clause}\n" for clause in clauses) + "    batch")


def train(text: str, folder: Path) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
    """The figures of the epochs, and the last weights."""
    folder.mkdir()
    write(text, folder)
    lint(folder)
    done = run(folder, "run")
    assert done.returncode == 0, done.stderr
    kept = {k: v.numpy() for k, v in load_state(folder / "run")["model"].items()}
    return list(read_metrics(folder / "run" / "metrics.jsonl")), kept


def test_every_penalty_is_tried() -> None:
    penalties = {cls for cls in REGULARIZERS.classes() if issubclass(cls, Penalty)}
    assert penalties == {type(penalty) for penalty in PENALTIES}


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_code_is_the_formula(penalty: Penalty) -> None:
    weight = np.random.default_rng(0).normal(size=(5, 3))
    names = [name for name, _ in penalty.strengths]
    code = penalty.code("w", names)
    found = eval(code, {"w": torch.tensor(weight), **dict(penalty.strengths)})
    assert penalty.measure(weight) == pytest.approx(found.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("clause", "penalties", "paths"),
    [
        ("regularize l1(0.05)", [L1(0.05)], ["hidden.weight", "head.weight"]),
        ('regularize l2(0.3) over "hidden"', [L2(0.3)], ["hidden.weight"]),
        ('regularize l2(0.3) over "hidden.bias"', [L2(0.3)], ["hidden.bias"]),
        ('regularize l2(0.3) over "*.bias"', [L2(0.3)], ["hidden.bias", "head.bias"]),
        (
            'regularize elastic_net(l1=0.1, l2=0.2) over "head.weight", "head.bias"',
            [ElasticNet(0.1, 0.2)],
            ["head.weight", "head.bias"],
        ),
        (
            "regularize l1(0.1)  regularize l2(0.2)",
            [L1(0.1), L2(0.2)],
            ["hidden.weight", "head.weight"],
        ),
    ],
)
def test_the_loss_of_a_step_has_the_penalty(
    clause: str, penalties: Sequence[Penalty], paths: Sequence[str], tmp_path: Path
) -> None:
    slow = "sgd(lr=1e-12)"
    with_it, weights = train(make_text(clause, optimizer=slow), tmp_path / "with")
    without, _ = train(make_text(optimizer=slow), tmp_path / "without")
    expected = sum(p.measure(weights[path].astype(np.float64)) for p in penalties for path in paths)
    for one, other in zip(with_it, without, strict=True):
        assert one["train.loss"] - other["train.loss"] == pytest.approx(expected, rel=1e-5)
        assert one["val.loss"] == pytest.approx(other["val.loss"], rel=1e-6)


def test_squares_are_a_weight_decay_of_sgd(tmp_path: Path) -> None:
    text = make_text('regularize l2(0.05) over "hidden.weight"')
    _, penalized = train(text, tmp_path / "penalty")
    decay = 'sgd(lr=0.1, weight_decay=0.1) over "hidden.weight" with sgd(lr=0.1)'
    _, decayed = train(make_text(optimizer=decay), tmp_path / "decay")
    _, plain = train(make_text(), tmp_path / "plain")
    for path, weight in penalized.items():
        np.testing.assert_allclose(weight, decayed[path], rtol=1e-4, atol=1e-6)
    assert np.abs(plain["hidden.weight"] - penalized["hidden.weight"]).max() > 0.01


def test_both_at_once_are_the_elastic_net(tmp_path: Path) -> None:
    _, both = train(make_text("regularize l1(0.01)  regularize l2(0.02)"), tmp_path / "both")
    _, net = train(make_text("regularize l1_l2(l1=0.01, l2=0.02)"), tmp_path / "net")
    for path, weight in both.items():
        np.testing.assert_allclose(weight, net[path], rtol=1e-4, atol=1e-6)


def test_penalties_stand_beside_a_group_lasso_and_frozen_weights(tmp_path: Path) -> None:
    clauses = ('regularize group_lasso(0.01) over "head"  regularize l2(0.1)', 'freeze "hidden"')
    fit = open_train(make_text(*clauses), tmp_path)
    assert [r.layers for r in fit.regularizers] == [
        (("head.weight", "head.bias"),),
        (("head.weight",),),
    ]
    _, weights = train(make_text(*clauses), tmp_path / "run")
    assert np.isfinite(weights["head.weight"]).all()


def test_mixed_precision_leaves_penalties_alone(tmp_path: Path) -> None:
    records, _ = train(make_text("regularize l1(0.05)", "precision bf16"), tmp_path / "run")
    plain, _ = train(make_text("regularize l1(0.05)"), tmp_path / "plain")
    assert records[-1]["train.loss"] == pytest.approx(plain[-1]["train.loss"], rel=0.02)


@pytest.mark.parametrize("text", [PLAIN.replace("OPTIMIZER", "adamw(lr=0.02)"), NETS])
def test_two_processes_give_what_one_gives(text: str, tmp_path: Path) -> None:
    text = text.replace("    batch", "    regularize elastic_net(l1=0.001, l2=0.01)\n    batch")
    folder = write_shared(text, tmp_path)
    lint(folder)
    assert_two_processes_agree(folder, "train.loss", "val.loss", "val.accuracy")


@pytest.mark.parametrize(
    ("clause", "kind"),
    [
        ("regularize l1(0)", setting_range),
        ("regularize l2(-0.1)", setting_range),
        ("regularize elastic_net(l1=0, l2=0.1)", setting_range),
        ('regularize l2(0.1) over "hiden"', pattern_matches_nothing),
        ('regularize l2(0.1) over "hidden"  freeze "hidden"', nothing_to_regularize),
    ],
)
def test_penalties_of_nothing_are_refused(clause: str, kind: object, tmp_path: Path) -> None:
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(make_text(clause))
    sink = Sink()
    check(tmp_path / "spec.weft", overrides={}, sink=sink)
    assert [message.kind for message in sink.messages] == [kind]
