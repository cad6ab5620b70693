"""Nets that are too large for the machine: refused before memory is asked for, at their line."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

import weft
from compiler.ir import memory as graph_memory
from compiler.ir.memory import find_running_peak, need_values, need_weights
from compiler.report.diagnostics import CompileError
from compiler.system import memory
from compiler.types.units import format_size
from tests.table_train import TABLE, write_table
from weft.cli.main import app

GIB = 1 << 30


def write_spec(folder: Path, given: str, body: str) -> Path:
    path = folder / "net.weft"
    path.write_text(f"model Net() {{\n input {given}\n {body}\n}}\n")
    return path


Huge = tuple[str, str, int, str]
"""The input, the statements, the line of the fault, and its code."""
ROWS = "x: f32[batch, 4]"
HUGE: dict[str, Huge] = {
    "layer": (ROWS, "output y = x -> dense(10**15)", 3, "W1336"),
    "two layers": (
        ROWS,
        "h = x -> dense(3 * 10**7)\n output y = h -> dense(3 * 10**7)",
        4,
        "W1336",
    ),
    "vocabulary": ("k: i64[batch]", "output y = k -> embedding(10**12, 64)", 3, "W1336"),
    "kernel": ("x: f32[batch, 3, h, w]", "output y = x -> conv(8, 10**6)", 3, "W1336"),
    "param": (ROWS, "param p: f32[10**6, 10**6] = normal(0.1)\n output y = x + sum(p)", 3, "W1336"),
    "buffer": (ROWS, "buffer b: f32[10**12] = zeros\n output y = x + sum(b)", 3, "W1336"),
    "zeros": (ROWS, "output y = x + sum(zeros([10**12]))", 3, "W1337"),
    "one_hot": ("k: i64[batch]", "output y = one_hot(k, 10**12)", 3, "W1337"),
    "one_hot of one": ("k: i64[]", "output y = one_hot(k, 10**12)", 3, "W1337"),
    "arange": (ROWS, "output y = x + sum(cast(arange(10**13), f32))", 3, "W1337"),
    "expand": (ROWS, "output y = mean(expand(x[:, :, none], [batch, 4, 10**12]), 2)", 3, "W1337"),
    "outer product": ("x: f32[batch, 10**7]", "output y = x[:, :, none] * x[:, none]", 3, "W1337"),
    "pad": (ROWS, "output y = mean(pad(x, [0, 10**12]), 1)", 3, "W1337"),
    "tile": (ROWS, "output y = mean(tile(x, [1, 10**12]), 1)", 3, "W1337"),
    "padding": (
        "x: f32[batch, 3, h, w]",
        "output y = x -> max_pool(10**6, padding=500000)",
        3,
        "W1337",
    ),
    "many axes": (f"x: f32[{', '.join(['2'] * 60)}]", "output y = x + 1.0", 2, "W1337"),
    "scores": (
        "x: f32[batch, 10**7, 4]",
        "output y = (x, x, x) -> scaled_dot_product_attention",
        3,
        "W1337",
    ),
    "products": ("x: f32[batch, 10**6]", "output y = cumprod(x)", 3, "W1337"),
    "long loop": (
        ROWS,
        "s = zeros([4])\n scan i in 0..10**12 { s = s + 1.0 }\n output y = x + s",
        4,
        "W1338",
    ),
    "inside of a loop": (
        ROWS,
        "s = zeros([4])\n scan i in 0..10 { s = s + sum(zeros([10**12])) }\n output y = x + s",
        4,
        "W1337",
    ),
    "work": (
        "x: f32[batch, 256, 1024, 1024]",
        "for i in 0..200 { x = x -> conv(256, 3, padding=1) }\n output y = mean(x, [2, 3])",
        3,
        "W1338",
    ),
}


def run(*arguments: object) -> CompileError | None:
    """The faults that a command ends with."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(result.exception, CompileError):
        return result.exception
    assert result.exit_code == 0, result.output
    return None


