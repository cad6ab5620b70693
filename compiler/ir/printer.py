"""Graph -> text: the form that `--print-after` shows; `compiler.ir.reader` reads it back."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator

from compiler.ir.frame import Argument, ForLoop, Frame, Listed, Listing, Pick, Site, Turn
from compiler.ir.graph import Graph, Node, Parameter
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintCall,
    HintChoose,
    HintConst,
    HintItem,
    HintList,
    HintName,
    HintSize,
    HintText,
    HintUnary,
)
from compiler.ir.listings import Record, find_listings
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.no_default import NO_DEFAULT


def print_graph(graph: Graph) -> str:
    """The text of a graph. Spans are printed as character offsets. Numbers that a pass computed
    are not part of it.

    Raises:
        TypeError: an op has a field that the textual form has no spelling for.
    """
    return "\n".join(_Printer(graph).lines(graph, "")) + "\n"


class _Printer:
    """Numbers frames over a graph and the graphs nested in its ops."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph.frame.origin.source if graph.frame.origin else None
        self.frames: dict[Frame, int] = {}
        for frame in _find_frames(graph):
            self.frames.setdefault(frame, len(self.frames))
        self.records = {record: number for number, record in enumerate(_find_records(graph))}
        self.printed: set[Frame | Record] = set()

    def lines(self, graph: Graph, indent: str) -> Iterator[str]:
        inner = indent + "    "
        yield f"{indent}graph {_text(graph.name)}{_doc(graph.doc)} {{"
        for frame, number in self.frames.items():
            if frame not in self.printed:
                self.printed.add(frame)
                yield inner + self.frame_line(frame, number)
        for item in graph.inputs:
            head = f"input {_value(item.name)}: {_type(item.value.type)}{_hinted(item.hints)}"
            yield f"{inner}{head}{_doc(item.doc)}{self.span(item.origin)}"
        for parameter in graph.parameters:
            yield inner + self.parameter_line(parameter)
        for condition in graph.conditions:
            text = f"{_dim(condition.left)} {condition.relation} {_dim(condition.right)}"
            yield f"{inner}assume {text}{self.span(condition.origin)}"
        for record in self.records:
            if record not in self.printed:
                self.printed.add(record)
                yield inner + self.record_line(record)
        for node in graph.nodes:
            yield inner + self.node_line(node, inner)
        for alias in graph.aliases:
            if alias.frame in self.frames:
                place = f"@{self.frames[alias.frame]} {_value(alias.value)}"
                yield f"{inner}known {place} = {_text(alias.name)}"
        for decision in graph.decisions:
            if decision.frame in self.frames:
                outcome = str(decision.outcome).lower()
                place = f"@{self.frames[decision.frame]}{self.span(decision.place)}"
                read = f" hint {_hint(decision.hint)}" if decision.hint is not None else ""
                guard = f" guard {_hint(decision.guard)}" if decision.guard is not None else ""
                loops = "".join(map(_loop, decision.loops))
                yield f"{inner}decided {outcome} in {place}{read}{guard}{loops}"
        for one in graph.assertions:
            if one.frame in self.frames:
                place = f"@{self.frames[one.frame]}{self.span(one.place)}"
                yield f"{inner}asserted {_text(one.text)} in {place} hint {_hint(one.hint)}"
        for output in graph.outputs:
            head = f"output {_text(output.name)} = {self.item(output.value.name, output.pick)}"
            yield f"{inner}{head}{_doc(output.doc)}{self.span(output.origin)}"
        yield f"{indent}}}"

    def frame_line(self, frame: Frame, number: int) -> str:
        parent = f"@{self.frames[frame.parent]}" if frame.parent else "none"
        parts = [f"@{number} = {_text(frame.block)} in {parent} path={_text(frame.path)}"]
        parts.append(f"call={frame.call}")
        parts += [self.argument(a) for a in frame.arguments]
        parts += [f"tensor {_name(formal)}={_value(name)}" for formal, name in frame.tensors]
        guard = f" guard {_hint(frame.guard)}" if frame.guard is not None else ""
        text = " ".join(parts) + guard + self.turns(frame.label, frame.turns)
        return text + _doc(frame.doc) + self.span(frame.origin)

    def record_line(self, record: Record) -> str:
        if isinstance(record, Listing):
            what = f"list ({', '.join(map(self.part, record.parts))})"
        else:
            what = f"{record.reading.value} {record.place} of ${self.records[record.source]}"
            what += f" is {_value(record.value)}"
        place = f"in @{self.frames[record.scope]}{self.site(record.origin)}"
        return f"${self.records[record]} = {what} {place}"

    def part(self, part: Listed | Listing) -> str:
        if isinstance(part, Listing):
            return f"${self.records[part]}"
        return self.item(part.value, part.pick)

    def item(self, value: str, pick: Pick | None) -> str:
        """A value, and how it was read off a list."""
        return _value(value) if pick is None else f"{_value(value)} by ${self.records[pick]}"

    def turns(self, label: Hint | None, turns: tuple[Turn, ...]) -> str:
        """How a path was written, and the turns of loops around."""
        text = f" from {_hint(label)}" if label is not None else ""
        for turn in turns:
            text += f" turn {turn.number}{self.span(turn.loop)}"
            text += f" over {_hint(turn.over)}" if turn.over is not None else ""
            for bound in turn.names:
                text += f" let {_name(bound.name)}={self.literal(bound.value, '')}"
                text += f" hint {_hint(bound.hint)}" if bound.hint is not None else ""
        return text

    def argument(self, argument: Argument) -> str:
        text = f"argument {_name(argument.name)}={self.literal(argument.value, '')}"
        if argument.hint is not None:
            text += f" hint {_hint(argument.hint)}"
        if argument.default is not NO_DEFAULT:
            text += f" default {self.literal(argument.default, '')}"
        text += "".join(f" dim={_name(formal)}.{axis}" for formal, axis in argument.dims)
        if argument.untraced:
            text += f" untraced ({''.join(map(self.span, argument.untraced)).strip()})"
        return text

    def parameter_line(self, parameter: Parameter) -> str:
        kind = "param" if parameter.trainable else "buffer"
        head = f"{kind} {_value(parameter.path)}: {_type(parameter.value.type)}"
        made = self.record(parameter.initializer.name, parameter.initializer, "")
        return f"{head} = {made}{_hinted(parameter.hints)}{self.span(parameter.origin)}"

    def node_line(self, node: Node, indent: str) -> str:
        made = ", ".join(f"{_value(v.name)}: {_type(v.type)}" for v in node.outputs)
        read = ", ".join(_value(v.name) if v is not None else "none" for v in node.inputs)
        options = ", ".join(self.changed_fields(node.op, indent))
        text = f"{made} = {node.op.name}({read})"
        text += f" {{{options}}}" if options else ""
        return text + f" in @{self.frames[node.scope]}" + self.site(node.origin)

    def changed_fields(self, item: object, indent: str) -> Iterator[str]:
        """`field=value` of a dataclass, without fields that stand at their default."""
        for field in dataclasses.fields(item):  # type: ignore[arg-type]
            value = getattr(item, field.name)
            same = value == field.default and type(value) is type(field.default)
            if not same:
                yield f"{field.name}={self.literal(value, indent)}"

    def record(self, name: str, item: object, indent: str) -> str:
        return f"{name}({', '.join(self.changed_fields(item, indent))})"

    def site(self, site: Site) -> str:
        text = f" as {_text(site.name)}" if site.name else ""
        text += _hinted(site.hints)
        if site.guard is not None:
            text += f" guard {_hint(site.guard)}"
        text += self.turns(site.label, site.turns)
        if site.picks:
            text += f" reads ({', '.join(self.item(*item) for item in site.picks)})"
        if site.listed is not None:
            text += f" all of ${self.records[site.listed]}"
        return text + self.span(site.span)

    def span(self, span: Span | None) -> str:
        if span is None:
            return ""
        place = f" at {span.start}:{span.end}"
        return place if span.source is self.source else f"{place} of {_text(span.source.path)}"

    def literal(self, value: object, indent: str) -> str:
        match value:
            case None | True | False:
                return str(value).lower()
            case DType():
                return f"dtype {value}"
            case Dim():
                return f"<{_dim(value)}>"
            case int() | float():
                return repr(value)
            case str():
                return _text(value)
            case tuple():
                items = ", ".join(self.literal(item, indent) for item in value)
                return f"({items}{',' if len(value) == 1 else ''})"
            case list():
                return f"[{', '.join(self.literal(item, indent) for item in value)}]"
            case Graph():
                return "\n".join(self.lines(value, indent)).lstrip()
            case _ if dataclasses.is_dataclass(value):
                # Ops, initializers and their like go by the name that specs use.
                name = getattr(value, "name", None)
                return self.record(
                    name if isinstance(name, str) else type(value).__name__, value, indent
                )
        raise TypeError(f"the textual form has no spelling for {value!r}")


