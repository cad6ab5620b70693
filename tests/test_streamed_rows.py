"""Rows that are read while a net is trained: the training is the one of rows in memory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from backends.pytorch.run.running import run_training
from backends.pytorch.train.folder import write_training
from compiler.driver import check, check_source
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError, Severity, Sink
from compiler.report.source import Source
from compiler.rows.validation import validate_data
from tests.test_train_kept import run_killed, stop_at
from tests.train_scripts import (
    AUGMENTED,
    DIGITS,
    GAN,
    VAE,
    assert_same,
    assert_scripts_clean,
    load_state,
    run,
    run_two,
    share,
)

NORMED = DIGITS.replace(
    "image = (image / 16) -> reshape([1, 8, 8])", "image = (image / 16) -> standardize(axis=0)"
)
PLAIN = NORMED.replace("-> batch_norm", "").replace("-> dropout(25%)", "")
SPECS = {
    "digits": DIGITS.replace("epochs 5", "epochs 2"),
    "parts": DIGITS.replace("epochs 5", "epochs 2  accumulate 4  epoch 30steps"),
    "balanced": DIGITS.replace("epochs 5", "epochs 1").replace(
        "split", 'balance label, method="leave_out"\n    where label != 3\n    split'
    ),
    "function": DIGITS.replace("epochs 5", "epochs 1").replace(
        "split",
        "for k in 1..6 { image = image + sin(k * image) / (k + image) }\n    split",
    ),
    "weighed": DIGITS.replace("epochs 5", "epochs 2")
    .replace("split", "w = class_weight(label, 10)\n    split")
    .replace(
        "cross_entropy(logits, label)",
        'mean(w * cross_entropy(logits, label, reduction="none"))',
        1,
    ),
    "lbfgs": DIGITS.replace("epochs 5", "epochs 1  epoch 3steps").replace(
        "adamw(lr=3e-3, schedule=cosine(warmup=5%))", "lbfgs"
    ),
    "vae": VAE.replace("epochs 3", "epochs 2"),
    "gan": GAN,
    "augmented": AUGMENTED.replace("epochs 3", "epochs 2"),
    "auc": DIGITS.replace("epochs 5", "epochs 1").replace(
        "metric accuracy = accuracy(logits, label)",
        "metric area = auroc(logits[:, 0], label == 0)",
    ),
}


def save_images(folder: Path, count: int = 400) -> None:
    """Images of digits, in a folder for each class."""
    digits = load_digits()
    for row in range(count):
        path = folder / "digits" / str(digits.target[row]) / f"{row:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.images[row].astype(np.uint8)).save(path)


def find_train(text: str, folder: Path, hold: str) -> Train:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "digits").exists():
        save_images(folder)
    source = f'source images("digits")\n    hold {hold}'
    path = folder / f"{hold}.weft"
    path.write_text(text.replace('source npz("digits.npz")', source))
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    assert not sink.has_errors, [(m.text.title, m.text.label) for m in sink.messages]
    return program.trains["fit"]


def write(text: str, folder: Path, hold: str) -> Path:
    """The folder of a training whose data lies above it."""
    write_training(find_train(text, folder, hold), folder / hold)
    return folder / hold


def run_above(folder: Path, out: str, *options: str) -> None:
    done = run(folder, out, "--data", "..", *options)
    assert done.returncode == 0, done.stderr


def forget_time(state: dict[str, Any]) -> dict[str, Any]:
    for record in state["history"]:
        record.pop("seconds")
    state.pop("settings")
    return state


@pytest.mark.parametrize("name", SPECS)
def test_streamed_rows_train_as_rows_in_memory(name: str, tmp_path: Path) -> None:
    folders = [write(SPECS[name], tmp_path, hold) for hold in ("memory", "streamed")]
    assert_scripts_clean(folders[1], "train.py")
    for folder in folders:
        run_above(folder, "out")
    one, two = (forget_time(load_state(folder / "out")) for folder in folders)
    assert_same(one, two)
    assert (folders[0] / "out" / "results.json").read_text() == (
        folders[1] / "out" / "results.json"
    ).read_text()


def test_figures_of_streamed_rows_are_those_of_all_rows(tmp_path: Path) -> None:
    spec = PLAIN.replace("epochs 5", "epochs 1")
    folders = [write(spec, tmp_path, hold) for hold in ("memory", "streamed")]
    for folder in folders:
        run_above(folder, "out")
    one, two = (load_file(folder / "out" / "columns.safetensors") for folder in folders)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-6, atol=0, msg=name)
        assert two[name].shape == tensor.shape


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    folder = write(NORMED.replace("epochs 5", "epochs 2"), tmp_path, "streamed")
    text = (folder / "train.py").read_text()
    states = []
    for workers in (1, 3):
        changed = re.sub(r"WORKERS = .*", f"WORKERS = {workers}", text, count=1)
        (folder / "train.py").write_text(changed)
        run_above(folder, f"out-{workers}")
        states.append(forget_time(load_state(folder / f"out-{workers}")))
    assert_same(*states)


@pytest.mark.parametrize("spec", [NORMED, GAN], ids=["digits", "gan"])
def test_a_streamed_training_goes_on_in_the_middle_of_an_epoch(spec: str, tmp_path: Path) -> None:
    kept = re.sub(r"epochs \d", "epochs 2  checkpoint every=2steps", spec)
    folder = write(kept, tmp_path, "streamed")
    run_above(folder, "whole")
    stop_at(folder, 2)
    assert run_killed(folder, "--data", "..") == 9
    assert load_state(folder / "killed")["begun"]["step"] > 0
    run_above(folder, "killed", "--resume")
    assert_same(*(forget_time(load_state(folder / out)) for out in ("whole", "killed")))
    best = [(folder / out / "best.safetensors").read_bytes() for out in ("whole", "killed")]
    assert best[0] == best[1]


def test_two_processes_read_their_own_rows(tmp_path: Path) -> None:
    spec = share(PLAIN.replace("epochs 5", "epochs 2"))
    folder = write(spec, tmp_path, "streamed")
    text = (folder / "train.py").read_text()
    counted = text.replace(
        "        try:\n", '        print(f"read {RANK}", file=sys.stderr)\n        try:\n', 1
    )
    (folder / "train.py").write_text(counted.replace('default="."', 'default=".."'))
    done = [run(folder, "one"), run_two(folder, "two")]
    assert all(found.returncode == 0 for found in done), done[1].stderr
    (alone,) = [found.stderr.count("read 0") for found in done[:1]]
    shared = [done[1].stderr.count(f"read {rank}") for rank in (0, 1)]
    assert max(shared) < 0.6 * alone
    one, two = (load_state(folder / out)["model"] for out in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


# --- what goes wrong ------------------------------------------------------------------------------


def find_failure(folder: Path, train: Train) -> tuple[str, str, int]:
    """The message of a training that fails: its code, its title, the line of the spec."""
    with pytest.raises(CompileError) as caught:
        run_training(
            folder, data_root=folder.parent, device="cpu", span=train.span, source=train.data.span
        )
    (message,) = caught.value.messages
    assert message.span is not None
    assert not (folder / "results.json").exists()
    assert not list(folder.glob("*.part"))
    return message.code, message.text.title, message.span.source.position(message.span.start)[0]


@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_a_row_that_cannot_be_read_is_named(damage: str, tmp_path: Path) -> None:
    folder = write(DIGITS.replace("epochs 5", "epochs 1"), tmp_path, "streamed")
    train = find_train(DIGITS, tmp_path, "streamed")
    path = sorted((tmp_path / "digits").rglob("*.png"))[123]
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:60])
        case "other":
            path.write_text("no image")
        case "gone":  # while it trains
            script = (folder / "train.py").read_text()
            late = "        if row == 123:\n            self.paths[row].unlink()\n        try:\n"
            (folder / "train.py").write_text(script.replace("        try:\n", late, 1))
    code, title, line = find_failure(folder, train)
    assert (code, line) == ("W1722", text_line(train)), title
    assert title == f"row 123 cannot be read: {path.relative_to(tmp_path)}"


def text_line(train: Train) -> int:
    """The line of the source in the spec."""
    assert train.span is not None
    lines = train.span.source.text.split("\n")
    return next(n for n, line in enumerate(lines, 1) if "source images" in line)


def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    folder = write(DIGITS.replace("epochs 5", "epochs 1"), tmp_path, "streamed")
    train = find_train(DIGITS, tmp_path, "streamed")
    script = (folder / "train.py").read_text()
    killed = "        if row == 77:\n            os.kill(os.getpid(), 9)\n        try:\n"
    (folder / "train.py").write_text(script.replace("        try:\n", killed, 1))
    code, title, line = find_failure(folder, train)
    assert (code, title) == ("W1723", "a process that reads rows was ended")
    assert line == text_line(train)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    folder = write(DIGITS.replace("epochs 5", "epochs 1"), tmp_path, "memory")
    train = find_train(DIGITS, tmp_path, "memory")
    script = (folder / "train.py").read_text()
    full = script.replace(
        "    torch.save({", '    raise OSError(28, "No space left on device")\n    torch.save({'
    )
    assert full != script
    (folder / "train.py").write_text(full)
    with pytest.raises(CompileError) as caught:
        run_training(folder, data_root=tmp_path, device="cpu", span=train.span)
    assert [m.code for m in caught.value.messages] == ["W1724"]
    assert not (folder / "last.pt").exists()


def test_every_row_is_read_before_a_build(tmp_path: Path) -> None:
    train = find_train(DIGITS, tmp_path, "streamed")
    path = sorted((tmp_path / "digits").rglob("*.png"))[321]
    path.write_bytes(path.read_bytes()[:70])
    sink = Sink()
    assert validate_data(train, sink) is None
    (message,) = [m for m in sink.messages if m.severity is Severity.ERROR]
    assert message.span is not None
    assert message.span.source.position(message.span.start)[0] == text_line(train)
    assert "row 321" in str(message.text.label)
    assert path.name in message.text.title


@pytest.mark.parametrize("way", ["mapped", "streamed"])
def test_a_source_without_such_a_way_says_so(way: str) -> None:
    text = f'source sklearn("digits")\n    hold {way}\n    split in_order, train=9%'
    sink = Sink()
    check_source(Source("spec.weft", f"data d {{\n    {text}\n}}\n"), sink=sink)
    assert [message.code for message in sink.messages] == ["W1720"]


# --- how rows are held, by their size -------------------------------------------------------------


def test_the_size_decides_where_the_spec_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 400 * (64 * 5 + 12)
    for free, way in ((2 * needed, None), (2 * needed - 2, "streamed")):
        monkeypatch.setattr("compiler.data.base.find_available", lambda free=free: free)
        if not (tmp_path / "digits").exists():
            save_images(tmp_path)
        path = tmp_path / "auto.weft"
        path.write_text(DIGITS.replace('npz("digits.npz")', 'images("digits")'))
        program = check(path, sink=Sink())
        assert program is not None
        assert program.trains["fit"].data.hold == way


# --- tables in a file -----------------------------------------------------------------------------

TABLE = """
model Net {
    input x: f32[batch, 7]
    output logits: f32[batch, 2] = x -> dense(8) -> relu -> dense(2)
}
data table {
    source SOURCE
    hold HOLD
    where k != 3 and kind != "z"
    b = fill(b, "median")
    k2 = fill(cast(k, f32), "most_frequent")
    x = concat([stack([a, b, k2, cast(day, f32) / 1e9]) -> standardize, one_hot(kind)])
    split random(seed=0, stratify=label), train=80%, val=20%
}
train fit of Net on table {
    minimize cross_entropy(logits, label) with adamw(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 32  epochs 2  seed 0
}
"""


def save_table(folder: Path, rows: int = 600) -> None:
    draws = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": draws.normal(5, 3, rows).astype(np.float32),
            "b": np.where(draws.random(rows) < 0.1, np.nan, draws.normal(0, 1, rows)),
            "k": draws.integers(0, 9, rows),
            "kind": draws.choice(["x", "y", "z"], rows),
            "day": pd.date_range("2020-01-01", periods=rows),
            "label": draws.integers(0, 2, rows),
            "unused": ["some text"] * rows,
        }
    )
    frame.to_csv(folder / "t.csv", index=False)
    for part in range(3):
        own = frame[part * 200 : part * 200 + 200]
        own.to_parquet(folder / f"t{part}.parquet", row_group_size=70)


def write_table(folder: Path, source: str, hold: str) -> Path:
    save_table(folder)
    path = folder / f"{hold}.weft"
    path.write_text(TABLE.replace("SOURCE", source).replace("HOLD", hold))
    program = check(path, sink=Sink())
    assert program is not None
    write_training(program.trains["fit"], folder / hold)
    assert validate_data(program.trains["fit"], Sink()) is not None
    return folder / hold


@pytest.mark.parametrize("source", ['csv("t.csv")', 'parquet("t*.parquet")'])
def test_mapped_rows_train_as_rows_in_memory(source: str, tmp_path: Path) -> None:
    folders = [write_table(tmp_path, source, hold) for hold in ("memory", "mapped")]
    assert_scripts_clean(folders[1], "train.py")
    for folder in folders:
        run_above(folder, "out")
    files = list((folders[1] / "out").glob("rows-*.bin"))
    assert len(files) == 1
    one, two = (load_file(folder / "out" / "columns.safetensors") for folder in folders)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-5, atol=0, msg=name)
    states = [load_state(folder / "out") for folder in folders]
    for name, tensor in states[0]["model"].items():
        torch.testing.assert_close(states[1]["model"][name], tensor, rtol=1e-3, atol=1e-5)


def test_the_file_of_rows_is_written_again_where_the_data_has_changed(tmp_path: Path) -> None:
    folder = write_table(tmp_path, 'csv("t.csv")', "mapped")
    run_above(folder, "out")
    (file,) = (folder / "out").glob("rows-*.bin")
    written = file.stat().st_mtime_ns
    run_above(folder, "out", "--overwrite")
    assert file.stat().st_mtime_ns == written
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text(text.replace(",x,", ",y,", 1))
    done = run(folder, "out", "--data", "..", "--resume")
    assert "was trained with" in done.stderr  # it is another training now
    assert len(list((folder / "out").glob("rows-*.bin"))) == 1
    assert not file.exists()


def test_a_table_that_cannot_be_read_leaves_no_file(tmp_path: Path) -> None:
    folder = write_table(tmp_path, 'csv("t.csv")', "mapped")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[-1] = lines[-1].replace(lines[-1].split(",")[2], "many", 1)
    (tmp_path / "t.csv").write_text("\n".join(lines).replace(",1,y,", ",one,y,"))
    done = run(folder, "out", "--data", "..")
    assert done.returncode
    assert not list((folder / "out").glob("rows-*"))


PICTURES = (
    SPECS["digits"]
    .replace('npz("digits.npz")', 'images("digits")')
    .replace("split random", "hold streamed\n    split random")
)


@pytest.mark.parametrize(
    ("change", "label"),
    [
        (("split", "where mean(image * 1.0) > 3\n    split"), "this reads `image` of all rows"),
        (
            ("adamw(lr=3e-3, schedule=cosine(warmup=5%))", "least_squares(ridge=1.0)"),
            "`least_squares` reads all rows at once",
        ),
    ],
)
def test_what_needs_all_rows_is_refused(
    change: tuple[str, str], label: str, tmp_path: Path
) -> None:
    save_images(tmp_path, 40)
    (tmp_path / "spec.weft").write_text(PICTURES.replace(*change, 1))
    sink = Sink()
    check(tmp_path / "spec.weft", sink=sink)
    assert ("W1725", label) in [(m.code, m.text.label) for m in sink.messages]
