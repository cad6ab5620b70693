"""What follows the steps of a training: parts of batches, epochs of so many steps, numbers that
change."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from backends.pytorch.run.running import read_metrics
from backends.pytorch.terms.naming import user_name
from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Node
from compiler.report.diagnostics import Sink
from compiler.rows.moments import settle_moment
from tests.test_train_steps import import_script
from tests.train_scripts import (
    GAN,
    PLAIN,
    VAE,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    open_train,
    run,
    save_data,
    write,
    write_shared,
)

SGD = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9, schedule=cosine(warmup=2epochs))")
LAYERED = GAN.replace("batch_norm", "group_norm(2)")


def train(text: str, folder: Path) -> dict[str, torch.Tensor]:
    """The last weights of a training."""
    folder.mkdir()
    done = run(write(text, folder), "run")
    assert done.returncode == 0, done.stderr
    lint(folder)
    state: dict[str, torch.Tensor] = torch.load(folder / "run" / "last.pt", weights_only=True)[
        "model"
    ]
    return state


def find_codes(text: str, folder: Path) -> list[str]:
    save_data(folder)
    path = folder / "spec.weft"
    path.write_text(text)
    sink = Sink()
    check(path, overrides={}, sink=sink)
    return [m.code for m in sink.messages if m.severity == "error"]


# --- numbers that change with the step ------------------------------------------------------------

MOVING = PLAIN.replace(
    "minimize cross_entropy(logits, label)",
    """slow = linear(0.2, 0.8, over_first=15steps) + 0.1 * epoch
    gate = where(epoch < 3, 0.5, 1.0)
    soft = cosine(2.0, 1.0)
    minimize cross_entropy(logits / soft, label) * slow + gate * mean(tanh(logits * step) ** 2)
        - 0.01 * (step // 3 % 2) * mean(logits)""",
).replace("OPTIMIZER", "sgd(lr=0.1)")


def find_numbers(step: int) -> tuple[float, float, float]:
    """`slow`, `gate` and `soft` at a step from 1, of 24 in 6 epochs of 4 steps."""
    epoch = 1 + (step - 1) // 4
    slow = 0.2 + 0.6 * min(1, (step - 1) / 15) + 0.1 * epoch
    soft = 1 + 0.5 * (1 + math.cos(math.pi * (step - 1) / 24))
    return slow, 0.5 if epoch < 3 else 1.0, soft


