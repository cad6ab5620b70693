"""The record of a build: a stage is fresh while its key and its files are the same."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from backends.onnx_graph.metadata import weft_version
from compiler.system.files import replacing, write_text
from weft.building.version import identify_weft
from weft.results.cache import Cache, hash_file, hash_text


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "fit" / "best.safetensors"
    write_text(path, "weights")
    Cache(tmp_path).record("train fit", "key", [path], {"seconds": 1.5})
    return path


def test_a_stage_is_fresh_after_it_ran(tmp_path: Path, made: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.is_fresh("train fit", "key")
    assert cache.get_metadata("train fit") == {"seconds": 1.5}


def test_another_key_makes_it_stale(tmp_path: Path, made: Path) -> None:
    assert not Cache(tmp_path).is_fresh("train fit", "another key")


def test_a_changed_file_makes_it_stale(tmp_path: Path, made: Path) -> None:
    made.write_text("other weights")
    assert not Cache(tmp_path).is_fresh("train fit", "key")


def test_a_lost_file_makes_it_stale(tmp_path: Path, made: Path) -> None:
    made.unlink()
    assert not Cache(tmp_path).is_fresh("train fit", "key")


def test_an_unknown_stage_is_stale(tmp_path: Path, made: Path) -> None:
    assert not Cache(tmp_path).is_fresh("verify fit", "key")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"stages": {}}', '{"version": "", "stages": {"train fit": {"key": "key"}}}'],
)
def test_a_damaged_record_means_that_all_is_made_again(tmp_path: Path, text: str) -> None:
    (tmp_path / ".weft").mkdir()
    (tmp_path / ".weft" / "build.json").write_text(text)
    cache = Cache(tmp_path)
    assert not cache.is_fresh("train fit", "key")
    assert cache.get_metadata("train fit") == {}


def test_what_another_version_made_is_stale(tmp_path: Path, made: Path) -> None:
    assert not Cache(tmp_path, "another").is_fresh("train fit", "key")


def test_hashes_mind_the_borders_of_texts() -> None:
    assert hash_text("ab", "c") != hash_text("a", "bc")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_text(path, "first")
    before = hash_file(path)
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.rename(tmp_path / "gone").unlink()
    assert hash_file(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]


def test_code_is_part_of_the_version() -> None:
    version, _, code = identify_weft().partition("+")
    assert version == weft_version()
    assert len(code) == 16


def test_a_disk_that_is_full_is_said_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    with pytest.raises(OSError, match="No space left") as caught, replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []
