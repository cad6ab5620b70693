"""Files that someone has edited, and what a training left, in a folder that is built again."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import weft
from compiler.ir.weights import write_weights
from tests.table_train import TABLE, write_table
from weft.cli.main import run_command
from weft.results.setting_aside import set_aside

EDIT = "\n# mine\n"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_table(tmp_path)


def edit(path: Path) -> str:
    text = path.read_text() + EDIT
    path.write_text(text)
    return text


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["weft", *words])
        with pytest.raises(SystemExit) as end:
            run_command()
    assert end.value.code == 0
    return "".join(capsys.readouterr())


def find_kept(path: Path) -> list[Path]:
    return sorted((path.parent / "earlier").glob(f"*/{path.name}"))


@pytest.mark.parametrize("name", ["train.py", "model.py", "README.md"])
def test_a_build_keeps_what_was_edited(
    spec: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    build = ("build", "net.weft", "-o", "out")
    run(capsys, *build)
    path = spec.parent / "out" / "fit" / name
    written = path.read_text()
    edited = edit(path)
    said = run(capsys, *build)
    assert "train fit: up to date" in said
    (kept,) = find_kept(path)
    assert (kept.read_text(), path.read_text()) == (edited, written)
    assert str(kept.relative_to(spec.parent)) in said
    assert "not as Weft wrote it" not in run(capsys, *build)


def test_what_weft_wrote_is_replaced_without_a_copy(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in (("build",), ("build", "--force"), ("train", "--code-only")):
        spec.write_text(spec.read_text().replace("sgd(lr=0.1", "sgd(lr=0.11"))
        said = run(capsys, word[0], "net.weft", "-o", "out", *word[1:])
        assert "not as Weft wrote it" not in said


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("compile", "--pytorch"), "Net.py"),
        (("train", "--code-only"), "fit/train.py"),
        (("train", "--code-only"), "fit/model.py"),
    ],
)
def test_commands_keep_what_was_edited(
    spec: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], file: str
) -> None:
    command = (words[0], "net.weft", "-o", "out", *words[1:])
    path = spec.parent / "out" / file
    path.parent.mkdir(parents=True)
    path.write_text("somebody's\n")
    assert "a copy is kept" in run(capsys, *command)
    assert [kept.read_text() for kept in find_kept(path)] == ["somebody's\n"]
    assert "a copy is kept" not in run(capsys, *command)
    edited = edit(path)
    spec.write_text(spec.read_text().replace("dense(64)", "dense(65)"))
    assert "a copy is kept" in run(capsys, *command)
    assert edited in [kept.read_text() for kept in find_kept(path)]


def test_code_of_a_variant_that_was_edited_is_kept(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(TABLE + "variant tiny of fit { apply quantize(stored8) }\n")
    build = ("build", "net.weft", "-o", "out")
    run(capsys, *build)
    edited = edit(spec.parent / "out" / "tiny" / "model.py")
    assert "a copy is kept" in run(capsys, *build)
    (kept,) = find_kept(spec.parent / "out" / "tiny" / "model.py")
    assert kept.read_text() == edited


@pytest.mark.parametrize(
    "file",
    [
        "tiny.onnx",
        "fit.onnx",
        "tiny/weights.safetensors",
        "tiny/finetune/train.py",
        "tiny/base.onnx",
        "report.md",
        "report.json",
    ],
)
def test_a_build_keeps_every_kind_of_file(
    spec: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    passes = "finetune(epochs=1) -> quantize(stored8)"
    more = f"variant tiny of fit {{ apply {passes} }}\ndeploy fit as onnx {{ opset 21 }}\n"
    spec.write_text(TABLE + more)
    build = ("build", "net.weft", "-o", "out")
    run(capsys, *build)
    assert "a copy is kept" not in run(capsys, *build)
    path = spec.parent / "out" / file
    edited = path.read_bytes() + b" "
    path.write_bytes(edited)
    if file.endswith("train.py"):
        spec.write_text(spec.read_text().replace("epochs=1", "epochs=2"))
    said = run(capsys, *build)
    (kept,) = find_kept(path)
    assert kept.read_bytes() == edited
    assert path.read_bytes() != edited
    assert str(kept.relative_to(spec.parent)) in said
    assert "a copy is kept" not in run(capsys, *build)


def test_compiled_weights_and_files_are_kept(
    spec: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(capsys, "compile", "net.weft", "-o", "first")  # fresh weights
    weights = {"dense.weight": (64, 2), "dense.bias": (64,)}
    weights |= {"head.weight": (2, 64), "head.bias": (2,)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in weights.items()}
    write_weights(tmp_path / "w.safetensors", arrays, {})
    command = ("compile", "net.weft", "-o", "out", "--weights", "w.safetensors")
    run(capsys, *command)
    assert "a copy is kept" not in run(capsys, *command)
    for name in ("Net.onnx", "Net.safetensors"):
        path = spec.parent / "out" / name
        written = path.read_bytes()
        changed = {n: a + 1 for n, a in arrays.items()}
        if name.endswith("onnx"):
            path.write_bytes(b"mine")
        else:
            write_weights(path, changed, {"made_by": "weft compile"})
        edited = path.read_bytes()
        assert "a copy is kept" in run(capsys, *command)
        assert [kept.read_bytes() for kept in find_kept(path)] == [edited]
        assert path.read_bytes() == written


def test_a_file_that_was_only_written_again_is_not_kept(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("compile", "net.weft", "-o", "out", "--pytorch")
    run(capsys, *command)
    (spec.parent / "out" / ".weft" / "code.json").unlink()
    assert "a copy is kept" not in run(capsys, *command)
    assert not (spec.parent / "out" / "earlier").exists()


def test_python_is_warned_of_copies(spec: Path) -> None:
    loaded = weft.load(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.build("out", device="cpu")
    edit(Path("out") / "fit" / "model.py")
    with pytest.warns(UserWarning, match="not as Weft wrote it") as told:
        loaded.build("out", device="cpu")
    assert told[0].filename == __file__
    edit(Path("out") / "fit" / "train.py")
    with pytest.warns(UserWarning, match="a copy is kept"):
        loaded.train("fit", "out", resume=True, device="cpu")


@pytest.mark.parametrize("damage", [b"", b'{"epochs": 9}', None])
def test_damaged_figures_are_written_again_and_nothing_is_trained(
    spec: Path, capsys: pytest.CaptureFixture[str], damage: bytes | None
) -> None:
    build = ("build", "net.weft", "-o", "out")
    run(capsys, *build)
    fit = spec.parent / "out" / "fit"
    names = ("results.json", "metrics.jsonl", "best.safetensors")
    before = [(fit / name).read_bytes() for name in names]
    if damage is None:
        (fit / "results.json").unlink()
    else:
        (fit / "results.json").write_bytes(damage)
    said = run(capsys, *build)
    assert "results.json is written again" in said
    assert "train fit: up to date" in said
    assert [(fit / name).read_bytes() for name in names] == before
    assert [kept.read_bytes() for kept in find_kept(fit / "results.json")] == (
        [damage] if damage is not None else []
    )


def test_a_training_with_the_same_weights_replaces_none_that_is_kept(tmp_path: Path) -> None:
    kept = []
    for figures in ("first", "second", "third"):
        (tmp_path / "best.safetensors").write_bytes(b"the same")
        (tmp_path / "results.json").write_text(figures)
        folder = set_aside(tmp_path, {"train.py": figures.encode()})
        assert folder is not None
        kept.append(folder)
    assert len(set(kept)) == 3
    for folder, figures in zip(kept, ("first", "second", "third"), strict=True):
        assert (folder / "results.json").read_text() == figures
        assert (folder / "train.py").read_text() == figures


def test_a_move_that_was_interrupted_goes_on_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"the same")
    folder = set_aside(tmp_path, {"train.py": b"old"})
    assert folder is not None
    (folder / "best.safetensors").replace(tmp_path / "best.safetensors")
    assert set_aside(tmp_path, {"train.py": b"new"}) == folder
    assert (folder / "train.py").read_bytes() == b"old"
