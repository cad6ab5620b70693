"""`layer_decay`: rates that fall from the last layer to the first, as groups of parameters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compiler.program.train import Train
from tests.checking import check_text
from tests.train_scripts import (
    assert_same,
    assert_two_processes_agree,
    load_state,
    open_train,
    run,
    share,
    write,
)

SPEC = """
model Tiny(d: int = 8, depth: int = 3) {
    input features: f32[batch, 4]
    param token: f32[1, d] = normal(0.02)
    param place: f32[1, d] = normal(0.02)
    h = (features -> dense(d) as stem) + token + place
    for i in 0..depth {
        h = h + (h -> layer_norm as norm[i] -> dense(d) as blocks[i] -> tanh)
    }
    output logits: f32[batch, 3] = h -> layer_norm as last -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=27
}
train fit of Tiny on iris {
    minimize cross_entropy(logits, label) with OPTIMIZER
    batch 24  epochs 3  seed 0
}
"""


def open_decayed(optimizer: str, folder: Path, spec: str = SPEC) -> Train:
    return open_train(spec.replace("OPTIMIZER", optimizer), folder)


def list_groups(train: Train) -> list[tuple[float, list[str]]]:
    (step,) = train.steps
    return [(g.optimizer.lr, list(train.find_held(step, g))) for g in step.groups]


def test_layers_are_counted_as_they_are_applied(tmp_path: Path) -> None:
    """As BEiT counts them: the last one has the whole rate; weights of the model itself and norms
    count with the layer before them."""
    train = open_decayed("adamw(lr=1e-2), layer_decay=0.5", tmp_path)
    both = ["weight", "bias"]
    assert list_groups(train) == [
        (
            0.01 * 0.5**4,
            ["token", "place", *(f"stem.{n}" for n in both), *(f"norm.0.{n}" for n in both)],
        ),
        (0.01 * 0.5**3, [f"{s}.{n}" for s in ("blocks.0", "norm.1") for n in both]),
        (0.01 * 0.5**2, [f"{s}.{n}" for s in ("blocks.1", "norm.2") for n in both]),
        (0.01 * 0.5, [f"{s}.{n}" for s in ("blocks.2", "last") for n in both]),
        (0.01, ["head.weight", "head.bias"]),
    ]


def test_every_parameter_is_in_one_group(tmp_path: Path) -> None:
    for optimizer in (
        "adamw(lr=1e-2), layer_decay=75%",
        'sgd(lr=0.1) over "head.*" with adamw(lr=1e-2), layer_decay=0.9',
        'adamw(lr=1e-2), layer_decay=0.8 over "blocks.*" with sgd(lr=0.1)',
    ):
        train = open_decayed(optimizer, tmp_path)
        held = [path for _, paths in list_groups(train) for path in paths]
        assert sorted(held) == sorted(train.trainable)


def test_a_group_counts_its_own_layers(tmp_path: Path) -> None:
    train = open_decayed(
        'adamw(lr=1e-2), layer_decay=0.8 over "blocks.*" with sgd(lr=0.1)', tmp_path
    )
    rates = {paths[0]: rate for rate, paths in list_groups(train)}
    assert rates["blocks.2.weight"] == 0.01
    assert rates["blocks.1.weight"] == pytest.approx(0.008)
    assert rates["blocks.0.weight"] == pytest.approx(0.0064)
    assert rates["token"] == 0.1


def test_frozen_layers_are_left_out(tmp_path: Path) -> None:
    spec = SPEC.replace("batch 24", 'freeze "stem.*"  batch 24')
    train = open_decayed("adamw(lr=1e-2), layer_decay=0.5", tmp_path, spec)
    assert "stem.weight" not in list_groups(train)[0][1]


def test_order_is_that_of_the_graph_and_not_of_the_text(tmp_path: Path) -> None:
    spec = (
        """
model Two {
    input features: f32[batch, 4]
    net late = dense(3)
    net early = dense(8)
    output logits: f32[batch, 3] = late(tanh(early(features)))
}
"""
        + SPEC.partition("}\ndata")[1].lstrip("}\n")
        + SPEC.partition("}\ndata")[2].replace("Tiny", "Two")
    )
    train = open_decayed("sgd(lr=0.1), layer_decay=0.1", tmp_path, spec)
    assert [(rate, paths[0]) for rate, paths in list_groups(train)] == [
        (0.01, "early.weight"),
        (0.1, "late.weight"),
    ]


def test_it_trains_resumes_and_is_shared(tmp_path: Path) -> None:
    spec = SPEC.replace("OPTIMIZER", "adamw(lr=1e-2, schedule=cosine), layer_decay=0.7")
    folder = write(share(spec), tmp_path)
    text = (folder / "train.py").read_text()
    assert 'name.startswith(("stem.", "norm.0.")) or name in ("token", "place")' in text
    assert_two_processes_agree(folder, "val.loss")
    state = load_state(folder / "one")
    rates = [group["lr"] for group in state["optimizer"]["param_groups"]]
    assert rates == pytest.approx([rates[-1] * 0.7**k for k in (4, 3, 2, 1, 0)], rel=1e-5)
    assert len(state["optimizer"]["param_groups"][0]["params"]) == 6
    cut = text.replace("while len(history) < EPOCHS", "while len(history) < 2")
    (folder / "train.py").write_text(cut)
    assert run(folder, "cut").returncode == 0
    (folder / "train.py").write_text(text)
    assert run(folder, "cut", "--resume").returncode == 0
    assert_same(load_state(folder / "cut")["model"], state["model"])


@pytest.mark.parametrize(
    ("optimizer", "code"),
    [
        ("adamw(lr=1e-2), layer_decay=0", "W0601"),
        ("adamw(lr=1e-2), layer_decay=1.5", "W0601"),
        ('adamw(lr=1e-2), layer_decay="much"', "W0601"),
        ("adamw(lr=1e-2), decay=0.5", "W0208"),
        ("lbfgs(), layer_decay=0.5", "W1439"),
    ],
)
def test_what_makes_no_sense_is_refused(optimizer: str, code: str) -> None:
    spec = re.sub(r"source npz\(.*\)", 'source sklearn("digits")', SPEC)
    spec = spec.replace("train=96, val=27, test=27", "train=80%, val=20%")
    spec = spec.replace("input features: f32[batch, 4]", "input image: f32[batch, 8, 8]")
    spec = spec.replace("features ->", "(image -> flatten) ->").replace(
        "f32[batch, 3]", "f32[batch, 10]"
    )
    spec = (
        spec.replace("dense(3) as head", "dense(10) as head")
        .replace("on iris {\n", "on iris {\n")
        .replace('sklearn("digits")', 'sklearn("digits")\n    image = cast(image, f32)')
    )
    check_text(spec.replace("OPTIMIZER", "adamw(lr=1e-2), layer_decay=1"))
    with pytest.raises(AssertionError, match=code):
        check_text(spec.replace("OPTIMIZER", optimizer))