def compute_by_hand(logits: Tensor, label: Tensor, step: int) -> Tensor:
    slow, gate, soft = find_numbers(step)
    loss = slow * cross_entropy(logits / soft, label) + gate * ((logits * step).tanh() ** 2).mean()
    return loss - 0.01 * (step // 3 % 2) * logits.mean()


def test_numbers_of_the_step_are_those_of_a_loop_by_hand(tmp_path: Path) -> None:
    """24 steps from the same weights, on the same rows; the objective is evaluated with the
    numbers of the last step."""
    folder = write(MOVING, tmp_path)
    lint(folder)
    assert run(folder, "run").returncode == 0
    script = import_script(folder, "train")
    splits = script.load_splits(folder, folder / "run", "cpu")
    torch.manual_seed(0)
    net = import_script(folder, "model").Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    records = read_metrics(folder / "run" / "metrics.jsonl")
    for epoch, record in enumerate(records, 1):
        order = np.random.default_rng([0, epoch]).permutation(96)
        losses = []
        for place, rows in enumerate(torch.from_numpy(order).split(24)):
            features, label = (column[rows] for column in splits["train"])
            loss = compute_by_hand(net(features), label, 4 * (epoch - 1) + place + 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert record["train.loss"] == pytest.approx(np.mean(losses), rel=1e-5)
        with torch.no_grad():
            parts = zip(*(column.split(24) for column in splits["val"]), strict=True)
            found = [(compute_by_hand(net(x), y, 24).item(), len(x)) for x, y in parts]
        mean = sum(loss * count for loss, count in found) / 27
        assert record["val.loss"] == pytest.approx(mean, rel=1e-5)


def test_what_is_measured_elsewhere_is_the_end_of_the_training(tmp_path: Path) -> None:
    """A loss outside of the script is that of its last step."""
    train = settle_moment(open_train(MOVING, tmp_path), 96)
    assert not any(node.op.of_time for node in train.graph.nodes)
    weights = {
        path: np.zeros(tuple(d.evaluate({}) for d in p.value.type.shape))
        for path, p in train.graph.parameter.items()
    }
    inputs = {"features": np.zeros((24, 4), np.float32), "label": np.zeros(24, np.int64)}
    found: dict[str, Any] = {}

    def watch(node: Node, arrays: tuple[Any, ...]) -> None:
        found[user_name(node.output.name)] = arrays[0]

    evaluate(train.graph, weights, inputs, watch=watch)
    slow, gate, soft = find_numbers(24)
    assert found["slow"] == pytest.approx(slow)
    assert found["gate"] == gate
    assert found["soft"] == pytest.approx(soft)


def test_a_block_is_given_such_a_number_as_a_tensor(tmp_path: Path) -> None:
    """2 before the training is over, whatever the net gives."""
    block = "block weigh(x, w) {\n    return x * 0 + (2 * w) * exp(w - 1)\n}\n"
    text = block + PLAIN.replace("OPTIMIZER", "sgd(lr=0.1)").replace(
        "minimize cross_entropy(logits, label)",
        "w = min(step / 10, 1)\n    minimize mean(weigh(logits, w))",
    )
    train(text, tmp_path / "block")
    records = read_metrics(tmp_path / "block" / "run" / "metrics.jsonl")
    assert [record["val.loss"] for record in records] == [2.0] * 6
    first = np.mean([2 * w * math.exp(w - 1) for w in (0.1, 0.2, 0.3, 0.4)])
    assert records[0]["train.loss"] == pytest.approx(first)


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("= features -> dense(16)", "= (features * step) -> dense(16)", ["W1492"]),
        ("= features -> dense(16)", "= (features * linear(0, 1)) -> dense(16)", ["W1492"]),
        ("dense(3) as head", "linear(3) as head", ["W1492"]),
        ("features -> standardize", "features * epoch", ["W1492"]),
        ("minimize", "sample s = logits * step\n    minimize", ["W1493"]),
        ("sgd(lr=0.1)", "lbfgs", ["W1489"]),
        ("linear(0.2, 0.8", "linear(0.2, nothing", ["W0201"]),
        ("over_first=15steps", "over_first=0steps", ["W0353"]),
        ("over_first=15steps", "over_frist=15steps", ["W0221"]),
    ],
)
def test_numbers_of_the_step_where_there_is_none_are_told(
    old: str, new: str, codes: list[str], tmp_path: Path
) -> None:
    assert old in MOVING
    assert find_codes(MOVING.replace(old, new), tmp_path) == codes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train fit of", "train fit(step: float = 2.0) of"),
        ("model Net", "let step = 2.0\nmodel Net"),
    ],
)
def test_a_name_of_ones_own_hides_the_step(old: str, new: str, tmp_path: Path) -> None:
    text = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1)").replace(
        "entropy(logits", "entropy(step * logits"
    )
    graph = open_train(text.replace(old, new), tmp_path).graph
    assert not any(node.op.of_time for node in graph.nodes)
    assert any(node.op.of_time for node in open_train(text, tmp_path).graph.nodes)


# --- weight decay that moves ----------------------------------------------------------------------


