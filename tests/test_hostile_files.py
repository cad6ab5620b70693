"""Files that never end, are no files, lie about their size or are damaged: all refused in time."""

from __future__ import annotations

import gzip
import io
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from compiler.data.csv_table import Csv
from compiler.data.files import find_file, find_files
from compiler.data.images import Images
from compiler.data.mnist import Mnist
from compiler.data.npz import Npz
from compiler.data.parquet_table import Parquet
from compiler.data.text import Text
from compiler.driver import check, check_source
from compiler.ir.weights import WeightsError, read_weights
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.system.files import need_file
from tests.faults import fault_of
from weft.cli.main import app

KINDS = {
    "pipe": "it is a named pipe",
    "folder": "it is a folder",
    "zero": "it is a device",
    "socket": "it is a socket",
}
MODEL = "model M { input x: f32[batch, 2]\n output y = x -> dense(2) }\n"


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds


@pytest.fixture(params=sorted(KINDS))
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The name of something that is no file, and how messages call it."""
    path = tmp_path / "odd.weft"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "zero":
            path.symlink_to("/dev/zero")
        case "socket":
            import socket

            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
    return path.name, KINDS[request.param]


def test_whatever_a_path_names_is_looked_at_first(odd: tuple[str, str], tmp_path: Path) -> None:
    name, kind = odd
    with pytest.raises(OSError, match=kind):
        need_file(tmp_path / name)
    with pytest.raises(WeightsError, match=kind):
        read_weights(tmp_path / name)
    for source in (Csv(name), Npz(name), Parquet(name), Text(name)):
        assert kind in fault_of(lambda s=source: s.schema(tmp_path)).text.label  # type: ignore[misc]
    assert kind in fault_of(lambda: find_files(tmp_path, "od*.weft")).text.label
    sink = Sink()
    assert check(tmp_path / name, sink=sink) is None
    (message,) = sink.messages
    assert kind in message.text.title
    sink = Sink()
    check_source(Source(str(tmp_path / "spec.weft"), f'use "{name}" as u\n{MODEL}'), sink=sink)
    assert kind in str([(m.text.title, m.text.label, m.text.help) for m in sink.messages])


def test_the_command_line_looks_first(odd: tuple[str, str], tmp_path: Path) -> None:
    name, kind = odd
    spec = tmp_path / "spec.weft"
    spec.write_text(MODEL)
    path = str(tmp_path / name)
    commands = [
        ["check", path],
        ["fmt", path],
        ["compile", str(spec), "-o", str(tmp_path / "o"), "--weights", path],
        ["verify", str(spec), path],
        ["run", path, "x=a.npy"],
    ]
    for command in commands:
        result = CliRunner().invoke(app, command)
        shown = result.output + str(getattr(result.exception, "messages", ""))
        assert result.exit_code == 1, command
        # A folder may hold weights: then it is looked for the files of these.
        sought = "no safetensors" if "--weights" in command and kind == "it is a folder" else kind
        assert sought in " ".join(shown.split()), (command, shown)


def test_folders_of_images_with_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "pipe" in fault_of(lambda: Images(".").schema(tmp_path)).text.label
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    assert "pipe" in fault_of(lambda: Mnist(".").schema(tmp_path)).text.label


@pytest.mark.parametrize("path", ["a\0b.csv", "x" * 5000, "", ".", "/", "a/" * 3000 + "b"])
def test_names_that_are_no_names(path: str, tmp_path: Path) -> None:
    assert fault_of(lambda: find_file(tmp_path, path)).text.title
    if path != "/":
        assert fault_of(lambda: Images(path).schema(tmp_path)).text.title


def test_patterns_that_are_none(tmp_path: Path) -> None:
    assert fault_of(lambda: Parquet("a**b").schema(tmp_path)).text.title
    sink = Sink()
    text = MODEL + 'net n = M() -> load("/none/a**b")\n'
    assert check_source(Source(str(tmp_path / "spec.weft"), text), sink=sink)


def test_a_spec_of_gigabytes(tmp_path: Path) -> None:
    with (tmp_path / "s.weft").open("wb") as file:
        file.truncate(1 << 40)
    sink = Sink()
    with at_most(1):
        assert check(tmp_path / "s.weft", sink=sink) is None
    assert "a spec has at most" in sink.messages[0].text.title
    (tmp_path / "t.csv").symlink_to("s.weft")
    assert "it has 1024.0 GiB" in fault_of(lambda: Csv("t.csv").schema(tmp_path)).text.label


def test_a_line_of_gigabytes(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("wb") as file:
        file.write(b"a,b\n1,2\n" + b"1" * (65 << 20))
    with at_most(5):
        label = fault_of(lambda: Csv("t.csv").schema(tmp_path)).text.label
    assert "line 3 has more than 64 million characters" in label
    with (tmp_path / "n.csv").open("wb") as file:
        file.truncate(3 << 30)
    with at_most(5):
        label = fault_of(lambda: Csv("n.csv").schema(tmp_path)).text.label
    assert "line 1 holds a NUL byte" in label


# --- archives -----------------------------------------------------------------------------------


def write_npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f4") -> bytes:
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((10**15,), "<f4"), ((10**400,), "<f4"), ((-5,), "<f4"), ((3,), "<f8"), ((3,), "<q4")],
)
def test_headers_that_lie(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", write_npy(shape, bytes(12), dtype))
    with at_most(1):
        message = fault_of(lambda: Npz("a.npz").schema(tmp_path))
    assert message.code == "W0702"
    (tmp_path / "x.npy").write_bytes(write_npy(shape, bytes(12), dtype))


def test_an_archive_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    zeros = bytes(1 << 20)
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(write_npy((1 << 27,)))
        for _ in range(512):
            entry.write(zeros)
    with at_most(1):
        message = fault_of(lambda: Npz("a.npz").schema(tmp_path))
    assert "it promises 512.0 MiB in a file of" in message.text.label


def test_pickles_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}, 1], object), y=np.array(["a", "b"]))
    message = fault_of(lambda: Npz("a.npz").schema(tmp_path))
    assert "it holds <U1, pickled objects" in message.text.label
    message = fault_of(lambda: Npz("a.npz", columns=("x",)).schema(tmp_path))
    assert "the array `x` holds pickled objects" in message.text.label


@pytest.mark.parametrize("names", [("x.npy", "x.npy"), ("x", "x.npy")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice(names: tuple[str, str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, write_npy((3,), bytes([number]) * 12))
    message = fault_of(lambda: Npz("a.npz").schema(tmp_path))
    assert "it holds x twice" in message.text.label


def test_gz_files_of_mnist_that_lie(tmp_path: Path) -> None:
    def write(rows: int, size: int, data: bytes) -> None:
        for part in ("train", "t10k"):
            head = struct.pack(">4B3I", 0, 0, 8, 3, rows, size, size)
            images = tmp_path / f"{part}-images-idx3-ubyte.gz"
            images.write_bytes(gzip.compress(head + data, 1))
            labels = struct.pack(">4BI", 0, 0, 8, 1, rows)
            path = tmp_path / f"{part}-labels-idx1-ubyte.gz"
            path.write_bytes(gzip.compress(labels + bytes(min(rows, 100)), 1))

    write(3, 2, bytes(12))
    assert Mnist(".").load(tmp_path)["image"].shape == (6, 2, 2)
    write(3, 2, bytes(11))
    assert "has 11" in fault_of(lambda: Mnist(".").load(tmp_path)).text.label
    write(3, 2, bytes(1 << 24))
    assert "has more" in fault_of(lambda: Mnist(".").load(tmp_path)).text.label
    write(4_000_000_000, 28, b"")
    with at_most(1):
        assert "it promises" in fault_of(lambda: Mnist(".").schema(tmp_path)).text.label


# --- images -------------------------------------------------------------------------------------


def write_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check_sum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check_sum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 10_000), (100_000, 100_000), (2**31 - 1, 1)])
def test_images_of_huge_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(write_png(*size))
    with at_most(1):
        assert fault_of(lambda: Images(".").load(tmp_path)).code == "W0702"


def test_images_that_are_cut_short(tmp_path: Path) -> None:
    made = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (10, 20, 3), np.uint8)
    Image.fromarray(pixels).save(made, "png")
    data = made.getvalue()
    for stop in range(0, data.index(b"IDAT") + 100, 7):
        (tmp_path / "a.png").write_bytes(data[:stop])
        assert fault_of(lambda: Images(".").load(tmp_path)).code == "W0702"


# --- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a,b\n1,\x002\n", "line 2 holds a NUL byte"),
        (b'a,b\n1,"2\n', "line 2: unexpected end of data"),
        (b'a,b\n1,"2"3\n', "line 2:"),
        (b"a, a\n1,2\n", "names `a` twice"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "field larger than field limit"),
        (b" \n\n", "it is empty"),
    ],
)
def test_tables_that_are_none(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    assert reason in fault_of(lambda: Csv("t.csv").schema(tmp_path)).text.label


def test_a_table_of_thousands_of_columns(tmp_path: Path) -> None:
    width = 20_000
    rows = [",".join(f"c{i}" for i in range(width))]
    rows += [",".join(str((i * r) % 7) for i in range(width)) for r in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    text = 'data d { source csv("t.csv")\n x = stack([c0, c1])\n split in_order, train=100% }\n'
    with at_most(4):
        program = check_source(Source(str(tmp_path / "spec.weft"), text), sink=Sink())
    assert program is not None
    assert len(program.data["d"].columns.outputs) == width + 1
