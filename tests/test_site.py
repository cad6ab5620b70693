"""The site: built without a warning, a page for every word and message, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mkdocs import config
from mkdocs.commands.build import build

from compiler.manual.pages import CLAUSE, find_pages
from compiler.report.diagnostics import MESSAGES
from compiler.report.messages import load_messages
from website import messages, reference

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, where a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    build(config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_every_word_and_message_has_its_page(site: Path) -> None:
    load_messages()
    words = [reference.place(page) for page in find_pages() if page.kind != CLAUSE]
    for place in [*words, *map(messages.place, MESSAGES)]:
        page = (site / place).with_suffix(".html")
        assert page.exists(), place
        text = page.read_text("utf-8")
        assert place in map(messages.place, MESSAGES) or "<strong>Source:</strong>" in text, place
        assert place in map(messages.place, MESSAGES) or 'id="example"' in text, place


def test_console_sessions_show_files_commands_and_what_is_printed(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "messages/W0907.html").read_text("utf-8"))
    assert 'weights = {"fc.weigth"' in text.replace("&quot;", '"')
    assert "$ weft compile net.weft -o out --weights fc.safetensors" in text
    assert "error[W0907]: `fc.safetensors` has no `fc.weight`" in text


def test_words_lead_to_their_pages(site: Path) -> None:
    text = (site / "reference/op/bce.html").read_text("utf-8")
    assert 'href="bce_with_logits.html"><code>bce_with_logits</code>' in text
    assert 'href="../../messages/W0' in text
    text = (site / "ops.html").read_text("utf-8")
    assert 'href="reference/optimizer/adam.html"><code>adam</code>' in text
    assert "<math " in text


def test_every_page_is_found_by_search(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    written = {str(path.relative_to(site)) for path in site.rglob("*.html")} - {"404.html"}
    assert written == found


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Links may lead out; scripts, styles, pictures and fonts are in the folder."""
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img)[^>]* src=\"?(https?:[^\" >]*)", text)
        loaded += re.findall(r"<link(?![^>]*canonical)[^>]* href=\"?(https?:[^\" >]*)", text)
        assert not loaded, page.name


def test_formulas_are_shown_without_scripts(site: Path) -> None:
    shown = 0
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "arithmatex" not in text, page.name
        shown += text.count("<math ")
    assert shown > 500


def test_specs_have_colours(site: Path) -> None:
    text = (site / "index.html").read_text("utf-8")
    assert '<span class="kd">model</span>' in text
    assert '<span class="k">minimize</span>' in text
