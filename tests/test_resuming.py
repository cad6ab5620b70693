"""Nothing that a training left is lost, and none goes on with other settings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from backends.pytorch.run.running import refuse_loss
from backends.pytorch.train.settings import RESULTS
from compiler.report.diagnostics import CompileError, Message
from tests.train_scripts import (
    PLAIN,
    check_equal,
    one_thread,
    open_train,
    run,
    save_data,
    write,
)
from weft.results.setting_aside import set_aside

SPEC = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9, schedule=cosine)").replace(
    "epochs 6", "epochs 3"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a script and a finished run of it in `run`."""
    made = write(SPEC, tmp_path_factory.mktemp("resuming"))
    done = run(made, "run")
    assert done.returncode == 0, done.stderr
    return made


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def copy_script(folder: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("model.py", "train.py", "iris.npz"):
        shutil.copy(folder / name, to / name)
    shutil.copytree(folder / "run", to / "run")
    return to


def test_a_finished_training_is_not_overwritten_unasked(folder: Path) -> None:
    before = read_all(folder / "run")
    done = run(folder, "run")
    assert done.returncode == 1
    assert done.stderr == "run holds a training: give --resume, --overwrite or another --out\n"
    assert read_all(folder / "run") == before
    assert run(folder, "run", "--resume", "--overwrite").returncode == 2


def test_a_checkpoint_carries_its_settings(folder: Path, tmp_path: Path) -> None:
    work = copy_script(folder, tmp_path / "work")
    script = work / "train.py"
    script.write_text(script.read_text().replace("EPOCHS = 3", "EPOCHS = 9"))
    before = read_all(work / "run")
    done = run(work, "run", "--resume")
    assert done.returncode == 1
    assert "last.safetensors was trained with other settings" in done.stderr
    assert "settings: epochs is 3 there and 9 here\n" in done.stderr
    assert read_all(work / "run") == before


def spoil(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Writes a checkpoint again, with other tensors or another record of progress."""
    with safe_open(path, "np") as file:
        progress = json.loads(file.metadata()["progress"])
    tensors = load_file(path)
    change(tensors, progress)
    progress.pop("checksum")
    progress["checksum"] = zlib.crc32(json.dumps(progress).encode())
    save_file(tensors, path, {"progress": json.dumps(progress)})


def change_setting(path: Path) -> None:
    """One byte of the header is another: a number of the settings has another digit."""
    text = path.read_bytes()
    assert text.count(b'epochs\\": 3') == 1
    path.write_bytes(text.replace(b'epochs\\": 3', b'epochs\\": 7'))


def change_number(path: Path) -> None:
    """One bit of the last number is another: the file is as whole as before."""
    raw = path.read_bytes()
    path.write_bytes(raw[:-4] + bytes([raw[-4] ^ 1]) + raw[-3:])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "no progress": lambda path: save_file(load_file(path), path),
    "no json": lambda path: save_file(load_file(path), path, {"progress": "{"}),
    "a number": lambda path: save_file(load_file(path), path, {"progress": "3"}),
    "a byte of the settings": change_setting,
    "a bit of a number": change_number,
    "no settings": lambda path: spoil(path, lambda tensors, progress: progress.pop("settings")),
    "no epoch": lambda path: spoil(path, lambda tensors, progress: progress.pop("epoch")),
    "no best": lambda path: spoil(path, lambda tensors, progress: progress.update(best=None)),
    "fewer tensors": lambda path: spoil(
        path, lambda tensors, progress: tensors.pop("model/hidden.weight")
    ),
    "other tensors": lambda path: spoil(
        path, lambda tensors, progress: tensors.update(extra=np.zeros(3, np.float32))
    ),
    "other shapes": lambda path: spoil(
        path,
        lambda tensors, progress: tensors.update({"model/hidden.weight": np.zeros(3, np.float32)}),
    ),
    "other parameters": lambda path: spoil(
        path, lambda tensors, progress: tensors.update({"model/x.y": np.zeros(3, np.float32)})
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_one_line(damage: str, folder: Path, tmp_path: Path) -> None:
    work = copy_script(folder, tmp_path / "work")
    DAMAGES[damage](work / "run" / "last.safetensors")
    before = read_all(work / "run")
    done = run(work, "run", "--resume")
    assert done.returncode == 1
    said = "run/last.safetensors is damaged: give --overwrite or another --out\n"
    assert done.stderr == said
    assert read_all(work / "run") == before


def test_the_best_weights_are_those_that_were_learned(folder: Path, tmp_path: Path) -> None:
    work = copy_script(folder, tmp_path / "work")
    change_number(work / "run" / "best.safetensors")
    done = run(work, "run", "--resume")
    assert done.returncode == 1
    assert done.stderr == "run/best.safetensors is damaged: give --overwrite or another --out\n"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("metrics.jsonl", ("--resume",)),
        ("results.json", ("--resume",)),
        ("last.part", ("--resume",)),
        ("best.part", ("--overwrite",)),
        ("last.safetensors", ("--overwrite",)),
        ("metrics.part", ()),
    ],
)
def test_a_script_writes_through_no_link(
    name: str, options: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    work = copy_script(folder, tmp_path / "work")
    victim = tmp_path / "victim"
    victim.write_bytes(b"the only copy")
    (work / "run" / name).unlink(missing_ok=True)
    (work / "run" / name).symlink_to(victim)
    before = read_all(work / "run")
    done = run(work, "run", *options)
    assert done.returncode == 1
    assert done.stderr == f"run/{name} is a symbolic link, and nothing is written there\n"
    assert victim.read_bytes() == b"the only copy"
    assert read_all(work / "run") == before


def test_other_numbers_are_other_settings(folder: Path, tmp_path: Path) -> None:
    work = copy_script(folder, tmp_path / "work")
    with np.load(work / "iris.npz") as data:
        arrays = dict(data)
    arrays["features"][0, 0] += 1
    np.savez(work / "iris.npz", **arrays)
    before = read_all(work / "run")
    done = run(work, "run", "--resume")
    assert done.returncode == 1
    assert "settings: data is " in done.stderr
    assert read_all(work / "run") == before


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        (("epochs 3", "epochs 9"), "epochs"),
        (("batch 24", "batch 12"), "batch"),
        (("seed 0\n}", "seed 1\n}"), "seed"),
        (("lr=0.1", "lr=0.2"), "learning rate"),
        (("momentum=0.9", "momentum=0.8"), "optimizer"),
        (("schedule=cosine", "schedule=exponential(0.9)"), "optimizer"),
        (("as hidden", "as renamed"), "nets"),
        (("dense(16)", "dense(17)"), "nets"),
        (("cross_entropy(logits, label)", "cross_entropy(logits / 2, label)"), "objective"),
        (("features -> standardize", "features / 2"), "columns"),
        (("train=96, val=27", "train=95, val=28"), "split"),
        (("seed 0\n}", 'seed 0  freeze "hidden.bias"\n}'), "freeze"),
        (("seed 0\n}", "seed 0  clip 1.0\n}"), "clip norm"),
        (("seed 0\n}", "seed 0  until stalled(val.loss, epochs=2)\n}"), "patience"),
        (("seed 0\n}", "seed 0  precision bf16\n}"), "precision"),
    ],
)
def test_every_setting_is_compared(
    folder: Path, tmp_path: Path, change: tuple[str, str], setting: str
) -> None:
    text = SPEC.replace(*change)
    assert text != SPEC
    (found,) = refuse(text, folder, tmp_path)
    assert found.code == "W1207"
    assert setting in found.text.label


def refuse(text: str, folder: Path, tmp_path: Path, **options: bool) -> list[Message]:
    train = open_train(text, tmp_path)
    try:
        refuse_loss(train, folder / "run", **{"resume": True, **options})
    except CompileError as error:
        return list(error.messages)
    return []


def test_the_same_settings_go_on(folder: Path, tmp_path: Path) -> None:
    assert refuse(SPEC, folder, tmp_path) == []
    others = SPEC.replace("Net", "Other").replace("\ntrain", "\n# another place\ntrain")
    assert refuse(others, folder, tmp_path) == []
    assert [m.code for m in refuse(SPEC, folder, tmp_path, resume=False)] == ["W1206"]
    assert refuse(SPEC.replace("epochs 3", "epochs 9"), folder, tmp_path, overwrite=True) == []
    train = open_train(SPEC, tmp_path)
    refuse_loss(train, tmp_path / "fresh")


@pytest.mark.parametrize(
    "left",
    [
        ("metrics.jsonl",),  # killed behind the first line of the log
        ("metrics.jsonl", "best.safetensors"),  # and before the first checkpoint
    ],
    ids=len,
)
def test_a_training_killed_before_its_first_checkpoint_goes_on(
    folder: Path, tmp_path: Path, left: tuple[str, ...]
) -> None:
    work = copy_script(folder, tmp_path / "work")
    for name in RESULTS:
        if name not in left:
            (work / "run" / name).unlink()
    assert run(work, "run", "--resume").returncode == 0
    check_equal(folder / "run", work / "run")


@pytest.mark.parametrize("missing", ["last.safetensors", "best.safetensors"])
def test_half_of_a_training_is_not_gone_on_with(folder: Path, tmp_path: Path, missing: str) -> None:
    work = copy_script(folder, tmp_path / "work")
    (work / "run" / missing).unlink()
    before = read_all(work / "run")
    done = run(work, "run", "--resume")
    assert done.returncode == 1
    assert "run lacks what --resume needs" in done.stderr
    assert read_all(work / "run") == before


def test_what_was_trained_before_is_set_aside(folder: Path, tmp_path: Path) -> None:
    work = copy_script(folder, tmp_path / "work") / "run"
    before = read_all(work)
    kept = set_aside(work, {"model.py": b"code"})
    assert kept is not None
    assert kept.parent == work / "earlier"
    assert not [name for name in RESULTS if (work / name).exists()]
    assert (kept / "model.py").read_bytes() == b"code"
    for name in RESULTS:
        assert (kept / name).read_bytes() == before[name]
    assert set_aside(work, {}) is None


def test_a_figure_that_is_never_a_number_is_said(tmp_path: Path) -> None:
    text = SPEC.replace(
        "accuracy(logits, label)", "accuracy(logits, label, mask=label > 7)"
    ).replace("epochs 3", "epochs 1")
    folder = write(text, tmp_path)
    done = run(folder, "run")
    assert done.returncode == 1
    assert done.stderr.endswith("val.accuracy was not a number in any epoch\n")


def test_settings_are_read_as_they_are_written(folder: Path) -> None:
    from safetensors import safe_open

    with safe_open(folder / "run" / "best.safetensors", "np") as file:
        settings = json.loads(file.metadata()["progress"])["settings"]
    assert settings["learning rate"] == 0.1
    assert settings["optimizer"].startswith("sgd(lr=0.1, momentum=0.9, ")
    assert isinstance(settings["data"], int)


def test_a_renamed_layer_leaves_the_trained_weights(tmp_path: Path) -> None:
    save_data(tmp_path)
    spec, fit = tmp_path / "spec.weft", tmp_path / "out" / "fit"
    spec.write_text(SPEC)

    def weft(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "weft.cli.main", *arguments, "-o", str(tmp_path / "out")]
        environment = {**one_thread(), "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert weft("train", "spec.weft")[0] == 0
    before = read_all(fit)
    spec.write_text(SPEC.replace("as hidden", "as renamed"))
    for options, code in (((), "W1206"), (("--resume",), "W1207")):
        status, said = weft("train", "spec.weft", *options)
        assert status == 1
        assert code in said
        assert read_all(fit) == before
    status, said = weft("build", "spec.weft")
    assert status == 0, said
    (kept,) = (fit / "earlier").iterdir()
    assert str(kept) in said
    for name in (*RESULTS, "model.py", "train.py"):
        assert (kept / name).read_bytes() == before[name]
    assert (fit / "best.safetensors").read_bytes() != before["best.safetensors"]
