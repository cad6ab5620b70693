"""Nothing that a training left is lost, and none goes on with other settings."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from backends.pytorch.run.running import refuse_loss, run_training
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import RESULTS, expand_settings, read_settings
from compiler.loading import read_training
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
    assert "run/last.pt was trained with " in done.stderr
    assert done.stderr.count("EPOCHS=") == 2
    assert read_all(work / "run") == before


def change_byte(path: Path, place: int) -> None:
    """One bit is another: the file is as whole as before."""
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def find_number(path: Path) -> int:
    """Where a file of `torch.save` has its first number."""
    with ZipFile(path) as archive:
        part = next(item for item in archive.infolist() if item.filename.endswith("/data/0"))
    raw = path.read_bytes()
    names, extra = struct.unpack("<HH", raw[part.header_offset + 26 : part.header_offset + 30])
    return part.header_offset + 30 + names + extra


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a bit of a number": lambda path: change_byte(path, find_number(path)),
    "a byte of the record": lambda path: change_byte(path, path.read_bytes().index(b"epoch") + 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_not_gone_on_with(
    damage: str, folder: Path, tmp_path: Path
) -> None:
    work = copy_script(folder, tmp_path / "work")
    DAMAGES[damage](work / "run" / "last.pt")
    before = read_all(work / "run")
    (found,) = refuse(SPEC, work, tmp_path / "spec")
    assert found.code == "W0906"
    assert "last.pt is damaged" in found.text.title + str(found.text.label)
    with pytest.raises(CompileError, match="damaged"):
        run_training(work, data_root=work, out=work / "run", resume=True, device="cpu")
    assert read_all(work / "run") == before


def test_the_best_weights_are_those_that_were_learned(folder: Path, tmp_path: Path) -> None:
    work = copy_script(folder, tmp_path / "work")
    change_byte(work / "run" / "best.safetensors", -4)
    with pytest.raises(CompileError, match="damaged"):
        run_training(work, data_root=work, out=work / "run", resume=True, device="cpu")


def test_a_checkpoint_holds_no_code(folder: Path, tmp_path: Path) -> None:
    """What a pickle would run is not run."""
    work = copy_script(folder, tmp_path / "work")
    torch.save({"settings": Path("x")}, work / "run" / "last.pt")
    done = run(work, "run", "--resume")
    assert done.returncode == 1
    assert "UnpicklingError" in done.stderr


@pytest.mark.parametrize("name", ["metrics.jsonl", "results.json", "last.part", "best.safetensors"])
def test_nothing_is_written_through_a_link(name: str, folder: Path, tmp_path: Path) -> None:
    work = copy_script(folder, tmp_path / "work")
    victim = tmp_path / "victim"
    victim.write_bytes(b"the only copy")
    (work / "run" / name).unlink(missing_ok=True)
    (work / "run" / name).symlink_to(victim)
    before = read_all(work / "run")
    for option in ("resume", "overwrite"):
        with pytest.raises(CompileError, match="symbolic link"):
            run_training(work, data_root=work, out=work / "run", device="cpu", **{option: True})
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
    assert "was trained with" in done.stderr
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
        (("seed 0\n}", "seed 0  clip 1.0\n}"), "clip"),
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
    tmp_path.mkdir(exist_ok=True)
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


def test_a_training_killed_before_its_first_checkpoint_begins_anew(
    folder: Path, tmp_path: Path
) -> None:
    """Its log and its best weights are there, what it goes on from is not."""
    work = copy_script(folder, tmp_path / "work")
    (work / "run" / "last.pt").unlink()
    before = read_all(work / "run")
    done = run(work, "run", "--resume")
    assert "run holds a training" in done.stderr
    assert read_all(work / "run") == before
    run_training(work, data_root=work, out=work / "run", resume=True, overwrite=True, device="cpu")
    check_equal(folder / "run", work / "run")


@pytest.mark.parametrize("missing", ["last.pt", "best.safetensors"])
def test_half_of_a_training_is_not_gone_on_with(folder: Path, tmp_path: Path, missing: str) -> None:
    work = copy_script(folder, tmp_path / "work")
    (work / "run" / missing).unlink()
    (found,) = refuse(SPEC, work, tmp_path / "spec")
    assert found.code == "W1208"


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


def test_settings_are_read_as_they_are_written(folder: Path, tmp_path: Path) -> None:
    found = expand_settings(read_training(folder / "run" / "best.safetensors"))
    assert found.pop("data").startswith("[")
    assert found == read_settings(ScriptSpec(open_train(SPEC, tmp_path)))
    assert found["learning rate"] == "0.1"
    assert found["optimizer"].startswith("sgd(lr=0.1, momentum=0.9, ")


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
