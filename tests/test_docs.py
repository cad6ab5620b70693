"""Pages for people: no section is empty, no link leads nowhere, every code that is named exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compiler.report.diagnostics import MESSAGES, Sink
from compiler.report.messages import load_messages
from compiler.report.render import render
from compiler.report.source import Source
from compiler.text.parse import parse

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
SPEC = re.compile(r"^```weft\n(.*?)^```", re.M | re.S)
ITEM = re.compile(r"(##.*\n|\s)*(use|let|block|model|net|data|train|variant|sweep|deploy)\b")
HEADING = re.compile(r"^#+ (.*)$", re.M)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read_prose(page: Path) -> str:
    """The text without its blocks of code, which may hold anything."""
    return FENCE.sub("code", page.read_text(encoding="utf-8"))


def list_anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links (GitHub's rule)."""
    kept = (
        re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(read_prose(page))
    )
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_section_says_something(page: Path) -> None:
    lines = [line for line in read_prose(page).splitlines() if line.strip()]
    for line, behind in zip(lines, [*lines[1:], "# "], strict=True):
        if HEADING.match(line):
            level, other = line.split(" ")[0], behind.split(" ")[0]
            deeper = set(other) == {"#"} and len(other) > len(level)
            assert deeper or not HEADING.match(behind), f"nothing under {line!r}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(read_prose(page)):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in list_anchors(there), f"{target} has no section {anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_specs_are_in_the_language(page: Path) -> None:
    for text in SPEC.findall(page.read_text(encoding="utf-8")):
        if "…" in text:
            continue  # leaves something to the reader
        # A block of clauses stands in a variant.
        whole = text if ITEM.match(text) else f"variant v of fit {{\n{text}}}\n"
        sink = Sink()
        parse(Source(name(page), whole), sink)
        assert not sink.messages, f"{text}\n{render(sink.messages)}"


def test_codes_exist() -> None:
    load_messages()
    for page in PAGES:
        text = re.sub(r"```diff\n.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        named = set(re.findall(r"\bW\d{4}\b", text))  # those of what is added are not there yet
        assert named <= set(MESSAGES), name(page)


def test_the_readme_leads_to_every_page() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        linked = {(page.parent / target).resolve() for target, _ in LINK.findall(read_prose(page))}
        ahead += [other for other in linked - reached if other.suffix == ".md"]
    for page in ROOT.glob("docs/**/*.md"):
        assert page in reached, f"no links lead from README.md to {name(page)}"
