"""Names of items as names of the files that a build makes of them."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.elaborate.scopes.context import FileNet, FileScope
from compiler.report.messages.item_names import item_name_not_file, item_names_clash
from compiler.text.tree.syntax import Model, Name, Sweep, Train, Variant
from compiler.writing.files import file_key, find_name_fault


def check_item_names(scope: FileScope) -> None:
    """Reports names that are no file names, and names that one file would have."""
    report = scope.session.report
    known: dict[tuple[bool, str], Name] = {}
    for what, name in _list_names(scope):
        reason = find_name_fault(name.text)
        if reason is not None:
            report(item_name_not_file(name.span, what, name.text, reason))
            continue
        # Models are compiled where there is nothing else, so never beside other items.
        first = known.setdefault((what == "model", file_key(name.text)), name)
        if first is not name:
            report(item_names_clash(name.span, name.text, first.text, first.span))


def _list_names(scope: FileScope) -> Iterator[tuple[str, Name]]:
    """What files are named after: a kind of item, and its name."""
    for entry in scope.entries.values():
        match entry:
            case FileNet(name):
                yield "net", name
            case Model() | Train() | Variant() | Sweep():
                yield type(entry).__name__.lower(), entry.name