def _find_records(graph: Graph) -> Iterator[Record]:
    """Every list and pick, nested graphs included."""
    found = dict.fromkeys(find_listings(graph))
    for node in graph.nodes:
        for nested in find_nested_graphs(node):
            found.update(dict.fromkeys(_find_records(nested)))
    return iter(found)


def _find_frames(graph: Graph) -> Iterator[Frame]:
    """Every frame, parents first, nested graphs included."""
    yield from graph.frame.chain
    for node in graph.nodes:
        yield from node.scope.chain
        for nested in find_nested_graphs(node):
            yield from _find_frames(nested)
    for record in find_listings(graph):
        yield from record.scope.chain


def find_nested_graphs(node: Node) -> Iterator[Graph]:
    """Graphs that are fields of a node's op: the body of a `scan`."""
    for field in dataclasses.fields(node.op):  # type: ignore[arg-type]
        value = getattr(node.op, field.name)
        if isinstance(value, Graph):
            yield value


def _hinted(hints: tuple[tuple[str, Hint], ...]) -> str:
    return "".join(f" hint {_text(name)}={_hint(hint)}" for name, hint in hints)


def _loop(loop: ForLoop) -> str:
    over = f" over {_hint(loop.over)}" if loop.over is not None else ""
    return f" turn of ({' '.join(map(_name, loop.names))}){over}"


