"""Weights files: mapped, refused where malformed, renamed by pattern."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from hypothesis import given
from hypothesis import strategies as st

from compiler.ir.weights import WeightsError, match_paths, read_weights, write_weights
from compiler.weights.layout import rename_path


def test_reads_what_it_writes(tmp_path: Path) -> None:
    weights = {
        "head.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "step": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 4), dtype=np.float16),
        "mask": np.array([True, False]),
    }
    path = tmp_path / "folder" / "w.safetensors"
    write_weights(path, weights, {"spec": "x"})
    found = read_weights(path)
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)
    assert list(path.parent.iterdir()) == [path]


def test_reads_what_torch_writes_bf16_included(tmp_path: Path) -> None:
    import torch

    tensors = {
        "a": torch.randn(3, 5, generator=torch.manual_seed(0)),
        "b": torch.randn(7, generator=torch.manual_seed(1)).to(torch.bfloat16),
        "c": torch.arange(4),
    }
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(tensors, path)
    found = read_weights(path)
    for name, tensor in tensors.items():
        expected = tensor.float().numpy() if tensor.dtype is torch.bfloat16 else tensor.numpy()
        assert np.array_equal(found[name], expected), name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"PK\x03\x04 a zip file, as torch.save writes", "a pickle of PyTorch"),
        (b"\x80\x02}q\x00(X\x01\x00\x00\x00a", "a pickle of PyTorch"),
        (struct.pack("<Q", 640) + b"{}", "cut short"),
        (struct.pack("<Q", 4) + b"nope", "not JSON"),
        (struct.pack("<Q", 2) + b"[]", "not an object"),
        (struct.pack("<Q", 20) + b'{"a":{"dtype":"F32"}', "not JSON"),
    ],
)
def test_refuses_what_is_no_safetensors_file(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=reason):
        read_weights(path)


def test_refuses_offsets_outside_the_file(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(WeightsError, match="a lies outside the file"):
        read_weights(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        read_weights(tmp_path / "gone.safetensors")


def test_patterns_name_paths_and_what_is_below_them() -> None:
    paths = ["layer1.0.conv1.weight", "layer1.0.bn1.bias", "layer10.0.conv1.weight", "fc.bias"]
    assert match_paths(paths, ["layer1"]) == paths[:2]
    assert match_paths(paths, ["*.bias"]) == [paths[1], paths[3]]
    assert match_paths(paths, []) == []


@pytest.mark.parametrize(
    ("path", "rules", "expected"),
    [
        ("enc.a.b", [("enc.*", "body.*")], "body.a.b"),
        ("enc", [("enc.*", "body.*")], "enc"),
        (
            "encoder.layers.encoder_layer_3.ln_1",
            [("*.encoder_layer_*", "*.*")],
            "encoder.layers.3.ln_1",
        ),
        ("x.in_proj_bias", [("*.in_proj_bias", "*.in_proj.bias")], "x.in_proj.bias"),
        ("old.w", [("old", "new")], "new.w"),
        ("older.w", [("old", "new")], "older.w"),
        ("a.w", [("a.*", "b.*"), ("b.*", "c.*")], "c.w"),
    ],
)
def test_renames_by_pattern(path: str, rules: list[tuple[str, str]], expected: str) -> None:
    assert rename_path(path, rules) == expected


@given(st.text("ab.", min_size=1, max_size=8))
def test_a_star_keeps_the_text_it_stands_for(path: str) -> None:
    assert rename_path(path, [("*", "new.*")]) == f"new.{path}"


def write_file(path: Path, header: str, data: bytes = bytes(16)) -> Path:
    """A safetensors file with a header as it stands."""
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + data)
    return path


def entry(dtype: object = "F32", shape: object = (4,), offsets: object = (0, 16)) -> str:
    """An entry of a header."""
    return json.dumps({"dtype": dtype, "shape": shape, "data_offsets": offsets})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (f'{{"a": {entry(shape=(5,))}}}', r"a is F32 of the shape \[5\], and has 16 bytes"),
        (f'{{"a": {entry(shape=(-2, -2))}}}', r"of the shape \[-2, -2\]"),
        (f'{{"a": {entry(shape=(2**62, 2**62, 0))}}}', "and has 16 bytes"),
        (f'{{"a": {entry()}, "b": {entry(shape=(2**62, 2**62, 0), offsets=(16, 16))}}}', "0 bytes"),
        (f'{{"a": {entry()}, "b": {entry(shape=(2**63, 0), offsets=(16, 16))}}}', "0 bytes"),
        (f'{{"a": {entry()}, "b": {entry(shape=(10**30, 0), offsets=(0, 0))}}}', "0 bytes"),
        (f'{{"a": {entry(shape=[1] * 65 + [4])}}}', "and has 16 bytes"),
        (f'{{"a": {entry(shape=(4.0,))}}}', "the entry of a is malformed"),
        (f'{{"a": {entry(shape=(True, 4))}}}', "the entry of a is malformed"),
        (f'{{"a": {entry(shape="4")}}}', "the entry of a is malformed"),
        (f'{{"a": {entry(dtype="F8_E4M3")}}}', "which Weft does not read"),
        (f'{{"a": {entry(dtype=["F32"])}}}', "the entry of a is malformed"),
        (f'{{"a": {entry(dtype="BF16")}}}', "of the shape"),
        (f'{{"a": {entry(offsets=(0, 16, 16))}}}', "the entry of a is malformed"),
        (f'{{"a": {entry(offsets=(-16, 0))}}}', "a lies outside the file"),
        (f'{{"a": {entry()}, "b": {entry()}}}', "a and b lie on the same bytes"),
        (
            f'{{"a": {entry()}, "b": {entry(shape=(0,), offsets=(4, 4))}, '
            f'"c": {entry(shape=(1,), offsets=(8, 12))}}}',
            "a and c lie on the same bytes",
        ),
        (f'{{"a": {entry(shape=(2,), offsets=(0, 8))}}}', "its last 8 bytes are of no tensor"),
        (f'{{"a": {entry(shape=(2,), offsets=(8, 16))}}}', "8 bytes before a are of no tensor"),
        (f'{{"a": {entry("BOOL", (16,))}}}', "bytes that are no booleans"),
        (f'{{"a": {entry()}, "__metadata__": {{"a": 1}}}}', "metadata is not text"),
        (f'{{"a": {entry()}, "__metadata__": [1]}}', "metadata is not text"),
        (
            f'{{"a": {entry()}, "__metadata__": {{"training": "{{}}"}}}}',
            "are not those that a training wrote",
        ),
        (f'{{"a": {entry()}, "a": {entry()}}}', "names a twice"),
        ("[" * 100_000 + "]" * 100_000, "its header is no"),
        ('{"a": 3}', "the entry of a is malformed"),
    ],
)
def test_refuses_entries_that_do_not_hold(tmp_path: Path, header: str, reason: str) -> None:
    data = bytes([*range(16)]) if "BOOL" in header else bytes(16)
    with pytest.raises(WeightsError, match=reason):
        read_weights(write_file(tmp_path / "w.safetensors", header, data))


def test_metadata_of_others_is_theirs(tmp_path: Path) -> None:
    for note in ("null", '{"training": "50 %"}', '{"format": "pt"}'):
        header = f'{{"a": {entry()}, "__metadata__": {note}}}'
        assert read_weights(write_file(tmp_path / "w.safetensors", header))["a"].shape == (4,)


@pytest.mark.timed
def test_a_name_that_stands_there_twice_is_found_in_time(tmp_path: Path) -> None:
    names = ", ".join(f'"{number}": 0' for number in range(200_000))
    start = time.process_time()
    with pytest.raises(WeightsError, match="names 199999 twice"):
        read_weights(write_file(tmp_path / "w.safetensors", f'{{{names}, "199999": 0}}'))
    assert time.process_time() - start < 2


def test_empty_tensors_share_no_bytes(tmp_path: Path) -> None:
    empty = entry(shape=(0, 4), offsets=(8, 8))
    header = f'{{"a": {entry()}, "b": {empty}, "c": {empty}}}'
    found = read_weights(write_file(tmp_path / "w.safetensors", header))
    assert {name: array.shape for name, array in found.items()} == {
        "a": (4,),
        "b": (0, 4),
        "c": (0, 4),
    }
