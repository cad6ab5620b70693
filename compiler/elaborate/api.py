"""What the items of a file are elaborated with: files, models, nets, and statements in a graph."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from compiler.elaborate.bodies.code_clauses import BLOCK_CLAUSES, make_net
from compiler.elaborate.bodies.models import (
    adapt_where_asked,
    elaborate_layer,
    elaborate_plain_layer,
)
from compiler.elaborate.bodies.names import find_unknown_names
from compiler.elaborate.calls.binding import Actual, match_call
from compiler.elaborate.calls.frames import make_arguments
from compiler.elaborate.calls.modes import refuse_single_weights
from compiler.elaborate.calls.nets import call_whole_net
from compiler.elaborate.calls.parameters import bind_parameters
from compiler.elaborate.calls.signatures import read_signature, sign
from compiler.elaborate.engine import Elaboration
from compiler.elaborate.scopes.application import Application, ExpectedUse
from compiler.elaborate.scopes.context import (
    Abandoned,
    Body,
    ClauseTable,
    FileNet,
    FileScope,
    Session,
)
from compiler.elaborate.scopes.files import open_scope
from compiler.elaborate.scopes.lints import find_unused
from compiler.elaborate.scopes.resolve import resolve_entry
from compiler.elaborate.shapes.assertions import check_promises
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    GraphState,
    NetValue,
    Poison,
    Tensor,
    Val,
)
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph
from compiler.ops.registry import load_ops
from compiler.program.net import Net
from compiler.report.diagnostics import Sink
from compiler.report.source import Span
from compiler.system.files import read_source_text
from compiler.text.tree.syntax import Argument, Block, Expr, File, Item, Let, Model, Name, Statement
from compiler.types.tensor import TensorType

T = TypeVar("T")

STACK = 64 * 2**20
"""Bytes of stack for elaboration: sixteen times what a thousand blocks inside one another took
where that was measured. It is address space, not memory, until it is used."""


def run_deep(work: Callable[[], T]) -> T:
    """Runs something that recurses as deep as a spec asks for, on a stack that holds it. The
    thread is a daemon, so that an interrupt ends the command and does not wait for it; it then
    still runs, and needs the limit on recursion until the end."""
    results: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    before, size = sys.getrecursionlimit(), threading.stack_size(STACK)
    sys.setrecursionlimit(max(before, 400_000))
    thread = threading.Thread(target=target, name="elaboration", daemon=True)
    try:
        thread.start()
    finally:
        threading.stack_size(size)
    thread.join()
    sys.setrecursionlimit(before)
    if errors:
        raise errors[0]
    return results[0]


# --- files ------------------------------------------------------------------------------------


def open_file(
    file: File,
    sink: Sink,
    overrides: Mapping[tuple[str, str], Expr] | None = None,
    *,
    read: Callable[[Path], str] = read_source_text,
    observe: Callable[[Expr, Val], None] | None = None,
) -> FileScope:
    """The names of a parsed file, and of the files that it uses. Nothing is elaborated yet.

    `overrides` replaces the defaults of parameters, by (item, parameter): `--set lr=0.01`.
    `read` brings the texts of files, `observe` is told the value of every expression.
    """
    load_ops()
    session = Session(sink, Elaboration(), overrides or {}, read=read, observe=observe)
    session.root = file.source.folder
    return open_scope(session, file)


def check_names(scope: FileScope) -> None:
    """Reports what can be said of blocks and models without elaborating them: types and names
    that mean nothing in those that nothing has called; then, where nothing is wrong, warnings
    about what nothing reads and what is never reached."""
    session = scope.session
    _check_lets(scope)
    items = [e for e in scope.entries.values() if isinstance(e, Block | Model)]
    known = [m.span for m in session.sink.messages if m.span is not None]
    for item in items:
        read_signature(scope, item)
        for message in find_unknown_names(scope, item):
            if not any(_contains(span, message.span) for span in known):
                session.report(message)
    if not session.sink.has_errors:
        for entry in scope.entries.values():
            for warning in find_unused(entry) if isinstance(entry, Item) else ():
                session.report(warning)


def _check_lets(scope: FileScope) -> None:
    """Computes every `let`, those that nothing uses too, for its diagnostics."""
    frame = Frame("let", "", 0)
    scratch = GraphState(Builder("let", frame))
    for entry in scope.entries.values():
        if isinstance(entry, Let):
            resolve_entry(scope, entry, entry.binding.name.span, scratch)


def _contains(outer: Span, inner: Span | None) -> bool:
    if inner is None or outer.source is not inner.source:
        return False
    return outer.start <= inner.start and inner.end <= outer.end


def elaborate_models(scope: FileScope) -> dict[str, Net]:
    """Every model of the file with its default arguments, by name. A model with a parameter
    that has no default is left out: it appears through the nets that give it. One that is
    refused is left out too, with its diagnostics."""
    nets: dict[str, Net] = {}
    for name, entry in scope.entries.items():
        if not isinstance(entry, Model):
            continue
        layer = BlockLayer(entry, scope, {}, entry.name.span)
        signature = read_signature(scope, entry)
        key = scope.session.overrides
        if any(
            p.syntax.default is None and (name, p.name) not in key for p in signature.parameters
        ):
            continue
        net = elaborate_layer(layer, name, entry.name.span)
        if net is not None:
            nets[name] = net
    return nets


def elaborate_nets(scope: FileScope) -> dict[str, Net]:
    """Every `net name = Model(…)` at file level, by name. A net of a block has no inputs of its
    own and is left out: it appears through the models that use it."""
    nets: dict[str, Net] = {}
    for name, entry in scope.entries.items():
        if isinstance(entry, FileNet):
            place = entry.name.span
            value = scope.session.attempt(partial(resolve_entry, scope, entry, place, None))
            net = elaborate_net(scope, value) if value is not None else None
            if net is not None:
                nets[name] = net
    return nets


def elaborate_net(scope: FileScope, value: Val) -> Net | None:
    """A net of a model as a graph of its own; None where it is no such net, or was refused."""
    net = elaborate_plain_net(value)
    return adapt_where_asked(net, scope.session.report) if net is not None else None


def elaborate_plain_net(value: Val) -> Net | None:
    """The same with a graph that is still without adapters."""
    if not isinstance(value, NetValue) or not isinstance(value.layer, BlockLayer):
        return None
    if not isinstance(value.layer.item, Model):
        return None
    return elaborate_plain_layer(value.layer, value.name, value.span, value.loads)


def evaluate_constant(scope: FileScope, expression: Expr) -> Val:
    """The value of an expression at file level, known when compiling; poison where it was
    refused."""
    return Body(scope.session, scope, None, None, BLOCK_CLAUSES).evaluate(expression)


# --- statements in a graph --------------------------------------------------------------------


class GraphContext:
    """A graph under construction in which statements and expressions of an item are elaborated.

    Made by `open_graph`. Names that are bound with `bind` (columns, outputs of models) are seen
    by what is elaborated afterwards.
    """

    def __init__(self, body: Body) -> None:
        self.body = body

    @property
    def home(self) -> GraphState:
        """The state of the graph."""
        assert self.body.home is not None
        return self.body.home

    @property
    def builder(self) -> Builder:
        """The builder, for nodes that an item makes by itself."""
        return self.home.builder

    @property
    def frame(self) -> Frame:
        """The root frame, which nodes made by the item stand under."""
        assert self.body.frame is not None
        return self.body.frame

    def add_input(
        self, name: str, type: TensorType, span: Span, doc: str = "", *, bound: bool = True
    ) -> Tensor:
        """Declares an input of the graph (a column), and binds its name unless told not to."""
        tensor = Tensor(self.builder.input(name, type, doc, span), self.home, span)
        if bound:
            self.bind(name, tensor)
        return tensor

    def bind(self, name: str, value: Val) -> None:
        """Makes a name mean a value from here on."""
        self.body.bind(name, value)

    def find(self, name: str) -> Val | None:
        """What a name is bound to in the item, if it is."""
        return next((n[name] for n in reversed(self.body.names) if name in n), None)

    def execute(self, statements: Sequence[Statement]) -> None:
        """Elaborates statements; clauses go to the table that `open_graph` got."""
        try:
            self.body.execute(statements)
        except Abandoned:
            self.home.abandoned = True

    def evaluate(self, expression: Expr, name: str = "") -> Val:
        """The value of an expression; a tensor that it makes is called `name`."""
        try:
            return self.body.evaluate(expression, ExpectedUse((name,) if name else ()))
        except Abandoned:
            self.home.abandoned = True
            return POISON

    def declare_net(self, name: Name, value: Val, span: Span, path: str) -> Val:
        """The net `name` of the train, whose weights live under `path`; what the name means in
        expressions is the caller's to say."""
        net = make_net(self.body, name, name.text, path, value, span)
        self.body.nets[name.text] = net
        return net

    def call_net(
        self, net: NetValue, inputs: Mapping[str, ArgumentValue], span: Span
    ) -> dict[str, Tensor | Poison] | None:
        """The outputs of a model's net by name, on tensors by the names of its inputs; None
        where it is refused, which is reported."""
        try:
            return call_whole_net(self.body, net, inputs, Application(span))
        except Abandoned:
            self.home.abandoned = True
            return None

    def output(self, name: str, tensor: Tensor, span: Span, doc: str = "") -> None:
        """Declares an output of the graph."""
        self.builder.output(name, self.home.value_of(tensor), doc, span)

    def graph(self) -> Graph | None:
        """The finished graph; None where something was refused since `open_graph`."""
        refuse_single_weights(self.body)
        if self.home.abandoned or self.body.session.faults > self.home.faults:
            return None
        return check_promises(self.body, self.builder.graph())


