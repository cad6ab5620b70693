"""Every file that a training left is part of its build: changed or deleted, it is made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import weft
from backends.onnx_runtime.session import Device
from tests.table_train import write_table
from weft.building.build import Build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    weft.load(write_table(folder)).build(folder / "out", device="cpu")
    return folder


def build_again(folder: Path) -> str:
    said: list[str] = []
    program = weft.load(folder / "net.weft").program
    Build(program, folder / "out", Device.CPU, echo=said.append).run()
    return "\n".join(said)


@pytest.mark.parametrize("name", ["results.json", "metrics.jsonl"])
@pytest.mark.parametrize("deleted", [False, True])
def test_figures_are_written_again(name: str, deleted: bool, built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "copy")
    path = tmp_path / "copy" / "out" / "fit" / name
    before = path.read_bytes()
    weights = path.with_name("best.safetensors").read_bytes()
    if deleted:
        path.unlink()
    else:
        path.write_bytes(before + b"\n")
    said = build_again(tmp_path / "copy")
    assert f"{path} is written again from the record of the build" in said
    assert "train fit: up to date" in said
    assert path.read_bytes() == before
    assert path.with_name("best.safetensors").read_bytes() == weights


@pytest.mark.parametrize("deleted", [False, True])
def test_a_checkpoint_is_learned_again(deleted: bool, built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "copy")
    path = tmp_path / "copy" / "out" / "fit" / "last.pt"
    before = path.read_bytes()
    if deleted:
        path.unlink()
    else:
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert "train fit: training" in build_again(tmp_path / "copy")
    assert path.is_file()
    assert "train fit: up to date" in build_again(tmp_path / "copy")
