"""Every bad spec gives exactly the diagnostics of its golden file."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.report.diagnostics import Message, Sink
from compiler.report.render import render
from compiler.report.source import Source
from compiler.text.parse import parse
from tests.conftest import Golden

BAD = Path(__file__).parent / "bad"
CASES = sorted(BAD.glob("*/*.weft"))


def find_messages(path: Path) -> list[Message]:
    """What checking a spec of its stage reports; it runs in the folder of the spec."""
    sink = Sink()
    if path.parent.name == "syntax":
        text = path.read_bytes().decode("utf-8")
        parse(Source(path.name, text), sink)
    else:
        from compiler.driver import check
        from compiler.rows.validation import validate_data

        program = check(Path(path.name), sink=sink)
        if path.parent.name == "numbers" and program is not None:
            for train in program.trains.values():
                validate_data(train, sink)
    return sink.messages


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_bad_spec(path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    messages = find_messages(path)
    assert messages, "a bad spec has to be refused"
    golden.check(path.with_suffix(".err"), render(messages) + "\n")


def test_every_golden_has_a_spec() -> None:
    orphans = [path for path in BAD.glob("*/*.err") if not path.with_suffix(".weft").exists()]
    assert not orphans


def test_there_are_bad_specs_of_syntax() -> None:
    assert sum(path.parent.name == "syntax" for path in CASES) >= 30
