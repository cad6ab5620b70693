"""Benchmarks begin: what they compare is equal before it is timed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import compression_int8, objectives, processes, train
from benchmarks.networks import Network
from benchmarks.views import make_view


@pytest.mark.parametrize("name", list(objectives.CASES))
def test_scripts_and_loops_by_hand_train_alike(name: str, tmp_path: Path) -> None:
    """Losses of twenty steps and the weights behind them."""
    case = replace(objectives.CASES[name], batch=4)
    script, rival = objectives.check(case, tmp_path)
    assert script.epoch == rival.epoch == 1


def test_views_by_hand_are_those_of_the_script(tmp_path: Path) -> None:
    case = replace(objectives.CASES["simclr"], batch=16)
    script, _ = objectives.start(case, tmp_path)
    (image,) = script.columns
    seeds = [torch.Generator().manual_seed(5) for _ in range(2)]
    made = script.module.view(image, seeds[0])
    torch.testing.assert_close(make_view(image, seeds[1]), made, rtol=0, atol=1e-5)
    assert torch.equal(*(seed.get_state() for seed in seeds))


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


NORMED = """
model M {
    input image: f32[batch, 3, h, w]
    h = image -> conv(4, kernel=9, stride=8) as c -> batch_norm as bn -> relu
    output y = h -> global_avg_pool -> dense(2)
}
"""


def test_random_networks_of_integers_have_the_statistics_of_their_activations(
    tmp_path: Path,
) -> None:
    path = tmp_path / "normed.weft"
    path.write_text(NORMED)
    net = compression_int8.make_net(Network("normed", str(path), None, (3, 8, 8), 1.0))
    image = next(compression_int8.Images("image", 1).batches(8))["image"]
    weight, bias = (torch.from_numpy(net.weights[f"c.{name}"]) for name in ("weight", "bias"))
    found = torch.nn.functional.conv2d(torch.from_numpy(image), weight, bias, stride=8)
    for name, value in (
        ("mean", found.mean((0, 2, 3))),
        ("var", found.var((0, 2, 3), correction=0)),
    ):
        np.testing.assert_allclose(net.weights[f"bn.running_{name}"], value, rtol=1e-4, atol=1e-5)


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """All trains of the examples that need no other data; `python -m benchmarks.processes` takes
    those with data too."""
    texts = {path.stem: path.read_text() for path in processes.EXAMPLES.glob("*.weft")}
    names = [
        name for name, text in texts.items() if "shared/data" not in text and 'use "' not in text
    ]
    shared = list(processes.write_examples(tmp_path, sorted(names)))
    assert len(shared) >= len(names) >= 4
    assert not [each.refusal for each in shared if each.refusal]
    processes.run(shared)
    apart = {each.name: processes.measure(each.folder) for each in shared}
    assert max(apart.values()) < processes.TOLERANCE, apart


def test_what_two_runs_leave_differently_is_measured(tmp_path: Path) -> None:
    one = {"a": torch.tensor([3.0, 4.0]), "b": [1, None], "seconds": 1.0}
    assert processes.find_difference(one, {**one, "seconds": 2.0}) == 0
    assert processes.find_difference(one, {**one, "a": torch.tensor([3.0, 5.0])}) == 0.25
    for other in ({"a": one["a"], "b": [1]}, {"a": one["a"], "b": [1, 2]}, {"a": one["a"]}):
        assert processes.find_difference(one, other) == math.inf
    ended = torch.tensor([3.0, math.nan])
    assert processes.find_difference({"a": ended}, {"a": ended}) == 0
    assert processes.find_difference({"a": ended}, {"a": torch.tensor([3.0, 4.0])}) == math.inf
