"""Text -> graph: reads what `compiler.ir.printer` writes, and the cases that tests of passes are
written in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

import grammar
from compiler.ir.authored import Alias, Assertion, Decision
from compiler.ir.frame import (
    Argument,
    ForLoop,
    Frame,
    Listed,
    Listing,
    Pick,
    Reading,
    Site,
    Turn,
    TurnName,
)
from compiler.ir.graph import Condition, Graph, Input, Node, Op, Output, Parameter, Value
from compiler.ir.hint import Hint
from compiler.ir.literals import (
    GraphSyntaxError,
    Record,
    make_record,
    read_dim,
    read_fields,
    read_hint,
    read_literal,
    read_type,
    read_value_name,
    read_word,
)
from compiler.report.source import Source, Span
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.vocabulary.signature import Registry

Branch = Tree[Token]


def read_graph(text: str, ops: Registry[Op], *sources: Source) -> Graph:
    """The graph a text stands for, of these ops. `sources` are what its spans point into, the
    spec first; what stands in others has no span.

    Raises:
        GraphSyntaxError: the text is not in the textual form, or names what does not exist.
    """
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        context = error.get_context(text).rstrip()
        raise GraphSyntaxError(f"line {error.line}: unexpected text\n{context}") from error
    return _Reader(ops, sources).graph(_child(tree, "graph"))


@cache
def _parser() -> Lark:
    text = (files(grammar) / "ir.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", maybe_placeholders=False)


class _Reader:
    """Reads lines in order: frames and values are known before they are used."""

    def __init__(self, ops: Registry[Op], sources: Sequence[Source]) -> None:
        self.ops = ops
        self.sources = {source.path: source for source in sources}
        self.spec = sources[0] if sources else None
        self.frames: dict[str, Frame] = {}
        self.listings: dict[str, Listing] = {}
        self.picks: dict[str, Pick] = {}
        self.root: Frame | None = None

    def graph(self, tree: Branch) -> Graph:
        values: dict[str, Value] = {}
        for line in _children(tree, "frame"):
            self.frame(line)
        records = (t for t in tree.children if isinstance(t, Tree))
        for line in (t for t in records if t.data in ("listing", "pick")):
            self.record(line)
        inputs = tuple(self.input(line, values) for line in _children(tree, "input"))
        parameters = tuple(self.parameter(line, values) for line in _children(tree, "parameter"))
        nodes = tuple(self.node(line, values) for line in _children(tree, "node"))
        if self.root is None:
            raise GraphSyntaxError("a graph needs a frame")
        return Graph(
            _string(tree.children[0]),
            inputs,
            tuple(self.output(line, values) for line in _children(tree, "output")),
            parameters,
            nodes,
            nodes[0].scope.chain[0] if nodes else self.root,
            tuple(self.condition(line) for line in _children(tree, "condition")),
            self.doc(tree),
            aliases=tuple(self.alias(line) for line in _children(tree, "alias")),
            decisions=tuple(
                Decision(
                    self.frames[str(line.children[1])],
                    place,
                    self.value(line.children[0]) is True,
                    self.written(line),
                    self.guard(line),
                    tuple(self.loop(part) for part in _children(line, "loop")),
                )
                for line in _children(tree, "decision")
                if (place := self.span(line)) is not None
            ),
            assertions=tuple(
                Assertion(
                    self.frames[str(line.children[1])], place, hint, _string(line.children[0])
                )
                for line in _children(tree, "assertion")
                if (place := self.span(line)) is not None
                if (hint := self.written(line)) is not None
            ),
        )

    def alias(self, tree: Branch) -> Alias:
        frame, value, name = tree.children
        return Alias(self.frames[str(frame)], read_value_name(value), _string(name))

    def frame(self, tree: Branch) -> None:
        number, block, parent, path, call = (str(t) for t in tree.children[:5])
        frame = Frame(
            json.loads(block),
            json.loads(path),
            int(call),
            None if parent == "none" else self.frames[parent],
            tuple(self.argument(line) for line in _children(tree, "argument")),
            tuple((_word(t), read_value_name(t.children[1])) for t in _children(tree, "tensor")),
            self.guard(tree),
            self.doc(tree),
            self.span(tree),
            *self.turns(tree),
        )
        self.frames[number] = frame
        self.root = self.root or frame

    def argument(self, tree: Branch) -> Argument:
        hint = self.written(tree)
        default = next((self.value(t.children[0]) for t in _children(tree, "default")), NO_DEFAULT)
        bound = tuple((_word(t), int(str(t.children[1]))) for t in _children(tree, "bound"))
        untraced = tuple(
            place
            for line in _children(tree, "untraced")
            for child in line.children
            if isinstance(child, Tree) and (place := self.place(child)) is not None
        )
        return Argument(_word(tree), self.value(tree.children[1]), hint, default, bound, untraced)

    def written(self, tree: Branch) -> Hint | None:
        return next((read_hint(t.children[0]) for t in _children(tree, "written")), None)

    def input(self, tree: Branch, values: dict[str, Value]) -> Input:
        made = _make_value(tree, values)
        return Input(made, self.doc(tree), self.span(tree), _read_hints(tree))

    def parameter(self, tree: Branch, values: dict[str, Value]) -> Parameter:
        kind, name, type_, record = tree.children[:4]
        value = _make_value(Tree("made", [name, type_]), values)
        made = self.value(record)
        assert isinstance(made, Record)
        classes = {cls.name: cls for cls in INITIALIZERS.classes()}
        initializer = make_record(made, classes, "the set of initializers")
        return Parameter(value, initializer, kind == "param", self.span(tree), _read_hints(tree))

    def condition(self, tree: Branch) -> Condition:
        left, relation, right = tree.children[:3]
        return Condition(read_dim(left), str(relation), read_dim(right), self.span(tree))

    def output(self, tree: Branch, values: dict[str, Value]) -> Output:
        name, item = tree.children[0], _child(tree, "listed")
        value, place = _use(item.children[0], values), (self.doc(tree), self.span(tree))
        return Output(_string(name), value, *place, self.pick(item))

    def node(self, tree: Branch, values: dict[str, Value]) -> Node:
        name = _word(_child(tree, "word"), depth=0)
        cls = self.ops.find_printed(name)
        if cls is None:
            raise GraphSyntaxError(f"there is no op {name}")
        operands = _child(tree, "operands").children
        inputs = tuple(None if t == "none" else _use(t, values) for t in operands)
        fields = next((read_fields(t, self.graph) for t in _children(tree, "fields")), {})
        op = make_record(Record(name, fields), {name: cls}, "the set of ops")
        scope = next(t for t in tree.children if isinstance(t, Token) and t.type == "FRAME")
        made = tuple(_make_value(t, values) for t in _children(tree, "made"))
        return Node(op, inputs, made, self.frames[str(scope)], self.site(tree))

    def record(self, tree: Branch) -> None:
        """A list of tensors, or what is read off one."""
        scope = next(t for t in tree.children if isinstance(t, Token) and t.type == "FRAME")
        frame, origin, number = self.frames[str(scope)], self.site(tree), str(tree.children[0])
        if tree.data == "listing":
            parts = tuple(self.part(t) for t in tree.children[1 : tree.children.index(scope)])
            self.listings[number] = Listing(parts, frame, origin)
            return
        _, _, place, source, value = tree.children[:5]
        reading = Reading(_word(_child(tree, "word"), depth=0))
        made = self.listings[str(source)]
        name = read_value_name(value)
        self.picks[number] = Pick(reading, made, name, frame, origin, int(str(place)))

    def part(self, tree: Branch | Token) -> Listed | Listing:
        if isinstance(tree, Token):
            return self.listings[str(tree)]
        return Listed(read_value_name(tree.children[0]), self.pick(tree))

    def pick(self, tree: Branch) -> Pick | None:
        """How a value was read off a list."""
        return self.picks[str(tree.children[1])] if len(tree.children) > 1 else None

    def site(self, tree: Branch) -> Site:
        slot = next((_string(t.children[0]) for t in _children(tree, "slot")), "")
        read = (t for line in _children(tree, "reads") for t in line.children)
        items = (self.part(t) for t in read)
        picks = tuple((item.value, item.pick) for item in items if isinstance(item, Listed))
        whole = (str(t.children[0]) for t in _children(tree, "whole"))
        listed = next((self.listings[number] for number in whole), None)
        hints, guard = _read_hints(tree), self.guard(tree)
        return Site(self.span(tree), slot, hints, guard, *self.turns(tree), picks, listed)

    def value(self, tree: Branch | Token) -> object:
        return read_literal(tree, self.graph)

    def doc(self, tree: Branch) -> str:
        return next((_string(t.children[0]) for t in _children(tree, "doc")), "")

    def guard(self, tree: Branch) -> Hint | None:
        return next((read_hint(t.children[0]) for t in _children(tree, "guard")), None)

    def loop(self, tree: Branch) -> ForLoop:
        """A loop around a decision."""
        over = next((read_hint(t.children[0]) for t in _children(tree, "over")), None)
        return ForLoop(tuple(map(_word, _children(tree, "named"))), over)

    def turns(self, tree: Branch) -> tuple[Hint | None, tuple[Turn, ...]]:
        """How a path was written, and the turns of loops around."""
        label = next((read_hint(t.children[0]) for t in _children(tree, "label")), None)
        return label, tuple(self.turn(line) for line in _children(tree, "turn"))

    def turn(self, tree: Branch) -> Turn:
        over = next((read_hint(t.children[0]) for t in _children(tree, "over")), None)
        names = tuple(
            TurnName(
                _word(line),
                self.value(line.children[1]),
                next((read_hint(t.children[0]) for t in _children(line, "written")), None),
            )
            for line in _children(tree, "let")
        )
        return Turn(self.span(tree), int(str(tree.children[0])), names, over)

    def span(self, tree: Branch) -> Span | None:
        return next((self.place(place) for place in _children(tree, "span")), None)

    def place(self, tree: Branch) -> Span | None:
        start, end, *path = tree.children
        source = self.sources.get(_string(path[0])) if path else self.spec
        return Span(source, int(str(start)), int(str(end))) if source else None


def _children(tree: Branch, rule: str) -> Iterator[Branch]:
    return (t for t in tree.children if isinstance(t, Tree) and t.data == rule)


def _child(tree: Branch, rule: str) -> Branch:
    return next(_children(tree, rule))


def _read_hints(tree: Branch) -> tuple[tuple[str, Hint], ...]:
    return tuple(
        (_string(t.children[0]), read_hint(t.children[1])) for t in _children(tree, "hinted")
    )


def _word(tree: Branch, depth: int = 1) -> str:
    """The word a line starts with (`depth` 0: the tree is the word itself)."""
    return read_word(tree if depth == 0 else tree.children[0])


def _string(token: Branch | Token) -> str:
    return str(json.loads(str(token)))


def _make_value(tree: Branch, values: dict[str, Value]) -> Value:
    name, made_type = tree.children[:2]
    type_: TensorType = read_type(made_type)
    value = Value(read_value_name(name), type_)
    values[value.name] = value
    return value


def _use(token: Branch | Token, values: dict[str, Value]) -> Value:
    name = read_value_name(token)
    if name not in values:
        raise GraphSyntaxError(f"{token} is read before it is made")
    return values[name]
