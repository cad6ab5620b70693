"""Where code is being elaborated: the session, the body, and what an application is told."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from compiler.elaborate.scopes.application import NOTHING, Application, ExpectedUse
from compiler.elaborate.scopes.paths import Path, Paths
from compiler.elaborate.scopes.ports import Loop, Ports
from compiler.elaborate.scopes.sound import Hidden
from compiler.elaborate.values.values import (
    ArgumentValue,
    BlockLayer,
    GraphState,
    ItemValue,
    Known,
    Layer,
    Namespace,
    NetValue,
    Val,
)
from compiler.ir.authored import Decision
from compiler.ir.frame import ForLoop, Frame, Turn
from compiler.ir.graph import Graph
from compiler.ir.hint import Hint, HintBinary, find_readable, opposite
from compiler.program.net import AddAdapters, LoadWeights
from compiler.records import dataclass
from compiler.report.diagnostics import SHOWN_CALLS, Message, Severity, Sink
from compiler.report.diagnostics import Label as Place
from compiler.report.messages.files import more_faults
from compiler.report.messages.names import malformed_clause
from compiler.report.messages.values import too_much_work
from compiler.report.source import Span
from compiler.system.files import read_source_text
from compiler.text.tree.expressions import Expr
from compiler.text.tree.syntax import (
    Clause,
    Data,
    File,
    Item,
    Let,
    Name,
    Statement,
    Use,
)
from compiler.vocabulary.clauses import ClauseHome, ClauseWord

if TYPE_CHECKING:
    from compiler.data.base import OpenedSource
    from compiler.data.codes import TrainedWords
    from compiler.data.memory import Memory

T = TypeVar("T")

MAX_WORK = 500_000
"""Expressions, statements and list items that one item may cost when compiling."""

MAX_TOTAL = 2 * MAX_WORK
"""What all items of a file may cost together."""

MAX_FAULTS = 200
"""Errors of a file after which no more are looked for."""

MAX_DEPTH = 1_000
"""Calls of blocks inside one another."""


class Abandoned(Exception):
    """Ends the elaboration of an item after its one diagnostic was reported: going on would
    repeat the fault without end."""


ClauseHandler = Callable[["Body", Clause], None]


AUGMENTATION = "an augmentation"
"""The place whose statements change rows at random."""


@dataclass(frozen=True)
class ClauseTable:
    """The clause words that mean something in a kind of body ("a model")."""

    place: str
    handlers: Mapping[str, ClauseHandler]
    forms: Mapping[str, str] = field(default_factory=dict)
    """How a clause is written, for messages, where `word …` says too little."""

    @staticmethod
    def of(home: ClauseHome, find_handler: Callable[[ClauseWord], ClauseHandler]) -> ClauseTable:
        """The clauses of a kind of item or body."""
        words = home.clauses.values()
        handlers = {w.word: find_handler(w) for w in words}
        return ClauseTable(home.place, handlers, {w.word: w.form for w in words})


class Engine(Protocol):
    """The parts of elaboration that need each other; `compiler.elaborate.engine` joins them."""

    def evaluate(self, body: Body, expression: Expr, want: ExpectedUse) -> Val:
        """The value of an expression."""

    def evaluate_entry(self, file: FileScope, entry: Let | FileNet, home: GraphState | None) -> Val:
        """The value of a `let` or a net at file level."""

    def apply(
        self, body: Body, layer: Layer, inputs: Sequence[ArgumentValue], application: Application
    ) -> Val:
        """The result of a layer on tensors."""

    def execute(self, body: Body, statements: Sequence[Statement]) -> None:
        """Runs statements in order, up to a `return`."""

    def clauses_of(self, item: Item) -> ClauseTable:
        """The clauses that mean something in the body of a block or model."""


def _find_entrance(message: Message) -> Span | None:
    """Where the file is left that a diagnostic about a place in another one comes from."""
    places = (place.span for place in message.calls)
    own = message.span.source if message.span is not None else None
    return next((span for span in places if span is not None and span.source is not own), None)


@dataclass(eq=False)
class Session:
    """One run of the front end: where diagnostics go, and the files read so far.

    `overrides` replaces defaults of the parameters of items, by (item, parameter). `facts` are
    the numbers that a data item tells when compiling; None where it was refused. `sources` take
    the place of those that data items name, by item, and `words` are those that trainings have
    seen in their columns. `trained` is the net that a train of the file made, or its nets by
    name, where a body names it, with the arguments of a call (`Actual`s) if it is called; None
    where it is a train of another file. `read` brings the text of a file that `use`
    names, `observe` is told every expression with its value. `models` are the graphs of
    models with their default arguments, by the id of their syntax, which is alive as long as its
    file. `values` and `signatures` are those of entries of files, `computing` the entries whose
    values are being computed.
    """

    sink: Sink
    engine: Engine
    overrides: Mapping[tuple[str, str], Expr] = field(default_factory=dict)
    files: dict[str, FileScope] = field(default_factory=dict)
    opening: list[str] = field(default_factory=list)
    work: int = 0
    total: int = 0
    limit: int = MAX_WORK
    depth: int = 0
    models: dict[int, tuple[Graph, tuple[LoadWeights | AddAdapters, ...]]] = field(
        default_factory=dict
    )
    values: dict[tuple[FileScope, str], Val] = field(default_factory=dict)
    computing: list[tuple[FileScope, str]] = field(default_factory=list)
    signatures: dict[int, tuple[Item, Any]] = field(default_factory=dict)
    seen: set[tuple[str, Span | None, Span | None]] = field(default_factory=set)
    places: set[tuple[str, Span | None]] = field(default_factory=set)
    faults: int = 0
    errors: int = 0
    sources: Mapping[str, Memory] = field(default_factory=dict)
    words: Mapping[str, TrainedWords] = field(default_factory=dict)
    opened: dict[str, OpenedSource] = field(default_factory=dict)
    read: Callable[[pathlib.Path], str] = read_source_text
    root: pathlib.Path | None = None
    """The folder of the spec; that of files which it uses may be another."""
    observe: Callable[[Expr, Val], None] | None = None
    data_attributes: Callable[[FileScope, Data, Span], Mapping[str, int] | None] = (
        lambda scope, item, at: {}
    )
    trial_value: Callable[[Body, ItemValue, str, Span], Val | None] = (
        lambda body, item, name, span: None
    )
    """The value that a parameter has in the best trial of a sweep; None where it searches none of
    that name."""
    trained: Callable[[Body, ItemValue, Span, Sequence[Any]], Val | None] = (
        lambda body, item, span, actuals: None
    )

    def report(self, message: Message) -> None:
        """Add a diagnostic; a fault of one place is reported once, however often its block is
        called; of a block of another file, once for each place of this one that calls it.

        Raises:
            Abandoned: there are more errors than anyone reads.
        """
        self.faults += message.severity is Severity.ERROR
        if self.errors >= MAX_FAULTS:
            raise Abandoned
        key = (message.code, message.span, _find_entrance(message))
        if key not in self.seen:
            self.seen.add(key)
            self.places.add((message.code, message.span))
            self.sink.report(message)
            self.errors += message.severity is Severity.ERROR
        if self.errors >= MAX_FAULTS:
            self.sink.report(more_faults(message.span, MAX_FAULTS))
            raise Abandoned

    @contextmanager
    def probing(self) -> Iterator[Sink]:
        """Stands around an elaboration that only asks whether something would be accepted: its
        diagnostics go into a sink of their own, and its work is not counted."""
        names = ("sink", "seen", "places", "faults", "errors", "work", "total", "limit", "observe")
        before = {name: getattr(self, name) for name in names}
        self.sink, self.seen, self.places, self.observe = Sink(), set(), set(), None
        self.faults = self.errors = 0
        try:
            yield self.sink
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def select(self, messages: Sequence[Message]) -> Iterator[Message]:
        """The messages without those about names that stand where a file could not be read."""
        hidden = [file.hidden for file in self.files.values()]
        return (m for m in messages if not any(h.explains(m) for h in hidden))

    def has_seen(self, code: str, span: Span) -> bool:
        """Whether a diagnostic of this code was reported at a place: to spare the search for
        suggestions when a loop comes there again."""
        return (code, span) in self.places

    def attempt(self, work: Callable[[], T]) -> T | None:
        """What the elaboration of an item gives; None where it was abandoned. Its work is
        counted from here."""
        self.work = 0
        try:
            return work()
        except Abandoned:
            return None

    def spend(self, amount: int, span: Span) -> None:
        """Counts compile-time work.

        Raises:
            Abandoned: an item costs more than any network needs.
        """
        self.work += amount
        self.total += amount
        if self.work <= self.limit and self.total <= MAX_TOTAL:
            return
        if self.limit == MAX_WORK:
            self.report(too_much_work(span, MAX_WORK if self.work > MAX_WORK else MAX_TOTAL))
            # What calls the item would do the same work again: it is given up early, in silence.
            self.limit = MAX_WORK // 20
        self.faults += 1
        raise Abandoned


@dataclass(frozen=True, eq=False)
class FileNet:
    """One name of a `net` clause at file level."""

    name: Name
    value: Expr


Entry = Item | Let | FileNet


@dataclass(frozen=True, eq=False)
class FileScope:
    """The names of a parsed file: its items, and the files that it uses. What they mean is
    computed when they are first asked for, by `compiler.elaborate.scopes.resolve`."""

    session: Session
    file: File
    hidden: Hidden
    entries: Mapping[str, Entry]
    uses: tuple[tuple[Use, FileScope | None], ...]

    def names(self) -> Iterator[str]:
        """Every name that can be used here, for suggestions."""
        yield from self.entries
        for use, brought in self.uses:
            if use.alias is not None:
                yield use.alias.text
            elif brought is not None:
                yield from brought.entries

    def has(self, name: str) -> bool:
        """Whether the file, or one that it uses, has an item of that name."""
        used = (use.alias.text if use.alias is not None else None for use, _ in self.uses)
        brought = (b.entries for use, b in self.uses if use.alias is None and b is not None)
        return name in self.entries or name in used or any(name in other for other in brought)

    def find(self, name: str) -> Entry | None:
        """What the file, or one that it uses, calls so; None for a `use … as` and for nothing."""
        brought = (b.entries for use, b in self.uses if use.alias is None and b is not None)
        return next((m[name] for m in (self.entries, *brought) if name in m), None)


def scope_of(layer: BlockLayer | Namespace) -> FileScope:
    """The file that a block is written in, or that a name of `use` stands for."""
    assert isinstance(layer.file, FileScope)
    return layer.file


@dataclass(eq=False)
class Body:
    """The elaboration of one body: a call of a block, model or net, or the body of an item.

    `names` is innermost last: the parameters, then what the body binds, then comprehensions.
    `prefix` is the named composition around, `prefix_hint` how that was written; `turns` are
    those of the loops around. `reuse` is true inside a later call of a net, which finds its
    weights instead of making them.
    `defaults` are the defaults that took effect and use other parameters.
    `sizes` says where each size in the signature came from, `bound` which axes of which
    parameters it is, `unbound` which sizes have no value because their argument was not given.
    `closure` is the frame around the layers of a net, whose names these use. `nets` are the nets
    declared here. `result` is what `return` gave. `item` is whose body it is,
    `call` where it was called, and `caller` the body of that call. `loop` is set inside a `scan`.
    """

    session: Session
    file: FileScope
    home: GraphState | None
    frame: Frame | None
    clauses: ClauseTable
    paths: Paths = field(default_factory=Paths)
    names: list[dict[str, Val]] = field(default_factory=lambda: [{}, {}])
    prefix: str = ""
    prefix_hint: Hint | None = None
    guard: Hint | None = None
    turns: tuple[Turn, ...] = ()
    reuse: bool = False
    defaults: dict[str, Hint] = field(default_factory=dict)
    sizes: dict[str, Place] = field(default_factory=dict)
    bound: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    unbound: dict[str, Name] = field(default_factory=dict)
    closure: Frame | None = None
    nets: dict[str, Val] = field(default_factory=dict)
    ports: Ports | None = None
    result: Val | None = None
    wanted: tuple[str, ...] = ()
    call: Span | None = None
    item: Item | None = None
    caller: Body | None = None
    loop: Loop | None = None
    mode: bool | None = None
    """What `training` is while one version of an `if training` is elaborated; None elsewhere."""
    given: Mapping[str, ArgumentValue] = field(default_factory=dict)
    """The arguments of the call, by parameter; defaults are none of them."""
    partial: bool = False
    """Whether names may be missing because what binds them was refused: nothing is said of them."""
    picked: dict[NetValue, Hint] = field(default_factory=dict)
    """How the place of a net in its list was written where it was read off that list last."""

    def evaluate(self, expression: Expr, want: ExpectedUse = NOTHING) -> Val:
        """The value of an expression."""
        value = self.session.engine.evaluate(self, expression, want)
        if self.session.observe is not None:
            self.session.observe(expression, value)
        return value

    def apply(self, layer: Layer, inputs: Sequence[ArgumentValue], application: Application) -> Val:
        """The result of a layer on tensors."""
        return self.session.engine.apply(self, layer, inputs, application)

    def execute(self, statements: Sequence[Statement]) -> None:
        """Runs statements in order, up to a `return`."""
        self.session.engine.execute(self, statements)

    def note_decision(self, place: Span, hint: Hint | None, *, outcome: bool) -> None:
        """Notes for generated code how a condition came out; see `Decision`."""
        if self.home is not None and self.frame is not None:
            loops = (ForLoop(tuple(n.name for n in t.names), t.over) for t in self.turns)
            decision = Decision(self.frame, place, outcome, hint, self.guard, tuple(loops))
            self.home.root.builder.note_decision(decision)

    def report(self, message: Message) -> None:
        """Add a diagnostic; inside a block, with the calls that led there."""
        calls = tuple(self.find_calls(message.span)) if message.span is not None else ()
        if calls:
            message = replace(message, calls=calls[:SHOWN_CALLS])
        self.session.report(message)

    def find_calls(self, span: Span) -> Iterator[Place]:
        """The calls around a place in a body, nearest first."""
        body: Body | None = self
        seen = {span}
        while body is not None and body.call is not None:
            if body.item is not None and _contains(body.item.span, span):
                name = body.item.name.text
                if body.call not in seen:
                    yield Place(body.call, f"in this call of `{name}`")
                seen.add(body.call)
                span = body.call
            body = body.caller

    def reads(self, frame: Frame | None) -> bool:
        """Whether what was written in a frame is in names that this body has."""
        return frame is self.frame or (frame is not None and frame is self.closure)

    def bind(self, name: str, value: Val) -> None:
        """Makes a name mean a value from here on."""
        self.names[-1][name] = value

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Names bound inside are forgotten after it."""
        self.names.append({})
        try:
            yield
        finally:
            self.names.pop()

    @contextmanager
    def under(self, prefix: Path) -> Iterator[None]:
        """Paths claimed inside stand under a prefix: a named composition."""
        before = self.prefix, self.prefix_hint
        self.prefix, self.prefix_hint = prefix.text, prefix.hint
        try:
            yield
        finally:
            self.prefix, self.prefix_hint = before

    @contextmanager
    def turning(self, turn: Turn) -> Iterator[None]:
        """Nodes made inside are of one turn of a loop; inside a `scan`, which is one node, turns
        are not told apart."""
        before = self.turns
        self.turns = (*before, turn) if self.loop is None else ()
        try:
            yield
        finally:
            self.turns = before

    @contextmanager
    def guarded(self, guard: Hint | None) -> Iterator[None]:
        """Nodes made inside stand under a compile-time condition as well."""
        before, self.guard = self.guard, join_guards(self.guard, guard)
        try:
            yield
        finally:
            self.guard = before


def find_place(session: Session, folder: pathlib.Path) -> str:
    """The path from the folder of the spec to that of a file which it uses; empty where it is the
    same one."""
    if session.root is None or folder.resolve() == session.root.resolve():
        return ""
    return pathlib.PurePath(os.path.relpath(folder.resolve(), session.root.resolve())).as_posix()


def malformed(body: Body, clause: Clause, span: Span, expected: str) -> None:
    """Reports a clause that is not written in the form that its word asks for."""
    word = clause.word.text
    form = body.clauses.forms.get(word, f"{word} …")
    body.report(malformed_clause(span, word, expected, form))


def _contains(outer: Span, inner: Span) -> bool:
    if outer.source is not inner.source:
        return False
    return outer.start <= inner.start and inner.end <= outer.end


def join_guards(outer: Hint | None, inner: Hint | None) -> Hint | None:
    """Both conditions; an unreadable one adds nothing."""
    if outer is None or inner is None:
        return inner if outer is None else outer
    return HintBinary("and", outer, inner)


def find_guard(condition: Known) -> Hint | None:
    """What holds where a condition came out as it did; None where nobody can read that."""
    hint = find_readable(condition.hint)
    return hint if hint is None or condition.value is True else opposite(hint)
