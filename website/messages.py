"""Pages of messages in Markdown: what each means, what causes it, and the same mended."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from inspect import cleandoc
from itertools import groupby
from operator import attrgetter, itemgetter

from compiler.explain import find_message, say_name
from compiler.report.console import PROMPT, read_printed, read_session
from compiler.report.diagnostics import MESSAGES, MessageKind
from compiler.report.messages import load_messages
from compiler.report.render import render_message

FOLDER = "messages"


def place(code: str) -> str:
    """Where the page of a message lies in the site."""
    return f"{FOLDER}/{code}.md"


def write_messages() -> Iterator[tuple[str, str]]:
    """The index and every page: where it lies, and its Markdown."""
    load_messages()
    themes = sorted((_find_theme(kind), code) for code, kind in MESSAGES.items())
    lines = [_INTRODUCTION]
    for theme, entries in groupby(themes, itemgetter(0)):
        rows = [f"| [{c}]({c}.md) | {_summarize(MESSAGES[c])} |" for _, c in entries]
        lines += [f"## {theme}", "\n".join(["| | |", "|---|---|", *rows])]
    yield f"{FOLDER}/index.md", "\n\n".join(lines)
    for code, kind in MESSAGES.items():
        yield place(code), "\n\n".join(_write_page(code, kind))


_INTRODUCTION = (
    "# Messages\n\nEvery message has a code, which `weft explain CODE` explains in a terminal, and "
    "which this page leads from."
)


def _find_theme(kind: MessageKind[...]) -> str:
    """The first sentence of the module that has a message."""
    doc = inspect.getdoc(sys.modules[kind.module]) or kind.module
    return doc.split("\n\n")[0].replace("\n", " ").rstrip(".")


def _summarize(kind: MessageKind[...]) -> str:
    return cleandoc(kind.page).split("\n\n")[0].replace("\n", " ").replace("|", "&#124;")


def _write_page(code: str, kind: MessageKind[...]) -> Iterator[str]:
    yield f"---\ntitle: {code} {say_name(kind)}\n---"
    yield f"# {code}: {say_name(kind)}"
    yield f"{kind.severity.capitalize()} · [Messages](index.md)"
    yield cleandoc(kind.page)
    if kind.bad:
        yield f"## What causes it\n\n```weft\n{kind.bad.rstrip()}\n```"
        for message in find_message(kind):
            yield f"```text\n{render_message(message)}\n```"
    if kind.console:
        yield "## What causes it"
        yield from _write_session(kind.console, read_printed(code))
    if kind.good:
        yield f"## What to write\n\n```weft\n{kind.good.rstrip()}\n```"
    if kind.mended:
        yield "## What to do"
        yield from _write_session(kind.mended, "")
    if kind.lint:
        yield f"## Where it is meant\n\n```weft\n# weft: allow {kind.name}\n```"


def _write_session(session: str, printed: str) -> Iterator[str]:
    """Files, each under its name, and the commands between them, with what the last one prints."""
    for file, steps in groupby(read_session(session), attrgetter("file")):
        if file:
            language = file.rpartition(".")[2] if file.endswith((".weft", ".py")) else "text"
            yield f'```{language} title="{file}"\n{next(steps).text.rstrip()}\n```'
        else:
            commands = "\n".join(PROMPT + step.command for step in steps)
            yield f"```console\n{commands}\n```"
    if printed:
        yield f"```text\n{printed.rstrip()}\n```"
