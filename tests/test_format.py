"""Canonical text: the same tree, the same comments, and nothing to do the second time."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.text.format.format import WIDTH, format_source
from compiler.text.parse import parse
from tests.conftest import Golden
from tests.fuzz.generators import derive_tokens

GOOD = Path(__file__).parent / "good"
SPECS = Path(__file__).parents[1] / "specs"
FILES = sorted([*(GOOD / "programs").glob("*.weft"), *SPECS.glob("**/*.weft")])


def format_text(text: str) -> str:
    sink = Sink()
    formatted = format_source(Source("test.weft", text), sink)
    assert sink.messages == []
    return formatted


def comments_of(text: str) -> list[str]:
    return re.findall(r"#[^\n]*", re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text))


def check_formatted(text: str) -> str:
    once = format_text(text)
    assert format_text(once) == once
    assert parse(Source("a", once), Sink()) == parse(Source("b", text), Sink())
    assert [c.rstrip() for c in comments_of(once)] == [c.rstrip() for c in comments_of(text)]
    return once


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_specs(path: Path) -> None:
    once = check_formatted(path.read_text(encoding="utf-8"))
    for line in once.splitlines():
        assert len(line) <= WIDTH or "#" in line or line.count('"') > 10, line


@pytest.mark.parametrize(
    "path", sorted((GOOD / "format").glob("*.weft")), ids=lambda path: path.stem
)
def test_layout(path: Path, golden: Golden) -> None:
    golden.check(path.with_suffix(".out"), check_formatted(path.read_text(encoding="utf-8")))


def test_every_layout_golden_has_a_spec() -> None:
    for path in (GOOD / "format").glob("*.out"):
        assert path.with_suffix(".weft").exists()


def test_errors_leave_the_text_alone() -> None:
    text = "block f(x) {   return x ->\n}"
    sink = Sink()
    assert format_source(Source("test.weft", text), sink) == text
    assert [message.code for message in sink.messages] == ["W0110"]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment\n", "\ufefflet a = 1\n", "let a = 1\r\n"]
)
def test_small_texts(text: str) -> None:
    once = format_text(text)
    assert format_text(once) == once
    assert once == "" or once.endswith("\n")
    assert "\r" not in once


def make_spec(seed: int) -> str:
    """A random spec that parses, on lines broken where that is allowed, with comments."""
    rng = random.Random(seed)
    while True:
        tokens = derive_tokens(rng, budget=rng.randrange(3, 40))
        text = " ".join(tokens)
        if not errors_of(text):
            break
    for _ in range(rng.randrange(12)):
        at = rng.randrange(len(tokens) + 1)
        put = rng.choice(["\n", "\n\n\n", "  # c\n", "\n# own\n", "\n## doc\n", " ## behind\n"])
        attempt = [*tokens[:at], put, *tokens[at:]]
        if not errors_of(" ".join(attempt)):
            tokens = attempt
    return " ".join(tokens)


def errors_of(text: str) -> list[str]:
    sink = Sink()
    parse(Source("test.weft", text), sink)
    return [message.code for message in sink.messages]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_specs(seed: int) -> None:
    check_formatted(make_spec(seed))


def test_a_long_pipe_is_formatted() -> None:
    text = "block f(x) {\n    return x" + " -> relu" * 5000 + "\n}\n"
    once = format_text(text)
    assert format_text(once) == once
    assert max(map(len, once.splitlines())) <= WIDTH
