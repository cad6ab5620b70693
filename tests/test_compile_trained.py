"""`weft compile` of a deployed train takes the weights of its build, if they are of this spec."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compiler.ir.weights import read_weights
from tests.table_train import TABLE, write_table
from tests.test_commands import weft


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a spec and its build."""
    text = TABLE.replace("epochs 1", "epochs 1\n    seed 0") + "deploy fit as onnx\n"
    spec = write_table(tmp_path_factory.mktemp("built"), text)
    done = weft("build", str(spec), "-o", str(spec.parent / "built"))
    assert done.returncode == 0, done.stderr
    return spec.parent


def compile_copy(built: Path, to: Path, *changes: tuple[str, str]) -> tuple[int, str, Path]:
    """The status and output of a compilation of the spec with changes in it, and its folder."""
    shutil.copytree(built, to / "work")
    (spec,) = (to / "work").glob("*.weft")
    text = spec.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    spec.write_text(text)
    out = to / "out"
    done = weft("compile", str(spec), "--build", str(spec.parent / "built"), "-o", str(out))
    return done.returncode, done.stdout + done.stderr, out


def test_the_weights_of_the_build_are_taken(built: Path, tmp_path: Path) -> None:
    status, said, out = compile_copy(built, tmp_path)
    assert status == 0, said
    assert "is compiled with the weights of the build: " in said
    trained = read_weights(built / "built" / "fit" / "best.safetensors")
    (file,) = out.glob("*.safetensors")
    for path, array in read_weights(file).items():
        assert (array == trained[path]).all()


def test_weights_of_another_training_are_not(built: Path, tmp_path: Path) -> None:
    status, said, _ = compile_copy(built, tmp_path, ("seed 0", "seed 1"))
    assert status == 1
    assert "error[W0914]" in said


def test_weights_that_were_changed_are_not(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "changed")
    best = tmp_path / "changed" / "built" / "fit" / "best.safetensors"
    raw = best.read_bytes()
    best.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    status, said, _ = compile_copy(tmp_path / "changed", tmp_path)
    assert status == 1
    assert "error[W0914]" in said
