"""A training whose numbers end: which step, which layer, which rows, and what is kept."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from backends.pytorch.run.running import explain_failure, run_training
from compiler.report.diagnostics import CompileError, Text
from tests.train_scripts import (
    DIGITS,
    GAN,
    PLAIN,
    load_state,
    run,
    share,
    write,
)

OVERFLOW = (
    PLAIN.replace(
        "output logits: f32[batch, 3] = features -> dense(16) as hidden -> tanh "
        "-> dense(3) as head",
        "h = features -> dense(16) as hidden -> tanh\n"
        "    grown = h * exp(where(features[:, 0:1] > 6.5, 1e4, 0.0))\n"
        "    output logits: f32[batch, 3] = grown -> dense(8) as middle -> dense(3) as head",
    )
    .replace("    features = features -> standardize\n", "")
    .replace("OPTIMIZER", "sgd(lr=1e-3)")
)
"""A net whose numbers end in the rows with long sepals."""


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def fail(folder: Path, *, resume: bool = False, overwrite: bool = False) -> Text:
    """The text of the message that a training ends with."""
    with pytest.raises(CompileError) as caught:
        run_training(
            folder, data_root=folder, out=folder / "out", resume=resume, overwrite=overwrite
        )
    (message,) = caught.value.messages
    assert message.code == "W0861"
    return message.text


def test_the_layer_that_overflows_is_named_with_its_rows(tmp_path: Path) -> None:
    folder = write(OVERFLOW, tmp_path)
    text = fail(folder)
    assert text.title == "the loss is nan at epoch 1, step 1"
    found = re.fullmatch(
        r"middle is the first layer whose results are not finite, in training rows "
        r"\[([\d, ]+)\]( and \d+ more)?, nor is what it is given",
        text.label,
    )
    assert found is not None, text.label
    split = np.random.default_rng(0).permutation(150)[:96]
    batch = np.random.default_rng([0, 1]).permutation(96)[:24]
    long = np.load(folder / "iris.npz")["features"][split[batch], 0] > 6.5
    assert list(map(int, found[1].split(", "))) == batch[long][:8].tolist()
    more = len(batch[long]) - 8
    assert (found[2] or "") == (f" and {more} more" if more > 0 else "")


def test_missing_values_in_the_data_are_said_to_be_given(tmp_path: Path) -> None:
    folder = write(
        PLAIN.replace("features -> standardize", "features").replace("OPTIMIZER", "adam"), tmp_path
    )
    data = dict(np.load(folder / "iris.npz"))
    data["features"][::7, 2] = np.nan
    np.savez(folder / "iris.npz", **data)
    text = fail(folder)
    assert text.title == "the loss is nan at epoch 1, step 1"
    assert text.label.startswith("hidden is the first layer")
    assert re.search(r"\]( and \d+ more)?, nor is what it is given$", text.label), text.label


def test_the_last_good_state_is_kept_and_named(tmp_path: Path) -> None:
    """A loss that ends in the third epoch leaves the state of the second, from which the training
    goes on to the same end."""
    ends = PLAIN.replace(
        "minimize cross_entropy(logits, label)",
        "bad = where(epoch < 3, 0.0, log(-1.0 * abs(logits) - 1))\n"
        "    minimize cross_entropy(logits, label) + mean(bad)",
    ).replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9)")
    folder = write(ends, tmp_path)
    text = fail(folder)
    assert text.title == "the loss is nan at epoch 3, step 1"
    found = re.fullmatch(
        r"`(.*)` \(line (\d+) of train\.py\) is the first expression of the objective that is not "
        r"finite, in training rows \[[\d, ]+\] and 16 more",
        text.label,
    )
    assert found is not None, text.label
    assert "log(" in found[1]
    assert (folder / "train.py").read_text().splitlines()[int(found[2]) - 1].strip() == found[1]
    kept = (folder / "out" / "last.pt").read_bytes()
    state = load_state(folder / "out")
    assert len(state["history"]) == 2
    assert all(value.isfinite().all() for value in state["model"].values())
    assert fail(folder, resume=True) == text
    assert (folder / "out" / "last.pt").read_bytes() == kept


def test_the_expression_that_ends_is_told_from_masks(tmp_path: Path) -> None:
    """Scores that are masked with -inf are no fault, the logarithm of a step whose loss ends is."""
    ends = PLAIN.replace(
        "minimize cross_entropy(logits, label)",
        "scores = where(logits > 0, logits, -inf)\n"
        "    shown = sum(softmax(concat([scores, 0 * logits[:, :1]], axis=1), axis=1)[:, 3])\n"
        "    always = sum(exp(log(0 * features[:, 0])))\n"
        "    far = log(relu(features[:, 0] + 1e9 * (epoch < 2)))\n"
        "    minimize cross_entropy(logits, label) + mean(far) + shown + always",
    ).replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9)")
    text = fail(write(ends, tmp_path))
    assert text.title == "the loss is -inf at epoch 2, step 1"
    assert re.match(r"`far = .*log\(.*\)` \(line \d+ of train\.py\)", text.label), text.label


def test_weights_that_end_in_the_last_step_of_an_epoch_are_not_kept(tmp_path: Path) -> None:
    one_step = PLAIN.replace("batch 24", "batch 96").replace("OPTIMIZER", "sgd(lr=1e38)")
    folder = write(
        one_step.replace("cross_entropy(logits, label)", "1e3 * mean(logits ** 2)", 1), tmp_path
    )
    line = last_line(run(folder, "out"))
    found = re.fullmatch(r"(\S+) is not finite after epoch 1", line)
    assert found is not None, line
    assert not (folder / "out" / "last.pt").exists()
    message = explain_failure(1, line + "\n", folder / "log", None)
    assert message.code == "W1563"


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_scaled_gradients_that_overflow_are_none_of_these(tmp_path: Path, precision: str) -> None:
    """The first steps of f16 overflow until the scale has fallen: nothing ends."""
    folder = write(
        PLAIN.replace("OPTIMIZER", "adam(lr=1e-3)").replace(
            "batch 24", f"precision {precision}  batch 24"
        ),
        tmp_path,
    )
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr


def test_one_of_several_nets_and_steps_is_named(tmp_path: Path) -> None:
    spec = GAN.replace("-> flatten -> dense(1) as head", "-> flatten -> sqrt -> dense(1) as head")
    text = fail(write(spec, tmp_path))
    assert text.title == "the loss of `critic` is nan at step 1"
    assert re.fullmatch(
        r"D\.head is the first layer whose results are not finite, in training rows \[[\d, ]+\] "
        r"and 56 more, nor is what it is given",
        text.label,
    ), text.label


@pytest.mark.parametrize("clause", ["compile true", "accumulate 2", "checkpoint every=2steps", ""])
def test_whatever_else_a_step_does(clause: str, tmp_path: Path) -> None:
    spec = share(OVERFLOW) if not clause else OVERFLOW.replace("batch 24", f"{clause}  batch 24")
    text = fail(write(spec, tmp_path))
    assert text.label.startswith("middle is the first layer whose results are not finite")


def test_a_step_that_is_watched_is_the_same_step(tmp_path: Path) -> None:
    """Draws and weights of the step that is taken again are those of the first time."""
    noisy = DIGITS.replace("dropout(25%)", "dropout(25%) -> grow").replace(
        "train fit", "block grow(x: f32[n, d]) { return exp(400 * x) }\ntrain fit"
    )
    folder = write(noisy, tmp_path)
    first, second = fail(folder), fail(folder, overwrite=True)
    assert first == second
    assert first.label.startswith("head is the first layer")
