"""Lines of JSON, sounds and shards: in a check, and in the script that Weft prints."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from compiler.data.audio import Audio
from compiler.data.json_lines import JsonLines
from compiler.data.webdataset import WebDataset
from tests.faults import fault_of
from tests.loading_alike import assert_script_loads_alike
from tests.sources import check_source, refused

# --- lines of JSON ------------------------------------------------------------------------------


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


ROWS = [
    {"n": 1, "x": 0.1, "kind": "a\u2028b", "ok": True, "v": [1, 2.5], "day": "2024-01-31"},
    {"n": 2, "x": None, "kind": "c", "ok": False, "v": [3, 4], "day": "2024-02-28", "extra": 7},
]


def test_objects_are_rows(tmp_path: Path) -> None:
    write_lines(tmp_path / "t.jsonl", ROWS)
    source = JsonLines("t.jsonl")
    arrays = check_source(source, tmp_path)
    kinds = {c.name: (c.kind, str(c.type), c.missing) for c in source.schema(tmp_path)}
    assert kinds == {
        "n": ("numbers", "i64[]", False),
        "x": ("numbers", "f32[]", True),
        "kind": ("categories", "i64[]", False),
        "ok": ("booleans", "bool[]", False),
        "v": ("tensors", "f32[2]", False),
        "day": ("dates", "i64[]", False),
        "extra": ("numbers", "f32[]", True),
    }
    assert arrays["v"].tolist() == [[1, 2.5], [3, 4]]
    assert arrays["x"][0] == np.float32(0.1)


def test_lines_of_windows_and_empty_ones(tmp_path: Path) -> None:
    text = '\ufeff{"a": 1}\r\n\r\n{"a": 2, "b": "\\u00e4"}\r\n'
    (tmp_path / "t.jsonl").write_bytes(text.encode())
    source = JsonLines("t.jsonl", missing_category=("b",))
    assert check_source(source, tmp_path)["b"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no lines"),
        ('{"a": 1}\n{"a": 2\n', "line 2 is no JSON"),
        ("[1, 2]\n", "line 1 holds a value of type `list`, no object"),
        ('{"a": 1, "a": 2}\n', "an object has two members `a`"),
        ('{"": 1}\n', "a column has no name"),
        ("{}\n", "it holds no columns"),
        ('[\n{"a": 1}\n]', "line 1 is no JSON"),
        ("[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_lines_that_are_no_rows(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with refused(reason):
        JsonLines("t.jsonl").schema(tmp_path)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([{"b": 1}, {"b": 2}], "row 0 holds an object"),
        ([[1], [1, 2]], "its lists differ in length: 1, 2"),
        ([[1], 2], "row 1 holds no list, and others do"),
        ([["a"], ["b"]], "its lists hold what is no number"),
        ([[None], [1]], "its lists hold what is no number"),
    ],
)
def test_what_no_tensor_holds_is_told(tmp_path: Path, cells: list[Any], reason: str) -> None:
    write_lines(tmp_path / "t.jsonl", [{"a": cell, "n": 1} for cell in cells])
    column, _ = JsonLines("t.jsonl").schema(tmp_path)
    assert column.trouble is not None
    assert column.trouble.text.label == reason
    assert set(JsonLines("t.jsonl").load(tmp_path)) == {"a", "n"}


def test_several_files_of_lines(tmp_path: Path) -> None:
    for number in (1, 0, 2):
        rows = [{"k": number, "kind": "ab"[number % 2]}, {"k": 10 + number, "kind": "c"}]
        write_lines(tmp_path / f"part-{number:02}.jsonl", rows)
    for path in ("part-*.jsonl", "part-{00..02}.jsonl", f"{tmp_path}/part-*.jsonl"):
        arrays = check_source(JsonLines(path), tmp_path)
        assert arrays["k"].tolist() == [0, 10, 1, 11, 2, 12]
    write_lines(tmp_path / "part-02.jsonl", [{"k": 1, "sort": "b"}])
    message = fault_of(lambda: JsonLines("part-*.jsonl").schema(tmp_path))
    assert message.text.title == "`part-02.jsonl` cannot be read"
    assert message.text.label == "it lacks the column `kind`, unlike `part-00.jsonl`"
    missing = fault_of(lambda: JsonLines("part-{00..03}.jsonl").schema(tmp_path))
    assert missing.text.title == "there is no file `part-03.jsonl`"
    with refused("it names no files"):
        JsonLines("part-{3..1}.jsonl").schema(tmp_path)


# --- sounds -------------------------------------------------------------------------------------


def write_wav(path: Path, samples: np.ndarray[Any, Any], rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples)


def write_pcm24(path: Path, values: Sequence[int], rate: int = 8000) -> None:
    data = b"".join(struct.pack("<i", value)[:3] for value in values)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 3, rate, 0, "NONE", "not packed"))
        file.writeframes(data)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([0, 1, -1, 32767, -32768], np.int16), [0, 2**-15, -(2**-15), 1 - 2**-15, -1]),
        (np.array([0, 2**30, -(2**31)], np.int32), [0, 0.5, -1]),
        (np.array([128, 0, 255], np.uint8), [0, -1, 127 / 128]),
        (np.array([0.25, -1.5, 0], np.float32), [0.25, -1.5, 0]),
        (np.array([0.25, -1.5, 0], np.float64), [0.25, -1.5, 0]),
        (np.array([[0, 16384], [-16384, 1]], np.int16), [[0, -0.5], [0.5, 2**-15]]),
    ],
)
def test_samples_of_every_kind(tmp_path: Path, stored: Any, expected: list[Any]) -> None:
    write_wav(tmp_path / "a.wav", stored)
    sound = check_source(Audio("."), tmp_path)["sound"]
    np.testing.assert_array_equal(sound[0], np.atleast_2d(np.array(expected, np.float32)))


def test_samples_of_24_bits(tmp_path: Path) -> None:
    write_pcm24(tmp_path / "a.wav", [0, 1, -1, 2**22, -(2**23)])
    sound = check_source(Audio("."), tmp_path)["sound"]
    assert sound[0, 0].tolist() == [0, 2**-23, -(2**-23), 0.5, -1]


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for number, word in enumerate(("yes", "no", "yes")):
        write_wav(tmp_path / "words" / word / f"{number}.WAV", np.full(5, number, np.int16))
    source = Audio("words")
    arrays = check_source(source, tmp_path)
    assert arrays["label"].tolist() == [0, 1, 1]
    assert source.attributes(tmp_path) == {"classes": 2, "rate": 8000}
    assert source.schema(tmp_path)[1].categories == ("no", "yes")
    assert arrays["sound"][:, 0, 0].tolist() == [1 / 32768, 0, 2 / 32768]


def test_sounds_are_brought_to_one_form(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name, rate, length, channels in (("a", 8000, 800, 1), ("b", 11025, 500, 2)):
        samples = generator.integers(-9000, 9000, (length, channels)).astype(np.int16)
        write_wav(tmp_path / f"{name}.wav", samples, rate)
    assert (
        fault_of(lambda: Audio(".").schema(tmp_path)).text.help == "`rate=8000` brings them to one"
    )
    message = fault_of(lambda: Audio(".", rate=8000).schema(tmp_path))
    assert message.text.label == "`a.wav` has 1 channels, `b.wav` 2"
    message = fault_of(lambda: Audio(".", rate=8000, mono=True).schema(tmp_path))
    assert message.text.title == "the sounds differ in their length"
    for rate in (8000, 16000, 11025):
        source = Audio(".", rate=rate, mono=True, seconds=0.05)
        arrays = check_source(source, tmp_path)
        assert arrays["sound"].shape == (2, 1, round(0.05 * rate))
    one = Audio(".", rate=4000, mono=True, seconds=0.05).load(tmp_path)["sound"]
    assert not one[1, 0, 182:].any()
    assert one[1, 0, :180].any()


def test_a_slow_tone_survives_another_rate(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 50 * np.arange(8000) / 8000).astype(np.float32)
    write_wav(tmp_path / "a.wav", tone)
    (sound,) = check_source(Audio(".", rate=6000), tmp_path)["sound"]
    wanted = np.sin(2 * np.pi * 50 * np.arange(6000) / 6000)
    np.testing.assert_allclose(sound[0, 100:-100], wanted[100:-100], atol=2e-3)


def test_files_that_are_no_sounds(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, np.arange(400, dtype=np.int16))
    whole = path.read_bytes()
    for data, reason in (
        (b"", "not a wav file"),
        (b"RIFX" + whole[4:], "its first bytes are others"),
        (whole[:-3], "it promises 800 bytes of samples and has 797"),
        (whole[:30], "it is cut short"),
        (whole[:20] + b"\x11\0" + whole[22:], "its samples are of 16 bits in format 17"),
        (whole[:22] + b"\0\0" + whole[24:], "it holds no samples"),
    ):
        path.write_bytes(data)
        with refused(reason):
            Audio(".").schema(tmp_path)
    assert fault_of(lambda: Audio(".", rate=0)).code == "W0705"
    assert fault_of(lambda: Audio(".", seconds=0.0)).code == "W0705"
    path.write_bytes(whole)
    assert fault_of(lambda: Audio(".", seconds=1e-9).schema(tmp_path)).code == "W0705"
    path.unlink()
    assert fault_of(lambda: Audio(".").schema(tmp_path)).code == "W0709"


SOUNDS = """
data words {
    source audio("words", rate=8000, seconds=0.01)
    loudness = mean(sound ** 2, axis=[0, 1])
    split in_order, train=4, val=1, test=1
}
model Net() {
    input loudness: f32[batch]
    output y = reshape(loudness, [-1, 1]) -> dense(words.classes) as head
}
train fit of Net on words {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    batch 2
    epochs 1
}
"""


def test_a_script_loads_sounds(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for number in range(6):
        samples = generator.integers(-9000, 9000, 60 + 10 * number).astype(np.int16)
        path = tmp_path / "words" / ("no", "yes")[number % 2] / f"{number}.wav"
        write_wav(path, samples, (8000, 16000)[number % 2])
    script = assert_script_loads_alike(SOUNDS, tmp_path)
    assert "from scipy.signal import resample_poly" in script


# --- shards -------------------------------------------------------------------------------------


def encode(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_shard(path: Path, files: Mapping[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as shard:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))


def make_samples(first: int, count: int) -> dict[str, bytes]:
    files = {}
    for k in range(first, first + count):
        pixels = np.random.default_rng(k).integers(0, 256, (4, 5, 3)).astype(np.uint8)
        files[f"train/{k:04}.png"] = encode(pixels)
        files[f"train/{k:04}.cls"] = f"{k % 3}\n".encode()
        members = {"width": k / 2, "kind": "ab"[k % 2], "place": [k, 1.5]}
        files[f"train/{k:04}.json"] = json.dumps(members).encode()
        files[f"train/{k:04}.left.txt"] = f"word {k % 2}".encode()
        files[f"train/{k:04}.bin"] = b"\0\1"
    return files


def test_shards_are_rows(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-000.tar", make_samples(0, 3))
    write_shard(tmp_path / "shard-001.tar", make_samples(3, 2))
    for path in ("shard-{000..001}.tar", "shard-*.tar"):
        source = WebDataset(path)
        arrays = check_source(source, tmp_path)
        kinds = {c.name: str(c.type) for c in source.schema(tmp_path)}
        assert kinds == {
            "image": "u8[3, 4, 5]",
            "label": "i64[]",
            "width": "f32[]",
            "kind": "i64[]",
            "place": "f32[2]",
            "left": "i64[]",
        }
        assert arrays["label"].tolist() == [0, 1, 2, 0, 1]
        pixels = np.random.default_rng(3).integers(0, 256, (4, 5, 3)).astype(np.uint8)
        np.testing.assert_array_equal(arrays["image"][3], pixels.transpose(2, 0, 1))
    resized = WebDataset("shard-*.tar", size=(2, 3), categories=("label",))
    assert check_source(resized, tmp_path)["image"].shape == (5, 3, 2, 3)
    assert check_source(WebDataset("shard-000.tar"), tmp_path)["left"].tolist() == [0, 1, 0]


def test_columns_of_shards_alone(tmp_path: Path) -> None:
    grey = encode(np.arange(6, dtype=np.uint8).reshape(2, 3))
    write_shard(tmp_path / "a.tar", {"./0.PNG": grey, "./1.png": grey, "._0.png": b"x"})
    assert check_source(WebDataset("a.tar"), tmp_path)["image"].shape == (2, 1, 2, 3)
    write_shard(tmp_path / "a.tar", {"0.txt": b"yes", "1.txt": b"no"})
    assert check_source(WebDataset("a.tar"), tmp_path)["text"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "it holds no files"),
        ({"a.bin": b""}, "its samples have no images"),
        ({"a.cls": b"1", "b.cls": b"x"}, "`b.cls` cannot be read"),
        ({"a.cls": b"1", "b.txt": b"x"}, "the sample of `b.txt`"),
        ({"a.json": b"[1]"}, "holds a value of type `list`, no object"),
        ({"a.json": b"{"}, "`a.json` cannot be read"),
        ({"a.png": b"no"}, "it is not an image"),
        ({"a.json": b'{"label": 1}', "a.cls": b"1"}, "give a column `label`"),
        ({"a.x.json": b"{}", "a.y.json": b"{}"}, "two files of JSON"),
    ],
)
def test_shards_that_are_no_rows(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    write_shard(tmp_path / "a.tar", files)
    with refused(reason):
        WebDataset("a.tar").schema(tmp_path)


def test_no_shard_leads_out_of_itself(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", {"../../etc/0.cls": b"1", "/1.cls": b"2"})
    with tarfile.open(tmp_path / "a.tar", "a") as shard:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            link = tarfile.TarInfo("3.cls")
            link.type, link.linkname = kind, "/etc/passwd"
            shard.addfile(link)
    assert check_source(WebDataset("a.tar"), tmp_path)["label"].tolist() == [1, 2]
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar"}
    write_shard(tmp_path / "b.tar", {"0.cls": b"1"}, "w:gz")
    with refused("it is not a tar file"):
        WebDataset("b.tar").schema(tmp_path)
    data = (tmp_path / "a.tar").read_bytes()
    for stop in (0, 100, 514, 1000):
        (tmp_path / "b.tar").write_bytes(data[:stop])
        assert fault_of(lambda: WebDataset("b.tar").schema(tmp_path)).code == "W0702"


SHARDS = """
data rows {
    source webdataset("shard-{000..001}.tar")
    pixels = image / 255
    split in_order, train=3, val=1, test=1
}
model Net() {
    input pixels: f32[batch, 3, 4, 5]
    output y = pixels -> flatten -> dense(3) as head
}
train fit of Net on rows {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    batch 2
    epochs 1
}
"""


def test_a_script_loads_shards(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-000.tar", make_samples(0, 3))
    write_shard(tmp_path / "shard-001.tar", make_samples(3, 2))
    script = assert_script_loads_alike(SHARDS, tmp_path)
    assert "import pandas" not in script
