"""`use`: files beside the spec, the library, cycles, and names that clash."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.driver import check
from compiler.elaborate.scopes.library import parse_library
from compiler.report.diagnostics import Sink
from compiler.report.source import Source

BLOCK = "block unit(x, n: int = 4) { return x -> dense(n) -> relu }\n"
MODEL = "model M {{\n    input x: f32[batch, 8]\n    output y = x -> {}\n}}\n"


def run(folder: Path, files: dict[str, str]) -> tuple[list[str], list[str]]:
    """Codes of what is reported for `main.weft`, and the paths of its model's weights."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sink = Sink()
    program = check(folder / "main.weft", sink=sink)
    graphs = [net.graph for net in program.models.values()] if program else []
    return [m.code for m in sink.messages], [p.path for g in graphs for p in g.parameters]


def test_a_file_of_the_library_is_read_once_and_its_faults_are_told_each_time() -> None:
    trees, codes = [], []
    for text in (
        BLOCK,
        BLOCK,
        BLOCK.replace("dense", "dense ("),
        BLOCK.replace("dense", "dense ("),
    ):
        sink = Sink()
        trees.append(parse_library(Source("std/unit.weft", text), sink))
        codes.append([message.code for message in sink.messages])
    assert trees[0] is trees[1], "the same text"
    assert trees[1] is not trees[2], "another text under the same path"
    assert codes[:2] == [[], []]
    assert codes[2]
    assert codes[2] == codes[3]


def test_files_beside_the_spec(tmp_path: Path) -> None:
    files = {
        "main.weft": 'use "parts/blocks.weft"\n' + MODEL.format("unit"),
        "parts/blocks.weft": 'use "deep.weft" as d\nblock unit(x) { return x -> d.unit(3) as u }\n',
        "parts/deep.weft": BLOCK,
    }
    assert run(tmp_path, files) == ([], ["unit.u.dense.weight", "unit.u.dense.bias"])


def test_a_namespace_keeps_names_apart(tmp_path: Path) -> None:
    files = {
        "main.weft": 'use "a.weft" as a\nuse "b.weft" as b\n' + MODEL.format("a.unit -> b.unit"),
        "a.weft": BLOCK,
        "b.weft": BLOCK,
    }
    assert run(tmp_path, files)[1][::2] == ["unit.dense.weight", "unit_2.dense.weight"]


def test_own_names_come_first(tmp_path: Path) -> None:
    own = "block unit(x) { return x -> dense(2) as mine }\n"
    files = {"main.weft": 'use "a.weft"\n' + own + MODEL.format("unit"), "a.weft": BLOCK}
    assert run(tmp_path, files)[1][0] == "unit.mine.weight"


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        (
            {
                "main.weft": 'use "a.weft"\n',
                "a.weft": 'use "b.weft"\n',
                "b.weft": 'use "main.weft"\n',
            },
            ["W0210"],
        ),
        ({"main.weft": 'use "main.weft"\n'}, ["W0210"]),
        ({"main.weft": 'use "missing.weft"\n'}, ["W0209"]),
        ({"main.weft": "use std.nothing\n"}, ["W0209"]),
        ({"main.weft": "use other.vision\n"}, ["W0209"]),
        (
            {
                "main.weft": 'use "a.weft"\nuse "b.weft"\n' + MODEL.format("unit"),
                "a.weft": BLOCK,
                "b.weft": BLOCK,
            },
            ["W0211"],
        ),
        (
            {
                "main.weft": 'use "a.weft" as a\n' + MODEL.format("a.unti"),
                "a.weft": BLOCK,
            },
            ["W0203"],
        ),
    ],
)
def test_faults(tmp_path: Path, files: dict[str, str], codes: list[str]) -> None:
    assert run(tmp_path, files)[0][:1] == codes


def test_a_file_used_twice_is_read_once(tmp_path: Path) -> None:
    files = {
        "main.weft": 'use "a.weft"\nuse "b.weft"\n' + MODEL.format("unit -> other"),
        "a.weft": BLOCK,
        "b.weft": 'use "a.weft"\nblock other(x) { return x -> unit(5) }\n',
    }
    assert run(tmp_path, files)[0] == []


def test_faults_in_a_used_file_show_the_call(tmp_path: Path) -> None:
    files = {
        "main.weft": 'use "a.weft"\n' + MODEL.format("unit"),
        "a.weft": "block unit(x) { return x -> conv(3, kernel=2) }\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    sink = Sink()
    check(tmp_path / "main.weft", sink=sink)
    (message,) = sink.messages
    assert message.span is not None
    assert message.span.source.path.endswith("a.weft")
    assert [c.text for c in message.calls] == ["in this call of `unit`"]


def test_syntax_of_a_used_file_is_reported(tmp_path: Path) -> None:
    files = {"main.weft": 'use "a.weft"\n' + MODEL.format("unit"), "a.weft": "block unit(x {\n"}
    assert run(tmp_path, files)[0][0].startswith("W01")
