"""Optimizer groups and `freeze` of a train, behind passes that put factors in place of layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.compression.base import CompressionContext
from compiler.compression.context import Tuning
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.tuning.preparing import TunedTrain, prepare_tuning
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights, match_paths
from tests.tuned import NET, open_train

SPEC = f"""{NET}
train fit of DigitNet on digits {{
    minimize cross_entropy(logits, label)
        OPTIMIZERS
    CLAUSES
    batch 64  epochs 2  seed 0
}}
"""


def tune(folder: Path, optimizers: str, clauses: str = "", *, teach: bool = False) -> TunedTrain:
    text = SPEC.replace("OPTIMIZERS", optimizers).replace("CLAUSES", clauses)
    train = open_train(text, folder)
    graph = train.nets[0].net.graph
    net = WeightedNet(graph, draw_weights(graph))
    made = LowRank(rank=2).run(net, CompressionContext())
    assert "head.0.weight" in made.graph.parameter
    teacher = net if teach else None
    return prepare_tuning(train, train.nets[0].name, made, Tuning(1, teacher=teacher))


@pytest.mark.parametrize("teach", [False, True])
@pytest.mark.parametrize("pattern", ["head.weight", "head.*", "*.weight", "head"])
def test_a_group_follows_the_factors_of_its_layer(
    tmp_path: Path, pattern: str, *, teach: bool
) -> None:
    optimizers = f'with adamw(lr=1e-3)\n        with sgd(lr=1e-2) over "{pattern}"'
    tuned = tune(tmp_path, optimizers, teach=teach)
    slow = next(g for g in tuned.train.groups if g.optimizer.name == "sgd")
    held = set(tuned.train.find_held(tuned.train.steps[0], slow))
    prefix = tuned.prefix
    assert {f"{prefix}head.0.weight", f"{prefix}head.1.weight"} <= held
    assert (f"{prefix}head.1.bias" in held) == (pattern in ("head.*", "head"))
    others = [g for g in tuned.train.groups if g is not slow]
    assert not any(held & set(tuned.train.find_held(tuned.train.steps[0], g)) for g in others)


def test_factors_of_a_frozen_layer_stay_frozen(tmp_path: Path) -> None:
    tuned = tune(tmp_path, "with adamw(lr=1e-3)", 'freeze "head.weight"')
    frozen = match_paths(tuned.train.trainable, tuned.train.freeze)
    assert frozen == ["head.0.weight", "head.1.weight"]


def test_a_pattern_of_other_layers_stays_as_it_was(tmp_path: Path) -> None:
    optimizers = 'with adamw(lr=1e-3)\n        with sgd(lr=1e-2) over "batch_norm.*"'
    tuned = tune(tmp_path, optimizers)
    patterns = [g.patterns for g in tuned.train.groups if g.optimizer.name == "sgd"]
    assert patterns == [("batch_norm.*",)]