def test_a_weight_decay_that_moves_is_that_of_a_loop_by_hand(tmp_path: Path) -> None:
    """24 steps of AdamW with two groups, killed on the way."""
    optimizers = (
        'adamw(lr=0.02, weight_decay=cosine(0.5, 4.0)) over "head.*" '
        "with adamw(lr=0.01, weight_decay=linear(3.0, 0.0, over_first=2epochs))"
    )
    folder = write(PLAIN.replace("OPTIMIZER", optimizers), tmp_path)
    lint(folder)
    kill_after(folder, "run", 3, signal.SIGKILL)
    assert run(folder, "run", "--resume").returncode == 0
    script = import_script(folder, "train")
    features, label = script.load_splits(folder, folder / "run", "cpu")["train"]
    torch.manual_seed(0)
    net = import_script(folder, "model").Net()
    head = {"params": [*net.head.parameters()], "lr": 0.02}
    optimizer = torch.optim.AdamW([head, {"params": [*net.hidden.parameters()]}], lr=0.01)
    for step in range(24):
        order = np.random.default_rng([0, 1 + step // 4]).permutation(96)
        rows = torch.from_numpy(order)[24 * (step % 4) :][:24]
        decay = 4.0 - 3.5 * 0.5 * (1 + math.cos(math.pi * step / 24))
        optimizer.param_groups[0]["weight_decay"] = decay
        optimizer.param_groups[1]["weight_decay"] = 3.0 * (1 - min(1, step / 8))
        optimizer.zero_grad()
        cross_entropy(net(features[rows]), label[rows]).backward()
        optimizer.step()
    state = torch.load(folder / "run" / "last.pt", weights_only=True)["model"]
    for name, value in net.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("optimizer", "code"),
    [
        ("adamw(weight_decay=cosine(-0.1, 0.4))", "W0601"),
        ("adam(weight_decay=linear(0.1, -0.4))", "W0601"),
        ("sgd(lr=0.1, weight_decay=cosine(0.1, 0.4))", "W0225"),
        ("adamw(lr=cosine(0.1, 0.4))", "W0225"),
        ("adamw(weight_decay=cosine(0.1))", "W0223"),
    ],
)
def test_a_setting_that_cannot_move_is_told(optimizer: str, code: str, tmp_path: Path) -> None:
    assert find_codes(PLAIN.replace("OPTIMIZER", optimizer), tmp_path) == [code]


# --- parts of batches -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"), [(SGD.replace("batch 24", "clip 0.1  batch 24"), 8), (LAYERED, 2)]
)
def test_parts_come_to_the_whole_batch(text: str, parts: int, tmp_path: Path) -> None:
    batch = "batch 64" if "batch 64" in text else "batch 24"
    whole = train(text, tmp_path / "whole")
    divided = train(text.replace(batch, f"accumulate {parts}  {batch}"), tmp_path / "divided")
    for name, value in whole.items():
        torch.testing.assert_close(divided[name], value, rtol=1e-4, atol=1e-5, msg=name)
    records = [
        read_metrics(tmp_path / name / "run" / "metrics.jsonl") for name in ("whole", "divided")
    ]
    for left, right in zip(*records, strict=True):
        for name in left.keys() - {"seconds"}:
            assert right[name] == pytest.approx(left[name], rel=1e-4, abs=1e-6), name


def test_parts_of_a_split_smaller_than_a_batch_count_by_their_rows(tmp_path: Path) -> None:
    """96 rows in parts of 40 rows: 40, 40 and 16."""
    text = SGD.replace("batch 24", "batch 160")
    whole = train(text, tmp_path / "whole")
    divided = train(text.replace("batch 160", "accumulate 4  batch 160"), tmp_path / "divided")
    for name, value in whole.items():
        torch.testing.assert_close(divided[name], value, rtol=1e-4, atol=1e-6, msg=name)


# --- epochs of so many steps ----------------------------------------------------------------------


def test_an_epoch_of_as_many_steps_as_the_rows_make_is_the_usual_one(tmp_path: Path) -> None:
    usual = train(SGD, tmp_path / "usual")
    counted = train(SGD.replace("batch 24", "epoch 4steps  batch 24"), tmp_path / "counted")
    for name, value in usual.items():
        assert torch.equal(counted[name], value), name


@pytest.mark.parametrize(("steps", "epochs"), [(3, 8), (24, 1)])
def test_rows_begin_anew_wherever_an_epoch_ends(steps: int, epochs: int, tmp_path: Path) -> None:
    """24 steps in all, however they are divided."""
    plain = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9)")
    usual = train(plain, tmp_path / "usual")
    said = f"epoch {steps}steps  batch 24  epochs {epochs}"
    counted = train(plain.replace("batch 24  epochs 6", said), tmp_path / "counted")
    for name, value in usual.items():
        assert torch.equal(counted[name], value), name


