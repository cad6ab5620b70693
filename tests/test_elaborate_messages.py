"""The examples on the pages of messages about elaboration give what the page says."""

from __future__ import annotations

import pytest

from compiler.report.diagnostics import MESSAGES, Message
from compiler.report.messages import (
    arguments,
    functions,
    lints,
    names,
    nets,
    scans,
    shapes,
    uses,
    values,
)
from tests.elaborating import codes

THEMES = (arguments, functions, lints, names, nets, scans, shapes, uses, values)
ALL = sorted(
    (code, cls)
    for code, cls in MESSAGES.items()
    if any(cls.__module__ == theme.__name__ for theme in THEMES)
)


@pytest.mark.parametrize(("code", "cls"), ALL, ids=[code for code, _ in ALL])
def test_examples(code: str, cls: type[Message]) -> None:
    if cls.bad:
        assert codes(cls.bad) == [code]
    assert cls.good
    assert codes(cls.good) == []


def test_there_are_enough_messages() -> None:
    assert len(ALL) >= 60
