"""Pages of the vocabulary in Markdown: one for each op, loss, optimizer, metric and so on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from textwrap import fill

from compiler.manual.pages import BLOCK, CLAUSE, Page, find_pages
from compiler.manual.reference import join_names, op_reference
from compiler.ops.registry import OPS
from compiler.program.program import Program
from compiler.training.base import METRICS, OPTIMIZERS, REGULARIZERS, SCHEDULES
from website.formulas import show_formulas
from website.spelling import (
    check_example,
    tell_operators,
    tell_results,
    write_objective,
    write_pytorch,
    write_script,
)

FOLDER = "reference"
INDEX = "ops.md"
"""The page of `docs/` that lists all words."""

USUAL = {
    OPTIMIZERS.kind: (r"\bwith (?!over).*", "with {other}(lr=1e-3)"),
    SCHEDULES.kind: (r",? ?schedule=\w+\([^()]*\)", ""),
    METRICS.kind: (r"\n *metric .*", ""),
    REGULARIZERS.kind: (r"\n *regularize .*", ""),
}
"""What stands in an example in place of the clause that it is about."""


def place(page: Page) -> str:
    """Where the page of a word lies in the site: `reference/op/conv.md`."""
    return f"{FOLDER}/{page.kind.replace(' ', '-')}/{page.name}.md"


def write_index() -> str:
    """The index of the vocabulary, with links."""
    return op_reference(lambda page: f"[`{page.name}`]({place(page)})")


def write_reference() -> Iterator[tuple[str, str]]:
    """Every page: where it lies, and its Markdown."""
    pages = [page for page in find_pages() if page.kind != CLAUSE]
    for page in pages:
        yield place(page), "\n\n".join([*_write_head(page), *_write_body(page), *_write_uses(page)])


def link_codes(text: str) -> str:
    """A text whose codes of messages lead to their pages, from two folders down."""
    return re.sub(r"\bW\d{4}\b(?!\.md)", r"[\g<0>](../../messages/\g<0>.md)", text)


def _write_head(page: Page) -> Iterator[str]:
    yield f"---\ntitle: {page.name}\n---"
    yield f"# `{page.name}`"
    home = f"[{page.group}](../../{INDEX})"
    yield f"{page.kind.capitalize()} · {home}"
    shown = fill(page.signature, 96, subsequent_indent="    ", break_on_hyphens=False)
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
    program = check_example(page.example)
    if program is None or page.kind not in (OPS.kind, BLOCK, *USUAL, "initializer"):
        return
    yield from _write_training(page) if program.trains else _write_net(program)


def _write_net(program: Program) -> Iterator[str]:
    for net in program.models.values():
        yield f"It gives {tell_results(net.graph)}."
        yield f"## In PyTorch\n\n```python\n{write_pytorch(net.graph)}\n```"
        yield f"## In ONNX\n\n{link_codes(tell_operators(net.graph))}"


def _write_training(page: Page) -> Iterator[str]:
    if page.kind not in USUAL:
        yield f"## In PyTorch\n\n```python\n{write_objective(page.example)}\n```"
        return
    pattern, usual = USUAL[page.kind]
    other = usual.format(other="sgd" if page.name == "adamw" else "adamw")
    code = write_script(page.example, re.sub(pattern, other, page.example))
    if code:
        about = "The training script has these lines because of it:"
        yield f"## In PyTorch\n\n{about}\n\n```python\n{code}\n```"