@pytest.mark.parametrize(
    "text",
    [
        SGD.replace("batch 24  epochs 6", "epoch 7steps  accumulate 3  batch 24  epochs 4"),
        GAN.replace("batch 64  epochs 2", "epoch 7steps  accumulate 2  batch 64  epochs 4").replace(
            "fake = G(code)", "fake = G(code) * cosine(0.2, 1.0)"
        ),
    ],
)
def test_a_killed_training_goes_on_bit_for_bit(text: str, tmp_path: Path) -> None:
    folder = write(text, tmp_path)
    assert run(folder, "whole").returncode == 0
    kill_after(folder, "killed", 2, signal.SIGKILL)
    done = run(folder, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(folder / "whole", folder / "killed")


@pytest.mark.parametrize(
    "text",
    [
        SGD.replace("batch 24  epochs 6", "batch 24  epochs 4  epoch 7steps  accumulate 3"),
        VAE.replace("batch 64", "batch 64  epoch 9steps  accumulate 4").replace(
            "minimize likelihood + beta", "minimize likelihood + min(step / 20, epoch / 2)"
        ),
    ],
)
def test_two_processes_take_the_same_steps(text: str, tmp_path: Path) -> None:
    folder = write_shared(text, tmp_path)
    assert "[RANK::WORLD]" in (folder / "train.py").read_text()
    assert_two_processes_agree(folder, "train.loss", "val.loss")


def test_other_parts_and_epochs_are_other_settings(tmp_path: Path) -> None:
    text = SGD.replace("batch 24", "accumulate 2  epoch 5steps  batch 24")
    folder = write(text, tmp_path)
    assert run(folder, "run").returncode == 0
    for old, new in (("ACCUMULATE = 2", "ACCUMULATE = 4"), ("EPOCH_STEPS = 5", "EPOCH_STEPS = 6")):
        script = (folder / "train.py").read_text()
        assert old in script
        (folder / "train.py").write_text(script.replace(old, new))
        refused = run(folder, "run", "--resume")
        assert refused.returncode == 1
        assert "was trained with" in refused.stderr
        (folder / "train.py").write_text(script)
    assert load_file(folder / "run" / "best.safetensors")


def test_parts_that_do_not_divide_among_processes_are_refused(tmp_path: Path) -> None:
    text = SGD.replace("batch 24", "batch 24  accumulate 8")
    folder = write_shared(text, tmp_path)
    script = (folder / "train.py").read_text()
    (folder / "train.py").write_text(script.replace('"WORLD_SIZE", "1"', '"NONE", "2"'))
    refused = run(folder, "run")
    assert refused.stderr == "a part of 3 rows of a batch of 24 does not divide among 2 processes\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SGD.replace("batch 24", "accumulate 5  batch 24"), "W1490"),
        (SGD.replace("batch 24", "accumulate 48  batch 24"), "W1490"),
        (SGD.replace("batch 24", "accumulate 0  batch 24"), "W0601"),
        (SGD.replace("batch 24", "epoch 0steps  batch 24"), "W0601"),
        (SGD.replace("batch 24", "epoch 30  batch 24"), "W0208"),
        (SGD.replace("batch 24", "epoch 3epochs  batch 24"), "W0208"),
        (SGD.replace("batch 24", "accumulate 2steps  batch 24"), "W0208"),
        (PLAIN.replace("OPTIMIZER", "lbfgs").replace("batch 24", "accumulate 2 batch 24"), "W1489"),
    ],
)
def test_what_cannot_be_divided_is_told(text: str, code: str, tmp_path: Path) -> None:
    assert find_codes(text, tmp_path) == [code]


# --- half precision with several steps ------------------------------------------------------------


def test_the_scale_of_half_precision_goes_on_with_steps_that_take_turns(tmp_path: Path) -> None:
    """One scaler serves all optimizers, and is part of the checkpoint."""
    text = LAYERED.replace("batch 64  epochs 2", "precision f16  clip 1.0  batch 64  epochs 3")
    folder = write(text, tmp_path)
    assert run(folder, "whole").returncode == 0
    kill_after(folder, "killed", 1, signal.SIGKILL)
    done = run(folder, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(folder / "whole", folder / "killed")
    scaler = torch.load(folder / "whole" / "last.pt", weights_only=True)["scaler"]
    assert scaler["scale"] > 0
    assert scaler["_growth_tracker"] > 0
