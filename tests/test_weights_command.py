"""`weft weights`: what a file holds, and rules under which a net loads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from compiler.ir.weights import write_weights
from tests.test_commands import weft
from weft.api import loads
from weft.cli.rename_rules import propose_rules

NET = """
block layer(x: f32[n, d], hidden: int) {
    y = x -> layer_norm as ln_1 -> dense(hidden) as fc1 -> gelu -> dense(d) as fc2
    return x + y
}
model Net(layers: int = 3) {
    input x: f32[batch, 4]
    y = x -> layers * layer(6) as h -> layer_norm as ln_f
    output scores: f32[batch, 2] = y -> dense(2) as head
}
"""
RENAMINGS: dict[str, Callable[[str], str]] = {
    "same": lambda path: path,
    "parallel": lambda path: f"module.{path}",
    "compiled": lambda path: f"_orig_mod.{path}",
    "nested": lambda path: f"model.encoder.{path}",
    "layers": lambda path: re.sub(r"^h\.(\d+)", r"layers.block_\1", path),
    "words": lambda path: (
        path.replace("ln_1", "norm").replace("fc1", "mlp.up").replace("fc2", "mlp.down")
    ),
    "all": lambda path: (
        "transformer."
        + re.sub(r"^h\.", "blocks.", path).replace("ln_1", "norm1").replace("head", "classifier")
    ),
}


@pytest.mark.parametrize("name", RENAMINGS)
def test_the_proposed_rules_load_the_file(name: str, tmp_path: Path) -> None:
    weights = loads(NET).model("Net").weights(seed=1)
    renamed = {RENAMINGS[name](path): array for path, array in weights.items()}
    write_weights(tmp_path / "w.safetensors", renamed, {})
    (tmp_path / "net.weft").write_text(NET)
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    first, proposal = done.stdout.splitlines()
    assert first == f"{len(weights)} of {len(weights)} weights of Net are in w.safetensors"
    (tmp_path / "net.weft").write_text(f"{NET}\n{proposal}\n\ndeploy net as onnx {{ }}\n")
    compiled = weft("compile", "net.weft", "-o", "out", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    assert proposal.count("->") <= 5


def test_layers_keep_their_numbers() -> None:
    shapes = {f"h.{i}.w": (4, 4) for i in range(12)}
    found = {f"encoder.layer.{i}.w": (4, 4) for i in range(12)}
    made = propose_rules(found, shapes)
    assert (made.missing, made.surplus) == ((), ())
    assert len(made.rules) == 1


def test_what_nothing_fits_is_named(tmp_path: Path) -> None:
    weights = loads(NET).model("Net").weights(seed=1)
    weights["head.weight"] = np.zeros((9, 4), np.float32)
    weights["extra"] = np.zeros(3, np.float32)
    write_weights(tmp_path / "w.safetensors", weights, {})
    (tmp_path / "net.weft").write_text(NET)
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[-2] == "not in the file, or of another shape: head.weight"
    assert lines[-1] == "in the file only: extra, head.weight"


def test_a_file_is_listed_with_its_dtypes(tmp_path: Path) -> None:
    made = {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.zeros((), dtype=torch.int64)}
    save_file(made, tmp_path / "w.safetensors")
    done = weft("weights", "w.safetensors", cwd=tmp_path)
    assert sorted(done.stdout.splitlines()) == [
        "2 tensors, 7 numbers",
        "a  bf16[2, 3]",
        "b  i64[]",
    ]


def test_faults_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"PK")
    (tmp_path / "net.weft").write_text(NET + NET.replace("Net", "Other").replace("layer(", "l("))
    write_weights(tmp_path / "w.safetensors", {"a": np.zeros(2, np.float32)}, {})
    for arguments, code in (
        (("bad.safetensors",), "W0906"),
        (("absent.safetensors",), "W0906"),
        (("w.safetensors", "--for", "net.weft"), "W0904"),
        (("w.safetensors", "--for", "net.weft", "--net", "Nett"), "W0904"),
    ):
        done = weft("weights", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert f"error[{code}]" in done.stderr
