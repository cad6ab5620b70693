"""What a command or a program gives a spec: values of parameters, and arrays for its data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from compiler.data.base import SOURCES
from compiler.data.registry import load_sources
from compiler.elaborate.calls.described import find_class
from compiler.records import dataclass
from compiler.report.diagnostics import Sink
from compiler.report.messages.files import unknown_item
from compiler.report.messages.settings import ambiguous_setting, unknown_setting
from compiler.report.source import Source, Span
from compiler.report.suggestions import did_you_mean
from compiler.text.parse import parse_expression
from compiler.text.tree.syntax import Block, Clause, Data, Declare, Expr, File, Item, String


@dataclass(frozen=True)
class Target:
    """A parameter of an item, or an option of a data item's source. `text` says that its value
    is a string, which needs no quotes on a command line."""

    item: str
    name: str
    text: bool


def read_overrides(
    file: File, assignments: Mapping[str, str], sink: Sink
) -> dict[tuple[str, str], Expr]:
    """The values that replace defaults, by item and parameter. Names that mean nothing, or more
    than one parameter, are reported."""
    targets = list(_find_targets(file)) if assignments else []
    found: dict[tuple[str, str], Expr] = {}
    for name, text in assignments.items():
        target = _choose(name, targets, sink)
        if target is None:
            continue
        value = _read_value(target, text, sink)
        if value is not None:
            found[target.item, target.name] = value
    return found


def report_unknown_data(file: File, arrays: Collection[str], sink: Sink) -> None:
    """Reports arrays for data items that the file does not have."""
    known = tuple(item.name.text for item in file.items if isinstance(item, Data))
    for name in arrays:
        if name not in known:
            near = did_you_mean(name, known)
            sink.report(unknown_item(None, "data item", name, known, near))


def _find_targets(file: File) -> Iterator[Target]:
    """Everything that can be set, in the order of the file."""
    for item in file.items:
        if not isinstance(item, Item):
            continue
        for parameter in item.parameters:
            if parameter.default is None and isinstance(item, Block):
                continue  # a call must give it
            text = parameter.type is not None and parameter.type.name.text == "str"
            yield Target(item.name.text, parameter.name.text, text)
        if isinstance(item, Data):
            yield from _find_options(item)


def _find_options(item: Data) -> Iterator[Target]:
    """Options of the source of a data item."""
    load_sources()
    own = {p.name.text for p in item.parameters}
    for clause in item.body:
        if not isinstance(clause, Clause) or clause.word.text != "source":
            continue
        for operand in clause.operands:
            cls = None if isinstance(operand.value, Declare) else find_class(operand.value, SOURCES)
            for option in cls.options() if cls is not None else ():
                if option.name not in own:
                    text = option.annotation is str or option.annotation == str | None
                    yield Target(item.name.text, option.name, text)


def _choose(name: str, targets: list[Target], sink: Sink) -> Target | None:
    """The target that a name means; None where that is none or several, which is reported."""
    full = {f"{t.item}.{t.name}": t for t in targets}
    if name in full:
        return full[name]
    short = [t for t in targets if t.name == name]
    if len(short) == 1:
        return short[0]
    if short:
        sink.report(ambiguous_setting(None, name, tuple(f"{t.item}.{t.name}" for t in short)))
        return None
    item = name.partition(".")[0]
    known = tuple(sorted(full, key=lambda other: not other.startswith(f"{item}.")))
    near = did_you_mean(name, known) or did_you_mean(name, [t.name for t in targets])
    sink.report(unknown_setting(None, name, known, near))
    return None


def _read_value(target: Target, text: str, sink: Sink) -> Expr | None:
    """The value as an expression of a text of its own, so that faults in it show it."""
    source = Source(f"value of {target.item}.{target.name}", text)
    if target.text:
        plain = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
        return String(Span(source, 0, len(text)), (plain,))
    return parse_expression(source, sink)
