"""Checkpoints in several files: an index and its shards, folders, and what is no safetensors."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from compiler.ir.weights import open_weights, write_weights
from compiler.loading import find_loaded, open_sources
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.repositories import (
    hub_file_unclear,
    index_false,
    weights_pickled,
)
from compiler.report.messages.weights import weight_shape, weights_unreadable
from tests.elaborating import elaborate
from tests.test_commands import weft

NET = """
model Net {
    input x: f32[n, 4]
    output y = x -> dense(3, bias=false) as a -> dense(2, bias=false) as b
}
"""
A = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4)}
B = {"b.weight": np.ones((2, 3), np.float32)}
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
PLACES = {"a.weight": FIRST, "b.weight": SECOND}


def write_shards(folder: Path, places: Any = PLACES, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    write_weights(folder / FIRST, files.get("first", A), {})
    write_weights(folder / SECOND, files.get("second", B), {})
    index = {"metadata": {"total_size": 72}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def load(folder: Path, file: str) -> dict[str, np.ndarray]:
    return find_loaded(elaborate(f'{NET}net n = Net() -> load("{file}")\n')[0]["n"], folder)


def refuse(folder: Path, file: str) -> Message:
    with pytest.raises(CompileError) as caught:
        load(folder, file)
    (message,) = caught.value.messages
    assert message.span is not None
    return message


@pytest.mark.parametrize("file", [f"c/{INDEX}", "c", "c/", "c/model-*.safetensors"])
def test_shards_are_read_by_their_index_folder_or_pattern(tmp_path: Path, file: str) -> None:
    write_shards(tmp_path / "c")
    found = load(tmp_path, file)
    for path, array in (A | B).items():
        np.testing.assert_array_equal(found[path], array)


def test_a_folder_has_one_file_of_weights(tmp_path: Path) -> None:
    for name in ("other.safetensors", "model.safetensors"):
        write_weights(tmp_path / "c" / name, A | B, {})
        assert load(tmp_path, "c").keys() == (A | B).keys()
    (tmp_path / "c" / "model.safetensors").unlink()
    write_weights(tmp_path / "c" / "more.safetensors", A | B, {})
    message = refuse(tmp_path, "c")
    assert message.kind is hub_file_unclear
    assert "`more.safetensors` and `other.safetensors`" in message.text.title
    (tmp_path / "empty").mkdir()
    assert "has no safetensors file" in refuse(tmp_path, "empty").text.title
    (tmp_path / "empty" / "pytorch_model.bin").write_bytes(b"")
    assert "only `pytorch_model.bin`" in refuse(tmp_path, "empty").text.title


@pytest.mark.parametrize(
    ("places", "files", "said"),
    [
        (PLACES | {"b.weight": FIRST}, {}, f"`{FIRST}` has no `b.weight`"),
        (PLACES | {"c.weight": SECOND}, {}, f"`{SECOND}` has no `c.weight`"),
        ({"a.weight": FIRST}, {"first": A | B}, f"`{FIRST}` holds `b.weight`, which it says is"),
        (PLACES, {"first": A | B}, f"which it says is in `{SECOND}`"),
        (PLACES | {"b.weight": "../x.safetensors"}, {}, "does not lie beside it"),
        (PLACES | {"b.weight": "/etc/passwd"}, {}, "does not lie beside it"),
        (PLACES | {"b.weight": ".."}, {}, "does not lie beside it"),
        (PLACES | {"b.weight": "sub\\x.safetensors"}, {}, "does not lie beside it"),
        (PLACES | {"b.weight": 7}, {}, "does not lie beside it"),
        (PLACES | {"b.weight": "gone.safetensors"}, {}, "there is no file `gone.safetensors`"),
        (PLACES | {"b.weight": "model.bin"}, {}, "no safetensors file"),
        ({}, {}, "has no `weight_map`"),
        ([], {}, "has no `weight_map`"),
        (None, {}, "has no `weight_map`"),
    ],
)
def test_an_index_that_lies_is_refused(
    tmp_path: Path, places: Any, files: dict[str, Any], said: str
) -> None:
    write_weights(tmp_path / "x.safetensors", B, {})
    write_shards(tmp_path / "c", places, **files)
    message = refuse(tmp_path, "c")
    assert message.kind is index_false
    assert said in message.text.title


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[1]", "no `weight_map`"),
        ("[" * 100_000, "it is not JSON"),
        ('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "names `a` twice"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / INDEX).write_text(text)
    message = refuse(tmp_path, INDEX)
    assert message.kind is index_false
    assert said in message.text.title


def test_a_missing_index_and_a_missing_folder(tmp_path: Path) -> None:
    assert refuse(tmp_path, INDEX).kind is weights_unreadable
    assert refuse(tmp_path, "gone/").kind is weights_unreadable


@pytest.mark.parametrize("archive", [True, False])
def test_pickles_are_refused_with_the_way_out(tmp_path: Path, archive: bool) -> None:
    state = {path: torch.from_numpy(array) for path, array in (A | B).items()}
    torch.save(state, tmp_path / "m.bin", _use_new_zipfile_serialization=archive)
    message = refuse(tmp_path, "m.bin")
    assert message.kind is weights_pickled
    assert message.text.help is not None
    line = message.text.help.split("`")[1].replace("FILE", repr(str(tmp_path / "m.bin")))
    line = line.replace("model.safetensors", str(tmp_path / "m.safetensors"))
    exec(f"import torch; {line}")
    assert load(tmp_path, "m.safetensors").keys() == (A | B).keys()


def test_shapes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.zeros(4096, 4096, dtype=torch.bfloat16)}
    save_file(tensors, tmp_path / "m.safetensors")
    tracemalloc.start()
    with pytest.raises(CompileError) as caught:
        load(tmp_path, "m.safetensors")
    open_weights(tmp_path / "m.safetensors")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert weight_shape in [m.kind for m in caught.value.messages]
    assert peak < 8 << 20, "64 MiB as f32"


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    write_shards(tmp_path / "c")
    text = f'{NET}net n = Net() -> load("c", only=["a"])\n'
    (source,) = open_sources(elaborate(text)[0]["n"], tmp_path)
    assert source.tensors.keys() == A.keys()


def test_commands_take_folders_and_indexes(tmp_path: Path) -> None:
    write_shards(tmp_path / "c")
    (tmp_path / "net.weft").write_text(f'{NET}net n = Net() -> load("c")\n')
    for file in ("c", f"c/{INDEX}"):
        listed = weft("weights", file, cwd=tmp_path)
        assert "2 tensors, 18 numbers" in listed.stdout
    done = weft("compile", "net.weft", "-o", "out", "--pytorch", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = weft("compile", "net.weft", "-o", "o2", "--onnx", "--weights", "c", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
