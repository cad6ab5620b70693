"""A training that ends early says why, and leaves nothing that is half written."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backends.pytorch.run.running import run_training
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Message, Sink
from tests.table_train import TABLE, write_table
from tests.train_scripts import one_thread

SOURCES = {
    "csv": 'csv("table.csv")',
    "npz": 'npz("table.npz")',
    "packed": 'npz("packed.npz")',
    "parquet": 'parquet("table.parquet")',
}
FILES = {"csv": "table.csv", "npz": "table.npz", "packed": "packed.npz", "parquet": "table.parquet"}


def write_script(folder: Path, source: str = "csv") -> Path:
    """The folder of a script that reads a table beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = write_table(folder, TABLE.replace(SOURCES["csv"], SOURCES[source]))
    table = pd.read_csv(folder / "table.csv").astype({"a": np.float32})
    columns = {name: table[name].to_numpy() for name in table}
    np.savez(folder / "table.npz", **columns)
    np.savez_compressed(folder / "packed.npz", **columns)
    table.to_parquet(folder / "table.parquet")
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    write_training(program.trains["fit"], folder)
    return folder


def run(
    folder: Path, *options: str, largest: int = resource.RLIM_INFINITY
) -> subprocess.CompletedProcess[str]:
    """Runs the script where no file may be longer than so many bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limited = largest != resource.RLIM_INFINITY
    return subprocess.run(
        [sys.executable, "train.py", "--device", "cpu", *options],
        cwd=folder,
        env=one_thread(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard)))
        if limited
        else None,
    )


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    """The last line says why, and a training by Weft reports it."""
    assert done.returncode == 1
    assert said in done.stderr.strip().splitlines()[-1]


def find_fault(folder: Path) -> Message:
    """What a training by Weft says of it."""
    with pytest.raises(CompileError) as caught:
        run_training(folder, data_root=folder, out=folder / "run", device="cpu")
    (message,) = caught.value.messages
    return message


@pytest.mark.parametrize("source", SOURCES)
def test_data_that_is_cut_short_is_told(source: str, tmp_path: Path) -> None:
    folder = write_script(tmp_path, source)
    path = folder / FILES[source]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if source != "csv" else data[:-2])
    done = run(folder)
    assert done.returncode == 1
    assert re.match(r"[\w.]*(Error|BadZipFile|ArrowInvalid): ", done.stderr.splitlines()[-1])
    assert not (folder / "run").exists()
    assert find_fault(folder).code == "W0865"


def test_a_changed_byte_of_packed_numbers_is_told(tmp_path: Path) -> None:
    folder = write_script(tmp_path, "packed")
    path = folder / "packed.npz"
    data = bytearray(path.read_bytes())
    data[data.find(b"label.npy") + 40] ^= 255
    path.write_bytes(data)
    assert_refused(run(folder), "BadZipFile: Bad CRC-32")


def test_a_column_that_is_gone_is_told(tmp_path: Path) -> None:
    folder = write_script(tmp_path)
    path = folder / "table.csv"
    path.write_text(path.read_text().replace("label", "class"))
    assert_refused(run(folder), "KeyError: 'label'")
    assert "KeyError: 'label'" in find_fault(folder).text.title


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    folder = write_script(tmp_path)
    (folder / "taken").write_text("")
    assert_refused(run(folder, "--out", "taken"), "File exists: 'taken'")
    assert_refused(run(folder, "--out", "taken/run"), "Not a directory: 'taken/run'")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    folder = write_script(tmp_path)
    assert_refused(run(folder, largest=500), "File too large")
    assert not (folder / "run" / "best.safetensors").exists()


def test_a_reader_that_went_away_is_told(tmp_path: Path) -> None:
    folder = write_script(tmp_path)
    command = f"'{sys.executable}' train.py --device cpu | true"
    done = subprocess.run(
        command, shell=True, cwd=folder, env=one_thread(), capture_output=True, text=True
    )
    assert "Broken pipe" in done.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_a_closed_output_is_no_fault(closed: str, tmp_path: Path) -> None:
    folder = write_script(tmp_path)
    command = f"'{sys.executable}' train.py --device cpu {closed}"
    done = subprocess.run(command, shell=True, cwd=folder, env=one_thread(), check=False)
    assert done.returncode == 0
    assert (folder / "run" / "results.json").exists()


RANGES = """
use std.losses
model Net() {{
    input tokens: i64[batch, 2]
    input x: f32[batch, 2]
    h = mean(tokens -> embedding(6, 4), axis=1)
    output y = concat([h, x], axis=1) -> dense(3) as head
}}
data table {{
    source npz("table.npz")
    {column}
    split in_order, train=12, val=4
}}
train fit of Net on table {{
    minimize {loss} with sgd(lr=0.1)
    {metric}
    batch 4
    epochs 1
}}
"""
CLASSES = "cross_entropy(y, label)"
OUTSIDE = [
    # the loss, a metric, a column; which number is changed, into what; what is said
    (CLASSES, "", "", "label", 3, "the column 'label' holds 3: 0 to 2 are taken"),
    (CLASSES, "", "", "label", -1, "the column 'label' holds -1: 0 to 2 are taken"),
    (CLASSES, "", "", "label", -100, ""),
    (CLASSES, "", "", "tokens", 6, "the column 'tokens' holds 6: 0 to 5 are taken"),
    ("cross_entropy(y, label -> cast(i64))", "", "", "label", 9, "the column 'label' holds 9"),
    ("cross_entropy(y, label - 0)", "", "", "label", 3, "IndexError: Target 3 is out of bounds"),
    ("bce_with_logits(y[:, 0], share)", "", "", "share", 1.5, "'share' holds 1.5: 0 to 1"),
    ("hinge(y[:, 0], side)", "", "", "side", 0, "'side' holds 0: -1 or 1 are taken"),
    ("hinge(y[:, 0], side)", "", "", "side", 1, ""),
    ("bce(sigmoid(y[:, 0]), share)", "", "", "share", -0.5, "'share' holds -0.5: 0 to 1"),
    ("mse(y[:, 0], share)", "metric a = accuracy(y, label)", "", "label", 3, "holds 3: 0 to 2"),
    ("mse(y[:, 0], share)", "metric a = mae(y[:, 0], share, weight=w)", "", "w", -2.0, "holds -2"),
    ("mse(y, hot)", "", "hot = one_hot(label, 3, dtype=f32)", "label", 3, "holds 3: 0 to 2"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "metric", "column", "name", "number", "said"), OUTSIDE)
def test_data_that_does_not_fit_the_objective_is_told(
    loss: str, metric: str, column: str, name: str, number: float, said: str, tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    columns = {
        "tokens": draw.integers(0, 6, (17, 2)),
        "x": draw.normal(size=(17, 2)).astype(np.float32),
        "label": draw.integers(0, 3, 17),
        "side": draw.choice([-1.0, 1.0], 17).astype(np.float32),
        "share": draw.random(17).astype(np.float32),
        "w": draw.random(17).astype(np.float32),
    }
    np.savez(tmp_path / "table.npz", **columns)
    spec = tmp_path / "net.weft"
    spec.write_text(RANGES.format(loss=loss, metric=metric, column=column))
    sink = Sink()
    program = check(spec, sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    write_training(program.trains["fit"], tmp_path)
    changed = {n: array.copy() for n, array in columns.items()}
    changed[name].flat[-1] = number  # of a row that no split has
    np.savez(tmp_path / "table.npz", **changed)
    if column:  # which is computed in every row
        assert_refused(run(tmp_path), said)
        return
    assert run(tmp_path).returncode == 0
    changed[name][14] = number  # one of the validation split
    np.savez(tmp_path / "table.npz", **changed)
    done = run(tmp_path, "--overwrite")
    if said:
        assert_refused(done, said)
    else:
        assert done.returncode == 0, done.stderr
