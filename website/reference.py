"""Pages of the vocabulary in Markdown: one for each op, loss, optimizer, metric and so on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill

from markdown.extensions.toc import slugify

from compiler.manual.pages import BLOCK, CLAUSE, Page, find_pages
from compiler.manual.reference import join_names, op_reference
from website.formulas import show_formulas
from weft.examples import USUAL, spell

FOLDER = "reference"
INDEX = "ops.md"
"""The page of `docs/` that lists all words."""


def place(page: Page) -> str:
    """Where the page of a word lies in the site: `reference/op/conv.md`."""
    return f"{FOLDER}/{page.kind.replace(' ', '-')}/{page.name}.md"


def write_index() -> str:
    """The index of the vocabulary, with links."""
    return op_reference(lambda page: f"[`{page.name}`]({place(page)})", show_formulas)


def write_reference() -> Iterator[tuple[str, str]]:
    """Every page: where it lies, and its Markdown."""
    pages = [page for page in find_pages() if page.kind != CLAUSE]
    for page in pages:
        body = (_link_words(part, page, pages) for part in _write_body(page))
        yield place(page), "\n\n".join([*_write_head(page), *body, *_write_uses(page)])


def link_codes(text: str) -> str:
    """A text whose codes of messages lead to their pages, from two folders down."""
    return re.sub(r"\bW\d{4}\b(?!\.md)", r"[\g<0>](../../messages/\g<0>.md)", text)


def _link_words(text: str, page: Page, pages: Sequence[Page]) -> str:
    """A text of a page in which names of other words lead to their pages: rather to one of its
    own kind, and not where the name is one of its own options."""
    own = set(re.findall(r"\w+", page.signature))
    places = {other.name: place(other) for other in reversed(pages)}
    places |= {other.name: place(other) for other in pages if other.kind == page.kind}

    def write(match: re.Match[str]) -> str:
        there = places.get(match[1]) if match[1] not in own else None
        return f"[{match[0]}](../../{there})" if there is not None else match[0]

    return re.sub(r"(?<!\[)`(\w+)`", write, text)


def _write_head(page: Page) -> Iterator[str]:
    yield f"---\ntitle: {page.name}\n---"
    yield f"# `{page.name}`"
    heading = slugify(page.group.replace("`", ""), "-")
    home = f"[{page.group}](../../{INDEX}#{heading})"
    yield f"{page.kind.capitalize()} · {home}"
    shown = fill(page.signature, 76, subsequent_indent="    ", break_on_hyphens=False)
    yield f"```weft\n{shown}\n```"
    if page.kind == BLOCK:
        yield page.place
    if page.names[1:]:
        yield f"Also called {join_names(page)}."


def _write_body(page: Page) -> Iterator[str]:
    yield show_formulas(page.text.about)
    parts: Mapping[str, str] = page.text.parts
    if "Shapes" in parts:
        yield f"**Shapes:** {parts['Shapes']}"
    if page.text.options:
        yield page.text.options
    for label in ("Cost", "Errors"):
        if label in parts:
            yield f"**{label}:** {link_codes(parts[label])}"
    if "Source" in parts:
        source = re.sub(r"https?://\S*[^\s;,.]", r"<\g<0>>", parts["Source"])
        yield f"**Source:** {source}"


def _write_uses(page: Page) -> Iterator[str]:
    yield f"## Example\n\n```weft\n{page.example.rstrip()}\n```"
    spelled = spell(page)
    if spelled.results:
        yield f"It gives {spelled.results}."
    if page.definition:
        yield f"## In Weft\n\n```weft\n{page.definition}\n```"
    if spelled.pytorch:
        about = (
            "The training script has these lines because of it:\n\n" if page.kind in USUAL else ""
        )
        yield f"## In PyTorch\n\n{about}```python\n{spelled.pytorch}\n```"
    if spelled.operators:
        yield f"## In ONNX\n\n{link_codes(spelled.operators)}"
