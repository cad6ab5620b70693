"""What MkDocs calls while it builds the site: pages that are made, the order of all, formulas."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import lexer, messages, reference
from website.mathml import polish

LOG = logging.getLogger("mkdocs.hooks.website")
ROOT = Path(__file__).resolve().parents[1]
HOME = "index.md"
CHAPTERS = "textbook/index.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Makes the colours of Weft known."""
    lexer.register()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made, and the order of those that people read from the first to the
    last; the others are found from the index and by search."""
    made = [(HOME, _write_home()), *reference.write_reference(), *messages.write_messages()]
    for path, text in made:
        files.append(File.generated(config, path, content=text))
    config.nav = _order_pages(Path(config.docs_dir))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The index of the vocabulary has links here."""
    return reference.write_index() if page.file.src_uri == reference.INDEX else markdown


def on_page_content(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which a browser shows without any script."""

    def write(match: re.Match[str]) -> str:
        latex = html.unescape(match[2]).strip()
        known = latex[2:-2].strip()
        for pattern, other in _UNKNOWN:
            known = re.sub(pattern, other, known)
        shown = convert(known, display="block" if match[1] == "div" else "inline")
        plain = re.sub(r"<annotation.*?</annotation>", "", shown)
        if "\\" in plain or "<mi>&</mi>" in plain:  # `&`: an environment without columns
            LOG.warning(
                "%s: a formula has a command that is not known: %s", page.file.src_uri, latex
            )
        return f'<{match[1]} class="formula">{polish(shown)}</{match[1]}>'

    return re.sub(r'<(div|span) class="arithmatex">(.*?)</\1>', write, text, flags=re.DOTALL)


_UNKNOWN = (
    (r"\\arg\b", r"\\operatorname{arg}"),
    (r"(\\[bB]igg?[lr])\\[lr]Vert", r"\1‖"),
    (r"\{aligned\}", "{align*}"),
)
"""Commands that the converter does not know, and others that say the same."""


def _write_home() -> str:
    """README.md, whose links start from the root of the repository."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(
        r"\[([^]]*)\]\((?!https?:|[\w/-]+\.md)[^)]*\)|\[([^]]*)\]\(benchmarks/[^)]*\)",
        r"\1\2",
        text,
    )


def _order_pages(folder: Path) -> list[dict[str, object]]:
    """The tabs and what stands under each."""
    tutorials = sorted(path.name for path in (folder / "tutorials").glob("*.md"))
    guides = ["language.md", "training.md", "compression.md", "contracts.md", "onnx.md"]
    others = sorted({path.name for path in folder.glob("*.md")} - {*guides, reference.INDEX})
    return [
        {"Weft": HOME},
        {"Tutorials": [f"tutorials/{name}" for name in tutorials]},
        {"Guide": [*guides, *others]},
        {"Textbook": [CHAPTERS, *_list_chapters(folder)]},
        {"Vocabulary": reference.INDEX},
        {"Messages": f"{messages.FOLDER}/index.md"},
    ]


def _list_chapters(folder: Path) -> Iterator[str]:
    """The chapters, in the order of the textbook's own index, and those that it does not have."""
    path = folder / CHAPTERS
    linked = re.findall(r"\]\(([\w-]+\.md)\)", path.read_text(encoding="utf-8"))
    found = sorted(other.name for other in path.parent.glob("*.md") if other != path)
    for name in dict.fromkeys([*(name for name in linked if name in found), *found]):
        yield f"textbook/{name}"
