"""Files of an output folder that are not as Weft left them: made again, or a diagnostic."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backends.pytorch.run.running import read_metrics, read_results
from backends.pytorch.run.tuning import _read_state
from compiler.report.diagnostics import CompileError
from compiler.system.files import read_json, replacing
from tests.table_train import TABLE, write_table
from weft.building.compression_context import TrialFile
from weft.cli.main import run_command
from weft.results.cache import Cache
from weft.results.generated import GeneratedFiles

SPEC = f"""{TABLE}
variant tiny of fit {{ apply quantize(stored8) }}
deploy fit as onnx {{ dynamic batch }}
net loaded = Net() -> load("w.safetensors")
"""
TEXTS = {
    "empty": b"",
    "cut": b'{"a": [1',
    "null": b"null",
    "list": b"[[1], {}]",
    "number": b"3",
    "string": b'"a"',
    "object": b'{"a": {"b": []}, "epoch": [], "key": {}, "figures": 1}',
    "nested": b"[" * 100_000,
    "digits": b"9" * 5_000,
    "surrogate": b'{"key": "\\ud800"}',
    "binary": bytes(range(256)),
    "null bytes": b"\0" * 300,
}


@pytest.fixture(params=[*TEXTS, "folder"])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / ".weft" / "build.json"
    path.parent.mkdir()
    if request.param == "folder":
        path.mkdir()
    else:
        path.write_bytes(TEXTS[request.param] + b"\n")
    return path


def test_every_reader_takes_whatever_lies_there(damaged: Path, tmp_path: Path) -> None:
    read_json(damaged)
    assert Cache(tmp_path).get_metadata("train fit") == {}
    assert not TrialFile.open(damaged).known
    assert read_metrics(damaged) == []
    for name in ("results.json", "tuning.json"):
        (tmp_path / name).symlink_to(damaged)
    assert "best" not in _read_state(tmp_path)
    with pytest.raises(CompileError, match=r"results\.json"):
        read_results(tmp_path)


def change(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """The value with another one at a path."""
    if not path:
        return new
    return {**value, path[0]: change(value[path[0]], path[1:], new)}


@pytest.mark.parametrize("new", [None, "1.5", [], {}, -1, [[1]], 1.5001])
@pytest.mark.parametrize(
    "place", [(), ("key",), ("files",), ("files", "w"), ("facts",), ("facts", "seconds"), ("hash",)]
)
def test_an_entry_that_was_changed_does_not_count(
    place: tuple[str, ...], new: Any, tmp_path: Path
) -> None:
    (tmp_path / "w").write_text("weights")
    for stage in ("train fit", "compile fit"):
        Cache(tmp_path).record(stage, "key", [tmp_path / "w"], {"seconds": 1.5})
    path = tmp_path / ".weft" / "build.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(change(record, ("stages", "train fit", *place), new)))
    cache = Cache(tmp_path)
    assert not cache.is_fresh("train fit", "key")
    assert not cache.has_run("train fit", "key")
    assert cache.get_metadata("train fit") == {}
    assert cache.is_fresh("compile fit", "key")
    assert cache.get_metadata("compile fit") == {"seconds": 1.5}


STRANGE: dict[str, Any] = {
    "half a character": "\ud800",
    "no number": float("nan"),
    "infinite": float("inf"),
    "huge": 10**400,
    "a way out": "../../x",
    "another place": "/x",
    "a NUL": "a\0b",
}


@pytest.mark.parametrize("name", STRANGE)
def test_nothing_strange_in_a_record_counts(name: str, tmp_path: Path) -> None:
    new = STRANGE[name]
    Cache(tmp_path).record("train fit", "key", (), {"seconds": 1.5})
    path = tmp_path / ".weft" / "build.json"
    record = json.loads(path.read_text())
    for place in ("key", "files", "facts", "hash"):
        path.write_text(json.dumps(change(record, ("stages", "train fit", place), new)))
        assert Cache(tmp_path).get_metadata("train fit") == {}
    entry = record["stages"]["train fit"]
    path.write_text(json.dumps({**record, "stages": {str(new): entry}}))
    assert not Cache(tmp_path).has_run(str(new), "key")
    trials = tmp_path / "trials.jsonl"
    for trial in ({"key": str(new), "figures": {}}, {"key": "a", "figures": {"loss": new}}):
        trials.write_text(json.dumps({**trial, "hash": new}) + "\n")
        assert not TrialFile.open(trials).known


def test_a_record_that_is_nested_as_deep_as_can_be_read(tmp_path: Path) -> None:
    Cache(tmp_path).record("train fit", "key", (), {"seconds": 1.5})
    path, trials, code = (
        tmp_path / ".weft" / name for name in ("build.json", "trials.jsonl", "code.json")
    )
    text = path.read_text()
    assert text.count('"seconds": 1.5') == 1
    for depth in range(700, 1000):
        deep = "[" * depth + "]" * depth
        path.write_text(text.replace('"seconds": 1.5', f'"seconds": {deep}'))
        assert Cache(tmp_path).get_metadata("train fit") == {}
        trials.write_text(f'{{"key": "a", "figures": {deep}, "hash": ""}}\n')
        assert not TrialFile.open(trials).known
        code.write_text(f'{{"a.py": {deep}, "b.py": 3}}')
        GeneratedFiles(tmp_path, print).write(tmp_path / "a.py", "a = 1\n")
        assert json.loads(code.read_text()).keys() == {"a.py"}
        shutil.rmtree(tmp_path / "earlier", ignore_errors=True)


def test_trials_that_were_changed_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    memory = TrialFile.open(path)
    memory.remember("one", {"loss": 0.5})
    memory.remember("two", {"loss": 0.25})
    path.write_text(path.read_text().replace("0.25", "0.01"))
    again = TrialFile.open(path)
    assert again.recall("one") == {"loss": 0.5}
    assert again.recall("two") is None


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.md").mkdir()
    with pytest.raises(OSError, match=r"report\.md") as caught, replacing(tmp_path / "report.md"):
        pass
    assert caught.value.filename == str(tmp_path / "report.md")


# --- weights --------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def put(value: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        arrays = load_file(path)
        arrays["head.weight"][0, 0] = value
        save_file(arrays, path)

    return spoil


def reshape(path: Path) -> None:
    arrays = load_file(path)
    arrays["head.weight"] = np.zeros((3, 2), np.float32)
    save_file(arrays, path)


def turn_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda p: p.write_bytes(b""), "W0906"),
    "cut": (cut, "W0906"),
    "bit": (turn_bit, "W0906"),
    "binary": (lambda p: p.write_bytes(bytes(range(256))), "W0906"),
    "nan": (put(np.nan), "W0916"),
    "infinite": (put(-np.inf), "W0916"),
    "shape": (reshape, "W0908"),
}


def change_header(path: Path, old: bytes, new: bytes) -> None:
    """Another text of the same length in what a training notes beside its tensors."""
    data = path.read_bytes()
    assert data.count(old) >= 1
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new))


NOTES: dict[str, tuple[bytes, bytes]] = {
    "seed": (b"SEED=0", b"SEED=7"),
    "best epoch": (b'best epoch\\"', b'best epocj\\"'),
    "settings": (b'settings\\": {', b'settingz\\": {'),
    "checksum": (b'checksum\\": ', b'checksun\\": '),
    "no JSON": (b'settings\\": ', b'settings\\"; '),
}

Weft = Callable[..., tuple[int, str]]


@pytest.fixture
def weft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Weft:
    monkeypatch.chdir(tmp_path)
    write_table(Path(), SPEC)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["weft", *arguments])
        try:
            run_command()
        except SystemExit as end:
            captured = capsys.readouterr()
            return int(end.code or 0), captured.out + captured.err
        raise AssertionError("a command ends with a status")

    return run


def test_damaged_weights_are_never_used(weft: Weft) -> None:
    status, said = weft("build", "net.weft", "--device", "cpu")
    assert status == 0, said
    shutil.copytree("output", "whole")
    best = Path("output/net/fit/best.safetensors")
    for name, (damage, code) in DAMAGES.items():
        damage(best)
        shutil.copy(best, "w.safetensors")
        for command in (
            "eval net.weft --onnx output/net/fit.onnx",
            "compile net.weft -o o --item loaded",
            "compile net.weft -o o --item fit --weights w.safetensors",
            "compile net.weft -o o --item tiny",
            "verify net.weft output/net/fit.onnx --item fit --weights w.safetensors",
        ):
            status, said = weft(*command.split())
            assert (status, f"error[{code}]" in said) == (1, True), (name, command, said)
            assert "best.safetensors" in said or "w.safetensors" in said or code == "W0916"
        status, said = weft("build", "net.weft", "--device", "cpu")
        assert status == 0, (name, said)
        assert "what was trained before is kept in" in said
        shutil.rmtree("output")
        shutil.copytree("whole", "output")
    for name in ("best.safetensors", "last.pt"):
        cut(Path("output/net/fit") / name)
        status, said = weft("train", "net.weft", "--resume", "--device", "cpu")
        assert status == 1
        assert name in said


def test_what_a_training_notes_is_held_to_its_checksum_wherever_it_is_read(weft: Weft) -> None:
    status, said = weft("build", "net.weft", "--device", "cpu")
    assert status == 0, said
    best = Path("output/net/fit/best.safetensors")
    whole = best.read_bytes()
    for name, (old, new) in NOTES.items():
        best.write_bytes(whole)
        change_header(best, old, new)
        for command in (
            "eval net.weft --onnx output/net/fit.onnx",
            "compile net.weft -o o --item fit --weights output/net/fit/best.safetensors",
        ):
            status, said = weft(*command.split())
            assert (status, "are not those that a training wrote" in said) == (1, True), name
            assert "best.safetensors" in said


def test_a_changed_byte_of_a_checkpoint_is_no_other_setting(weft: Weft) -> None:
    status, said = weft("train", "net.weft", "--device", "cpu")
    assert status == 0, said
    (path,) = Path().rglob("best.safetensors")
    text = path.read_bytes()
    assert text.count(b"SEED=0") == 1
    path.write_bytes(text.replace(b"SEED=0", b"SEED=7"))
    status, said = weft("train", "net.weft", "--resume", "--device", "cpu")
    assert status == 1
    assert "error[W0906]" in said
    assert "are not those that a training wrote" in said
