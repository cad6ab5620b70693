"""Pages of the messages about items and data: the bad example gives the code, the good none."""

from __future__ import annotations

import pytest

from compiler.driver import check_source
from compiler.report.diagnostics import MESSAGES, Message, Severity, Sink
from compiler.report.messages import load_messages
from compiler.report.source import Source

load_messages()
ALL = [(code, cls) for code, cls in sorted(MESSAGES.items()) if code[:3] in ("W06", "W07")]
WITHOUT_EXAMPLE = {
    "W0702",  # needs a file that is broken
    "W0703",
    "W0706",
    "W0707",
    "W0708",
    "W0709",
    "W0710",
    "W0732",
    "W0721",  # need the numbers, which a check does not read
    "W0722",
    "W0723",
    "W0724",
    "W0644",  # need a spec longer than a page
    "W0645",
}


def codes_of(text: str) -> list[str]:
    sink = Sink()
    check_source(Source("example.weft", text), sink=sink)
    return [m.code for m in sink.messages if m.severity is Severity.ERROR]


@pytest.mark.parametrize(("code", "cls"), ALL, ids=[code for code, _ in ALL])
def test_examples(code: str, cls: type[Message]) -> None:
    if code in WITHOUT_EXAMPLE:
        assert not cls.bad
        return
    assert codes_of(cls.bad) == [code]
    assert codes_of(cls.good) == []


def test_there_are_enough() -> None:
    assert len(ALL) >= 45
