"""Every message has a page: a docstring, a bad spec that gives its code and a good one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from compiler.driver import check_source
from compiler.explain import explain
from compiler.report.diagnostics import MESSAGES, Message, Sink
from compiler.report.messages import load_messages
from compiler.report.source import Source

TESTS = Path(__file__).parent
TWO_FILES = ("W0210", "W0211")
BEYOND_A_PAGE = ("W0644", "W0645")
BEYOND_A_TEXT = ("W07", "W08", "W09", "W11", "W12", "W13", "W14")
"""How codes begin among which are messages about files, numbers and runs."""
PAGES = (Path(__file__).name, "test_items_messages.py")

load_messages()
ALL = sorted(MESSAGES.items())
SHOWN = [(code, cls) for code, cls in ALL if cls.bad]
NOT_SHOWN = [(code, cls) for code, cls in ALL if not cls.bad]


def codes_of(text: str) -> list[str]:
    sink = Sink()
    check_source(Source("example.weft", text), sink=sink)
    return [message.code for message in sink.messages]


@cache
def read_tests() -> str:
    """What the other tests say: their code, and the goldens of bad specs. Tests of pages list
    codes without meeting them."""
    files = [p for p in sorted(TESTS.rglob("*.*")) if p.suffix in (".py", ".err")]
    return "\n".join(p.read_text(encoding="utf-8") for p in files if p.name not in PAGES)


@pytest.mark.parametrize(("code", "cls"), ALL, ids=[code for code, _ in ALL])
def test_message_has_a_page(code: str, cls: type[Message]) -> None:
    doc = (cls.__doc__ or "").strip()
    assert doc, f"{cls.__name__} has no docstring"
    assert not doc.startswith(f"{cls.__name__}("), f"{cls.__name__} has no docstring of its own"
    page = explain(code)
    assert page is not None
    assert page.startswith(f"{cls.severity}[{code}]")
    assert page.count(f"{cls.severity}[{code}]") == (2 if cls.bad else 1), "the message is shown"


@pytest.mark.parametrize(("code", "cls"), SHOWN, ids=[code for code, _ in SHOWN])
def test_examples(code: str, cls: type[Message]) -> None:
    assert codes_of(cls.bad) == [code]
    assert cls.good
    assert codes_of(cls.good) == []


@pytest.mark.parametrize(("code", "cls"), NOT_SHOWN, ids=[code for code, _ in NOT_SHOWN])
def test_others_are_met_elsewhere(code: str, cls: type[Message]) -> None:
    """One text alone cannot give messages about files, weights, numbers and runs."""
    assert code in (*TWO_FILES, *BEYOND_A_PAGE) or code[:3] in BEYOND_A_TEXT
    assert codes_of(cls.good) == []
    assert re.search(rf"\b({code}|{cls.__name__})\b", read_tests()), "no test meets it"


def test_pages_show_what_is_printed() -> None:
    page = explain("W0102")
    assert page is not None
    assert "error[W0102]: `(` is never closed" in page
    assert "\x1b[" not in page
    assert "\x1b[" in (explain("W0102", color=True) or "")


def test_unknown_code_has_no_page() -> None:
    assert explain("W9999") is None


def test_there_are_enough_messages() -> None:
    assert len(SHOWN) >= 190