def _hint(hint: Hint) -> str:
    match hint:
        case HintConst(tuple() as values):
            return f"(list {' '.join(map(_scalar, values))})"
        case HintConst(value):
            return _scalar(value)
        case HintName(name):
            return _name(name)
        case HintUnary(symbol, operand):
            return f"(`{symbol}` {_hint(operand)})"
        case HintBinary(symbol, left, right):
            return f"(`{symbol}` {_hint(left)} {_hint(right)})"
        case HintChoose(condition, then, otherwise):
            return f"(if {_hint(condition)} {_hint(then)} {_hint(otherwise)})"
        case HintCall(function, arguments):
            return f"(call {' '.join((function, *map(_hint, arguments)))})"
        case HintSize(value, axis):
            return f"(size {_value(value)} {axis})"
        case HintItem(items, index):
            return f"(item {_hint(items)} {_hint(index)})"
        case HintList(parts):
            return f"({' '.join(('items', *map(_hint, parts)))})"
        case HintText(parts):
            return f"({' '.join(('join', *map(_hint, parts)))})"


def _scalar(value: object) -> str:
    match value:
        case None | True | False:
            return str(value).lower()
        case str():
            return _text(value)
    return repr(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(name: str) -> str:
    """`%features` for a name, `%12` for a value without one; quoted where it is no plain path."""
    if name.startswith("%") and name[1:].isdigit():
        return name
    plain = name[:1].isalpha() and all(
        part.isidentifier() or part.isdigit() for part in name.split(".")
    )
    return f"%{name}" if plain and name.isascii() else f"%{_text(name)}"


def _type(tensor_type: TensorType) -> str:
    return f"{tensor_type.dtype}[{', '.join(map(_dim, tensor_type.shape))}]"


def _dim(dim: Dim) -> str:
    """A size, with its symbols as names are written here."""
    quoted = {symbol: Dim.of(_name(symbol)) for symbol in dim.symbols if _name(symbol) != symbol}
    return str(dim.substitute(quoted) if quoted else dim)


_BARE = re.compile(r"(?!(?:true|false|none|nan|inf)\b)[A-Za-z_]\w*", re.ASCII)
"""A name that reads as one: not as a value, and in ASCII."""


def _name(name: str) -> str:
    """A name of the spec: quoted where it is not a plain word."""
    return name if _BARE.fullmatch(name) else "`" + _text(name)[1:-1].replace("`", "\\u0060") + "`"


def _doc(doc: str) -> str:
    return f" doc={_text(doc)}" if doc else ""
