"""Every message has a page: a docstring, a bad spec that gives its code and a good one."""

from __future__ import annotations

import pytest

from compiler.diagnostics import MESSAGES, Message, Sink
from compiler.explain import explain
from compiler.messages import load_messages
from compiler.parse import parse
from compiler.source import Source

load_messages()
ALL = sorted(MESSAGES.items())
SYNTAX = [(code, cls) for code, cls in ALL if code < "W02"]


def codes_of(text: str) -> list[str]:
    sink = Sink()
    parse(Source("example.weft", text), sink)
    return [message.code for message in sink.messages]


@pytest.mark.parametrize(("code", "cls"), ALL, ids=[code for code, _ in ALL])
def test_message_has_a_page(code: str, cls: type[Message]) -> None:
    doc = (cls.__doc__ or "").strip()
    assert doc, f"{cls.__name__} has no docstring"
    assert not doc.startswith(f"{cls.__name__}("), f"{cls.__name__} has no docstring of its own"
    page = explain(code)
    assert page is not None
    assert page.startswith(f"{cls.severity}[{code}]")


@pytest.mark.parametrize(("code", "cls"), SYNTAX, ids=[code for code, _ in SYNTAX])
def test_syntax_examples(code: str, cls: type[Message]) -> None:
    assert codes_of(cls.bad) == [code]
    assert codes_of(cls.good) == []


def test_pages_show_what_is_printed() -> None:
    page = explain("W0102")
    assert page is not None
    assert "error[W0102]: `(` is never closed" in page
    assert "\x1b[" not in page
    assert "\x1b[" in (explain("W0102", color=True) or "")


def test_unknown_code_has_no_page() -> None:
    assert explain("W9999") is None


def test_there_are_enough_messages_of_syntax() -> None:
    assert len(SYNTAX) >= 25
