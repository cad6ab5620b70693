"""Names of sizes, as `fix` and `target` give them: each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compiler.report.diagnostics import Message
from compiler.report.messages.sizes import size_twice
from compiler.text.tree.syntax import Name


def refuse_twice(names: Sequence[Name], report: Callable[[Message], None]) -> None:
    """Reports sizes that were given before."""
    seen: dict[str, Name] = {}
    for name in names:
        if name.text in seen:
            report(size_twice(name.span, name.text, seen[name.text].span))
        seen.setdefault(name.text, name)
