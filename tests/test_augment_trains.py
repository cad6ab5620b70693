"""`augment { … }`: what it changes in a training, and what it leaves as it is."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from backends.pytorch.run.load import run_source
from backends.pytorch.run.running import read_metrics
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import read_settings
from compiler.describe import describe_program
from compiler.driver import check
from compiler.ir.printer import print_graph
from compiler.report.diagnostics import Sink
from tests.train_scripts import (
    AUGMENTED,
    GAN,
    assert_scripts_clean,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    open_train,
    run,
    save_data,
    share,
    write,
    write_shared,
)

SHIFTED = "image = image -> random_crop(8, padding=1) -> random_erasing(30%)"
MIXED = "image, label = mixup(image, label, alpha=0.3)"
SPEC = AUGMENTED
SOFT = (
    SPEC.replace(SHIFTED, MIXED)
    .replace("    augment", "    label = cast(one_hot(label, 10), f32)\n    augment")
    .replace("accuracy(logits, label)", "accuracy(logits, argmax(label, axis=1))")
)
STEPS = "use std.augment\n" + GAN.replace(
    "    split", "    augment { image = image -> random_flip(30%) }\n    split"
).replace("batch_norm", "relu")
OWN = SPEC.replace(SHIFTED, "brightness = uniform([batch, 1, 1, 1])  image = brightness * image")
PARTS = SPEC.replace("epochs 3", "epochs 3  accumulate 2")
STEP_PARTS = STEPS.replace("epochs 2", "epochs 2  accumulate 2")
TEXTS = {
    **{"rows": SPEC, "mixtures": SOFT, "steps": STEPS, "own": OWN},
    **{"parts": PARTS, "step_parts": STEP_PARTS},
}


def plain(text: str) -> str:
    return re.sub(r"    augment {.*}\n", "", text)


@pytest.mark.parametrize("name", TEXTS)
def test_only_training_rows_are_augmented(name: str, tmp_path: Path) -> None:
    """With a rate of 0, the losses of the epochs differ, and those of the other splits are those
    of rows as they are."""
    still = re.sub(r"lr=\de-3", "lr=1e-30", TEXTS[name])
    records = {}
    for place, text in (("augmented", still), ("plain", plain(still))):
        folder = tmp_path / place
        folder.mkdir()
        write(text, folder)
        done = run(folder, "run")
        assert done.returncode == 0, done.stderr
        records[place] = read_metrics(folder / "run" / "metrics.jsonl")
    loss = "train.critic.loss" if "step" in name else "train.loss"
    assert len({record[loss] for record in records["augmented"]}) == len(records["augmented"])
    pairs = list(zip(records["augmented"], records["plain"], strict=True))
    for mine, theirs in pairs:
        assert mine.keys() == theirs.keys()
        assert all(mine[key] == theirs[key] for key in mine if key.startswith("val."))
    assert all(mine[loss] != theirs[loss] for mine, theirs in pairs)


def test_what_is_trained_on_is_what_the_function_makes(tmp_path: Path) -> None:
    """The first losses of a loop written by hand around `augment` of the script."""
    write(SPEC, tmp_path)
    code = (tmp_path / "train.py").read_text()
    script = run_source(code.replace("from model import Net\n", ""), "script")
    model = run_source((tmp_path / "model.py").read_text(), "model")
    torch.manual_seed(4)
    net = model.Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    splits = script.load_splits(tmp_path, "cpu")
    image, label = splits["train"]
    order = np.random.default_rng([4, 1]).permutation(len(image))
    draws = torch.Generator().manual_seed(4 + 1000 + 500)
    losses = []
    for start in range(0, len(image) // 64 * 64, 64):
        rows = order[start : start + 64]
        changed = script.augment(image[rows], draws)
        assert changed.shape == (64, 1, 8, 8)
        loss = torch.nn.functional.cross_entropy(net(changed), label[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    done = run(tmp_path, "run")
    assert done.returncode == 0, done.stderr
    record = read_metrics(tmp_path / "run" / "metrics.jsonl")[0]
    assert record["train.loss"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("name", TEXTS)
def test_two_processes_augment_as_one(name: str, tmp_path: Path) -> None:
    folder = write_shared(TEXTS[name], tmp_path)
    loss = "critic.loss" if "step" in name else "loss"
    assert_two_processes_agree(folder, f"train.{loss}", f"val.{loss}")


@pytest.mark.parametrize("name", ["rows", "mixtures", "steps"])
def test_a_killed_training_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    write(TEXTS[name], tmp_path)
    assert run(tmp_path, "whole").returncode == 0
    kill_after(tmp_path, "killed", 1, signal.SIGKILL)
    done = run(tmp_path, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("name", TEXTS)
def test_scripts_are_clean(name: str, shared: bool, tmp_path: Path) -> None:
    write(share(TEXTS[name]) if shared else TEXTS[name], tmp_path)
    assert_scripts_clean(tmp_path, "train.py")


def test_another_augmentation_is_another_training(tmp_path: Path) -> None:
    made = [
        read_settings(ScriptSpec(open_train(text, tmp_path)))
        for text in (SPEC, SPEC.replace("30%", "31%"), OWN, plain(SPEC))
    ]
    assert len({settings.get("augmentation") for settings in made}) == 4
    assert {n for n in made[0] if made[0][n] != made[1].get(n)} == {"augmentation"}


def test_what_is_deployed_and_evaluated_is_not_augmented(tmp_path: Path) -> None:
    """Column expressions, which `preprocess` puts into the file, and trains of no epochs."""
    train = open_train(SPEC, tmp_path)
    other = open_train(plain(SPEC), tmp_path)
    assert print_graph(train.data.columns) == print_graph(other.data.columns)
    idle = re.sub(r"    minimize.*\n", "", SPEC).replace("epochs 3", "epochs 0")
    idle = idle.replace("of Net on", "on").replace(
        "    metric",
        '    net n = Net() -> load("n.safetensors")\n    logits = n(image)\n    metric',
    )
    script = ScriptSpec(open_train(idle, tmp_path))
    assert script.augmentation is None
    assert "augmentation" not in read_settings(script)


READ = SPEC.replace("    augment", "    sign = cast(label, f32)\n    augment").replace(
    SHIFTED, "sign = sign + 1  image = image * reshape(sign, [batch, 1, 1, 1])"
)


def test_columns_that_only_the_augmentation_reads_are_loaded(tmp_path: Path) -> None:
    write(READ, tmp_path)
    code = (tmp_path / "train.py").read_text()
    assert "image = augment(image, sign)" in code
    done = run(tmp_path, "run")
    assert done.returncode == 0, done.stderr
    assert_scripts_clean(tmp_path, "train.py")


def test_columns_that_a_train_does_not_read_are_not_augmented(tmp_path: Path) -> None:
    text = SPEC.replace("    augment {", "    other = image * 1\n    augment { other = -other ")
    text = text.replace("image = image -> random_crop(8, padding=1) -> random_erasing(30%)", "")
    made = ScriptSpec(open_train(text, tmp_path))
    assert made.augmentation is None
    check(str(tmp_path / "spec.weft"), sink=(sink := Sink()))
    assert [m.code for m in sink.messages] == ["W1555"]
    assert read_settings(made) == read_settings(ScriptSpec(open_train(plain(SPEC), tmp_path)))


def test_names_that_the_script_has(tmp_path: Path) -> None:
    """Columns and blocks may be called as the function, its generator and its helpers are."""
    text = SPEC.replace(
        SHIFTED,
        "draws = image -> augment  image = draws -> random_flip",
    ).replace(
        "data digits",
        "block augment(x: f32[n, c, h, w]) { return x + normal_like(x) }\ndata digits",
    )
    text = (
        text.replace("    augment {", "    draws = label\n    augment {")
        .replace(
            "draws = image -> augment  image = draws", "pixels = image -> augment  image = pixels"
        )
        .replace("cross_entropy(logits, label)", "cross_entropy(logits, draws)")
    )
    write(text, tmp_path)
    done = run(tmp_path, "run")
    assert done.returncode == 0, done.stderr
    assert_scripts_clean(tmp_path, "train.py")


def test_views_in_a_train_call_one_function_each(tmp_path: Path) -> None:
    view = "image -> random_resized_crop(8, scale=[0.5, 1.0]) -> random_flip"
    text = (
        plain(SPEC)
        .replace(" of Net on", " on")
        .replace(
            "    minimize cross_entropy(logits, label)",
            f"    net n = Net()\n    a = {view}\n    b = {view}\n    logits = n(image)\n"
            "    minimize mse(n(a), n(b)) + cross_entropy(logits, label)",
        )
    )
    write(text, tmp_path)
    code = (tmp_path / "train.py").read_text()
    assert len(re.findall(r"^def random_flip\w*\(", code, re.M)) == 1
    assert len(re.findall(r"^def random_resized_crop\w*\(", code, re.M)) == 1
    assert len(re.findall(r"random_flip\(", code)) == 3
    assert_two_processes_agree(write_shared(text, tmp_path), "train.loss", "val.loss")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("label = one_hot(label, 10)", "W1551"),
        ("image = image[:, :, 1:]", "W1551"),
        ("image = [image, image]", "W1551"),
        ("other = image", "W1550"),
        ("", "W1550"),
        ("image = image -> conv(1, kernel=3, padding=1)", "W1552"),
        ("image = image + nothing", "W0201"),
        ("metric a = image", "W0205"),
    ],
)
def test_what_is_refused(line: str, code: str, tmp_path: Path) -> None:
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(SPEC.replace(SHIFTED, line))
    sink = Sink()
    check(tmp_path / "spec.weft", sink=sink)
    assert code in [message.code for message in sink.messages]


def test_stages_show_what_is_augmented(tmp_path: Path) -> None:
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(SPEC)
    program = check(tmp_path / "spec.weft", sink=Sink())
    assert program is not None
    lines = [n for n in describe_program(program).splitlines() if n.startswith("  augment ")]
    assert len(lines) == 1
    assert lines[0].startswith("  augment (image: f32[batch, 1, 8, 8], ")
    assert "-> (image: f32[batch, 1, 8, 8]), " in lines[0]


def test_two_clauses_are_refused(tmp_path: Path) -> None:
    save_data(tmp_path)
    text = SPEC.replace("    split", "    augment { image = -image }\n    split")
    (tmp_path / "spec.weft").write_text(text)
    sink = Sink()
    check(tmp_path / "spec.weft", sink=sink)
    assert [message.code for message in sink.messages] == ["W0605"]
