"""Specs of several files: what `use` brings, and what is wrong between two files."""

from __future__ import annotations

from pathlib import Path

from compiler.diagnostics import Message, Sink
from compiler.driver import check

MODEL = """model M() {
    input x: f32[batch, 3]
    output y = x -> wide
}
"""


def check_files(folder: Path, **texts: str) -> list[Message]:
    """What is wrong with `main`, which uses the other files."""
    for name, text in texts.items():
        (folder / f"{name}.weft").write_text(text)
    sink = Sink()
    check(folder / "main.weft", sink=sink)
    return sink.messages


def test_a_file_brings_its_blocks(tmp_path: Path) -> None:
    part = "block wide(x) { return x -> dense(9) }\n"
    assert not check_files(tmp_path, part=part, main=f'use "part.weft"\n{MODEL}')


def test_files_that_use_one_another(tmp_path: Path) -> None:
    part = 'use "main.weft"\nblock wide(x) { return x -> dense(9) }\n'
    (message,) = check_files(tmp_path, part=part, main=f'use "part.weft"\n{MODEL}')
    assert message.code == "W0210"
    assert message.span is not None
    assert message.span.source.path.endswith("part.weft")


def test_a_file_that_uses_itself(tmp_path: Path) -> None:
    (message,) = check_files(tmp_path, main=f'use "main.weft"\n{MODEL.replace("wide", "relu")}')
    assert message.code == "W0210"


def test_two_files_bring_the_same_name(tmp_path: Path) -> None:
    part = "block wide(x) { return x -> dense(9) }\n"
    uses = 'use "one.weft"\nuse "two.weft"\n'
    (message,) = check_files(tmp_path, one=part, two=part, main=uses + MODEL)
    assert message.code == "W0211"
    mended = uses.replace('two.weft"', 'two.weft" as t')
    assert not check_files(tmp_path, main=mended + MODEL)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    messages = check_files(tmp_path, part="", main=f'use "prat.weft"\n{MODEL}')
    assert messages[0].code == "W0209"
    assert "part.weft" in messages[0].label()