@pytest.mark.parametrize("name", HUGE)
def test_nets_that_are_too_large(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(graph_memory, "find_available", lambda: 20 * GIB)
    given, body, line, code = HUGE[name]
    spec = write_spec(tmp_path, given, body)
    start = time.process_time()
    for command in ("check", "show"):
        assert run(command, spec) is None
    assert run("compile", spec, "-o", tmp_path / "code", "--pytorch") is None
    error = run("compile", spec, "-o", tmp_path / "out")
    assert error is not None
    (message,) = error.messages
    assert message.code == code
    assert message.span is not None
    assert message.span.source.position(message.span.start)[0] == line
    assert not list((tmp_path / "out").glob("*"))
    if code == "W1336":
        with pytest.raises(weft.WeftError, match="W1336"):
            weft.load(spec).model("Net").torch()
    assert time.process_time() - start < 4


@pytest.mark.parametrize(
    "item",
    [
        "deploy fit as onnx { fix batch=10**12 }",
        "deploy fit as onnx { verify off  fix batch=10**12 }",
        "variant tiny of fit {\n target cpu(), batch=10**12\n apply quantize(stored8)\n}",
    ],
)
def test_a_build_looks_before_it_trains(item: str, tmp_path: Path) -> None:
    spec = write_table(tmp_path, TABLE + item)
    error = run("build", spec, "-o", tmp_path / "out")
    assert error is not None
    assert [m.code for m in error.messages] == ["W1337"]
    assert "at batch=1000000000000 needs" in error.messages[0].text.title
    assert not (tmp_path / "out").exists()
    spec.write_text(TABLE.replace("dense(64)", "dense(10**15)"))
    for command in ("build", "train"):
        error = run(command, spec, "-o", tmp_path / "out")
        assert error is not None
        assert [m.code for m in error.messages] == ["W1336"]


def test_what_fits_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # 4 MiB of weights and 8 MiB of tensors at a batch of 1.
    body = "h = x -> dense(1024, bias=false)\n output y = mean(h[:, :, none] * h[:, none], 2)"
    graph = weft.load(write_spec(tmp_path, "x: f32[batch, 1024]", body)).graph("Net")
    for room, fits in ((16 << 20, True), (11 << 20, False)):
        monkeypatch.setattr(graph_memory, "find_available", lambda room=room: room)
        with nullcontext() if fits else pytest.raises(CompileError, match="W1336"):
            need_weights(graph)
    peak = find_running_peak(graph, {"batch": 2})
    assert peak == 4 * (2 * 1024 * 1024 + 2 * 2 * 1024)  # the product, and what it is made of
    monkeypatch.setattr(graph_memory, "find_available", lambda: 2 * peak)
    need_values(graph, {"batch": 2}, 2)
    with pytest.raises(CompileError, match="W1337"):
        need_values(graph, {"batch": 2}, 3)


@pytest.mark.parametrize(
    ("group", "files"),
    [
        ("0::/app/job", {"app/memory.max": 5 * GIB, "app/memory.current": 2 * GIB}),
        (
            "7:memory:/app/job",
            {
                "memory/app/memory.limit_in_bytes": 5 * GIB,
                "memory/app/memory.usage_in_bytes": 2 * GIB,
            },
        ),
    ],
)
def test_room_is_what_the_narrowest_limit_leaves(
    group: str, files: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    assert memory.find_available() > 0  # where the system says nothing
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 8388608 kB\n")
    (tmp_path / "proc/self/cgroup").write_text(f"3:cpu:/app\n{group}\n")
    assert memory.find_available() == 8 * GIB
    for name, size in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{size}\n")
        (path.parent / "memory.stat").write_text(
            f"anon 3\ninactive_file {GIB}\ntotal_inactive_file {GIB}\n"
        )
    assert memory.find_available() == 4 * GIB
    (tmp_path / "proc/self/statm").write_text("100 5 5 5 0 100 0\n")
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (3 * GIB, 3 * GIB))
    assert memory.find_available() == 3 * GIB - 100 * memory.resource.getpagesize()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1536, "1.5 KiB"),
        (5 * GIB // 2, "2.50 GiB"),
        (10**15, "909.49 TiB"),
        (2**80, "1048576.00 EiB"),
    ],
)
def test_sizes_in_words(size: int, text: str) -> None:
    assert format_size(size) == text
