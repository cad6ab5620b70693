"""`weft compile` leaves the weights of the module that it writes, under the paths of the module."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compiler.ir.weights import read_weights, write_weights
from tests.test_commands import weft

SPEC = """
model Net {
    input x: f32[batch, 4]
    output y = x -> dense(3) as body -> batch_norm as bn -> dense(2) as head
    output z = x -> dense(2) as other
}
net loaded = Net() -> load("given.safetensors", rename=["old" -> "body"])
deploy loaded as onnx { outputs y }
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    shapes = {"old.weight": (3, 4), "old.bias": (3,), "head.weight": (2, 3), "head.bias": (2,)}
    shapes |= {"other.weight": (2, 4), "other.bias": (2,)}
    shapes |= {f"bn.{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")}
    arrays = {name: random.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    write_weights(tmp_path / "given.safetensors", arrays, {})
    (tmp_path / "net.weft").write_text(SPEC)
    return tmp_path / "net.weft"


def run_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_renamed_weights_reach_the_module(spec: Path, tmp_path: Path) -> None:
    done = weft("compile", str(spec), "-o", str(tmp_path / "out"), "--pytorch")
    assert done.returncode == 0, done.stderr
    net = run_module(tmp_path / "out" / "loaded.py").Net().eval()
    net.load_state_dict(load_file(tmp_path / "out" / "loaded.safetensors"), strict=True)
    given = read_weights(tmp_path / "given.safetensors")
    assert torch.equal(net.body.weight, torch.tensor(given["old.weight"]))
    assert torch.equal(net.bn.running_var, torch.tensor(given["bn.running_var"]))


def test_a_file_for_the_whole_net_serves_a_part_of_it(spec: Path, tmp_path: Path) -> None:
    given = read_weights(tmp_path / "given.safetensors")
    whole = {name.replace("old.", "body."): np.array(array) for name, array in given.items()}
    write_weights(tmp_path / "whole.safetensors", whole, {})
    weights = ("--weights", str(tmp_path / "whole.safetensors"))
    done = weft("compile", str(spec), "-o", str(tmp_path / "out"), "--pytorch", *weights)
    assert done.returncode == 0, done.stderr
    assert "other.weight" not in read_weights(tmp_path / "out" / "loaded.safetensors")
    write_weights(tmp_path / "whole.safetensors", whole | {"gate": np.zeros(2)}, {})
    done = weft("compile", str(spec), "-o", str(tmp_path / "out"), "--pytorch", *weights)
    assert done.returncode == 1
    assert "error[W1371]" in done.stderr


def test_fresh_weights_are_not_written(spec: Path, tmp_path: Path) -> None:
    done = weft("compile", str(spec), "--item", "Net", "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == [".weft", "Net.onnx", "Net.py"]


def test_weights_of_the_user_are_not_written_over(spec: Path, tmp_path: Path) -> None:
    mine = tmp_path / "loaded.safetensors"
    write_weights(mine, {"mine": np.ones(3, np.float32)}, {})
    done = weft("compile", str(spec), "-o", str(tmp_path), "--pytorch")
    assert done.returncode == 1
    assert "error[W1374]" in done.stderr
    assert list(read_weights(mine)) == ["mine"]
    assert not (tmp_path / "loaded.py").exists()
    mine.unlink()
    for _ in range(2):  # what it wrote itself may be written again
        assert weft("compile", str(spec), "-o", str(tmp_path), "--pytorch").returncode == 0


def test_the_file_that_is_read_stays_as_it_is(spec: Path, tmp_path: Path) -> None:
    assert weft("compile", str(spec), "-o", str(tmp_path), "--pytorch").returncode == 0
    mine = tmp_path / "loaded.safetensors"
    arrays = {name: np.array(array) for name, array in read_weights(mine).items()}
    write_weights(mine, arrays, {})
    before = mine.read_bytes()
    done = weft("compile", str(spec), "-o", str(tmp_path), "--pytorch", "--weights", str(mine))
    assert done.returncode == 0, done.stderr
    assert mine.read_bytes() == before