def open_graph(
    scope: FileScope,
    item: Item,
    clauses: ClauseTable,
    arguments: Sequence[Argument] = (),
    caller: Body | None = None,
    call: Span | None = None,
) -> GraphContext | None:
    """A graph for the statements of an item whose parameters are bound from the arguments of a
    reference (`noisy(noise=0.1)`), evaluated in `caller` or at file level. None where an
    argument was refused."""
    given = match_arguments(scope, item, arguments, call or item.name.span, caller)
    return open_given(scope, item, clauses, given, call) if given is not None else None


def open_given(
    scope: FileScope,
    item: Item,
    clauses: ClauseTable,
    given: Mapping[str, ArgumentValue],
    call: Span | None = None,
) -> GraphContext | None:
    """The same with the values of parameters; those that are left out have their defaults."""
    before = scope.session.faults
    body = Body(scope.session, scope, None, None, clauses, call=call)
    signature = read_signature(scope, item)
    known = Body(scope.session, scope, None, None, BLOCK_CLAUSES)
    if not bind_parameters(known, body, item, signature, given):
        return None
    scope.session.work = 0
    name = item.name.text
    frame_arguments = tuple(make_arguments(body, signature, {}))
    frame = Frame(name, "", 0, None, frame_arguments, doc=item.doc, origin=item.name.span)
    body.frame = frame
    body.home = GraphState(Builder(name, frame, item.doc), faults=before)
    return GraphContext(body)


def match_arguments(
    scope: FileScope,
    item: Item,
    arguments: Sequence[Argument],
    span: Span,
    caller: Body | None = None,
) -> dict[str, ArgumentValue] | None:
    """The arguments of a reference by parameter, evaluated in `caller` or at file level; None
    where they do not fit, which is reported."""
    outside = caller or Body(scope.session, scope, None, None, BLOCK_CLAUSES)
    actuals = [Actual(a.name, outside.evaluate(a.value), a.value.span) for a in arguments]
    return match_values(outside, scope, item, actuals, span)


def match_values(
    outside: Body, scope: FileScope, item: Item, actuals: Sequence[Actual], span: Span
) -> dict[str, ArgumentValue] | None:
    """The same of arguments that have been evaluated."""
    signature = sign(BlockLayer(item, scope, {}, item.name.span))
    assert signature is not None
    match = match_call(signature, actuals, 0)
    overrides = scope.session.overrides
    match.missing = tuple(f for f in match.missing if (item.name.text, f.name) not in overrides)
    if match.faults or match.missing:
        for fault in match.find_faults(signature, span):
            outside.report(fault)
        return None
    return match.given
