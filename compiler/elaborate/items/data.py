"""Data items: a source, columns computed per row, and how the rows are divided."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.data.balancing import Balance
from compiler.data.base import SOURCES, Column, DataSource, OpenedSource, choose_hold
from compiler.data.holding import MEMORY, STREAMED, WAYS
from compiler.data.placed import PlacedSource
from compiler.data.registry import load_sources
from compiler.data.splitting import Split
from compiler.data.windows import Window
from compiler.elaborate.api import GraphContext, open_graph
from compiler.elaborate.calls.described import build_described, find_class
from compiler.elaborate.items.augmenting import CLAUSES, augment_rows
from compiler.elaborate.items.balance import read_balance
from compiler.elaborate.items.categories import bind_one_hot
from compiler.elaborate.items.item_elaborator import ItemElaborator
from compiler.elaborate.items.operands import (
    ClausePlace,
    read_single,
    read_word,
    refuse_word,
)
from compiler.elaborate.items.splits import RowOrder, read_split
from compiler.elaborate.items.where import (
    cut_conditions,
    find_condition_fault,
    read_cells,
    read_condition,
)
from compiler.elaborate.items.window import read_window
from compiler.elaborate.scopes.context import Body, FileScope, find_place, malformed
from compiler.elaborate.values.options import Unfit, convert
from compiler.elaborate.values.values import Refused, Tensor
from compiler.ir.graph import Graph
from compiler.ops.fitted import Fitted
from compiler.program.data import DataSet
from compiler.report.diagnostics import Fault
from compiler.report.messages.columns import noise_in_data, parameter_hides_column, weights_in_data
from compiler.report.messages.holding import not_held_so, not_in_memory
from compiler.report.messages.series import balances_windows
from compiler.report.messages.settings import bad_setting_value
from compiler.report.source import Span
from compiler.rows.fitting import find_statistics
from compiler.rows.rows import NotBatched, stack_rows
from compiler.rows.usage import needs_care, trace_columns
from compiler.text.tree.syntax import Argument, Binding, Clause, Expr, Item
from compiler.vocabulary.clauses import DATA, WordChoice
from compiler.writing.names import free_name

if TYPE_CHECKING:
    from compiler.data.memory import Memory


class DataElaborator(ItemElaborator):
    """The elaboration of one data item, with the arguments of a reference to it."""

    home = DATA

    def __init__(
        self,
        scope: FileScope,
        item: Item,
        arguments: Sequence[Argument] = (),
        caller: Body | None = None,
        call: Span | None = None,
    ) -> None:
        load_sources()
        super().__init__(scope)
        self.item = item
        self.source: DataSource | None = None
        self.place = ClausePlace(item.name.span, {})
        self.split_clause: Clause | None = None
        self.augment_clause: Clause | None = None
        self.where: Graph | None = None
        self.window_clause: Clause | None = None
        self.balance_clause: Clause | None = None
        self.hold_clause: Clause | None = None
        self.conditions: list[tuple[Tensor, Span]] = []
        self.given = arguments, caller, call
        self.context = open_graph(scope, item, self.table, *self.given)

    @property
    def body(self) -> Body:
        """The body of the item."""
        assert self.context is not None
        return self.context.body

    def run(self) -> DataSet | None:
        """The data set; None where something was refused, which is reported."""
        context = self.context
        if context is None:
            return None
        schema = self.open_source(context)
        if schema is None or self.source is None:
            self.report_unknown_clauses(context, self.item.body)
            self.report_missing(context.body, self.item.name, "source")
            return None
        if not self.declare_columns(context, schema):
            return None
        rest = [s for s in self.item.body if s is not self.source_clause]
        context.execute(rest)
        columns = self.finish_columns(context, schema)
        faults = self.scope.session.faults
        window = self.finish_window(schema, columns)
        balance = self.finish_balance(schema, window)
        split = self.finish_split(schema, window)
        hold = self.finish_hold(schema)
        if hold == STREAMED and self.where is not None:
            self.check_conditions(hold, self.where)
        if columns is None or split is None or self.scope.session.faults > faults:
            return None
        span = self.source_clause.span if self.source_clause is not None else self.item.span
        data = DataSet(
            self.item.name.text,
            schema,
            columns,
            find_statistics(columns),
            self.item.doc,
            span,
            source=self.place_source(self.source),
            split=split,
            window=window,
            where=self.where,
            balance=balance,
            hold=hold,
        )
        return self.finish_augment(data)

    # --- the source -------------------------------------------------------------------------

    @property
    def source_clause(self) -> Clause | None:
        """The clause that names the source; it is read before all others."""
        clauses = (s for s in self.item.body if isinstance(s, Clause))
        return next((c for c in clauses if c.word.text == "source"), None)

    def open_source(self, context: GraphContext) -> tuple[Column, ...] | None:
        """The source's columns."""
        if self.source_clause is None:
            return None
        context.home.of_rows = True
        context.execute([self.source_clause])
        if self.source is None:
            return None
        known = self.scope.session.words.get(self.item.name.text)
        if known is not None:
            from compiler.data.recoded import Recoded  # only what is trained has known words

            self.source = Recoded(self.source, known)
        try:
            schema = self.source.schema(self.folder)
            span = self.source_clause.span
            opened = OpenedSource(self.item.name.text, self.source, schema, self.folder, span)
            self.scope.session.opened[opened.name] = opened
            for column in schema:
                if column.doubt is not None:
                    self.body.report(replace(column.doubt, span=self.place.call))
            return schema
        except Fault as fault:
            self.body.report(fault.make(self.place))
            return None

    @property
    def folder(self) -> Path:
        """What the source's paths are relative to: the folder of the file with the item."""
        return self.item.span.source.folder

    def take_source(self, body: Body, clause: Clause) -> None:
        """`source csv("table.csv")`."""
        given = self.scope.session.sources.get(self.item.name.text)
        expression = read_single(body, clause)
        cls = find_class(expression, SOURCES) if expression is not None else None
        if given is not None:
            self.source = self.read_alike(given, body, expression, cls)
            return
        if expression is None:
            return
        if cls is None:
            name = read_word(expression)
            if name is None:
                malformed(body, clause, expression.span, "a data source belongs here")
            else:
                refuse_word(body, name, "data source", SOURCES.names())
            return
        self.place = ClausePlace.of(expression, [o.name for o in cls.options()])
        source = build_described(body, expression, cls)
        self.source = self.override(source) if source is not None else None

    def read_alike(
        self, given: Memory, body: Body, expression: Expr | None, cls: type[DataSource] | None
    ) -> DataSource:
        """Columns that a program hands over, their text read as the table's in the spec."""
        from compiler.data.tables import TextCells  # a check of a file on the disk never needs it

        if expression is None or cls is None or not issubclass(cls, TextCells):
            return given
        source = build_described(body, expression, cls)
        return replace(given, dialect=source.dialect) if isinstance(source, TextCells) else given

    def override(self, source: DataSource) -> DataSource | None:
        """The source with options replaced that `--set digits.path=…` names."""
        overrides = self.scope.session.overrides
        for option in type(source).options():
            given = overrides.get((self.item.name.text, option.name))
            if given is None or option.name in self.parameters:
                continue
            value = self.body.evaluate(given)
            try:
                source = _replace(source, option.name, convert(value, option.annotation))
            except Unfit as unfit:
                name = f"{self.item.name.text}.{option.name}"
                self.body.report(bad_setting_value(given.span, name, unfit.expected, unfit.found))
                return None
            except Fault as fault:
                self.body.report(fault.make(ClausePlace(given.span, {})))
                return None
        return source

    @property
    def parameters(self) -> dict[str, Span]:
        """The item's own parameters, and where they stand."""
        return {p.name.text: p.name.span for p in self.item.parameters}

    def place_source(self, source: DataSource) -> DataSource:
        """The source as the spec sees it, whose folder may be another."""
        place = find_place(self.scope.session, self.folder)
        return PlacedSource(source, place) if place else source

    # --- columns ----------------------------------------------------------------------------

    def declare_columns(self, context: GraphContext, schema: Sequence[Column]) -> bool:
        """Makes the raw columns inputs, per row; False where a name is taken."""
        body = context.body
        span, parameters = self.place.call, self.parameters
        for column in schema:
            if column.name in parameters:
                parameter = parameters[column.name]
                body.report(parameter_hides_column(parameter, column.name, span))
                return False
            if column.trouble is not None:
                body.names[0][column.name] = Refused(column.trouble)
                continue
            tensor = context.add_input(column.name, column.type, span, bound=False)
            body.names[0][column.name] = tensor
        bind_one_hot(body, schema)
        context.home.texts |= {t.column: t for t in map(read_cells, schema) if t is not None}
        return True

    def finish_columns(self, context: GraphContext, schema: Sequence[Column]) -> Graph | None:
        """The graph of the columns over all rows."""
        body = context.body
        spans = _binding_spans(self.item)
        bound = {n: v for n, v in body.names[-1].items() if isinstance(v, Tensor)}
        for name in dict.fromkeys((*(c.name for c in schema), *bound)):
            raw = body.names[0].get(name) if name not in body.names[-1] else None
            if name in bound:
                context.output(name, bound[name], spans.get(name, bound[name].made))
            elif isinstance(raw, Tensor):
                context.output(name, raw, self.place.call)
        hidden = self.add_conditions(context, {*bound, *(c.name for c in schema)})
        graph = context.graph()
        if graph is None or not self.check_weights(graph):
            return None
        noisy = next((n for n in graph.nodes if n.op.draws), None)
        if noisy is not None:
            body.report(noise_in_data(noisy.origin.span, noisy.op.name, draws=noisy.op.varies))
            return None
        try:
            columns, self.where = cut_conditions(stack_rows(graph), hidden)
        except NotBatched as error:
            body.report(error.message)
            return None
        sound = self.check_use(columns, schema)
        fault = find_condition_fault(self.where, schema) if self.where is not None else None
        if fault is not None:
            body.report(fault)
        return columns if sound and fault is None else None

    def check_use(self, graph: Graph, schema: Sequence[Column]) -> bool:
        """Whether nothing is computed with categories, and no missing cell becomes a number."""
        faults = trace_columns(graph, {c.name: c for c in schema if needs_care(c)}).faults
        for fault in faults:
            self.body.report(fault)
        return not faults

    def check_weights(self, graph: Graph) -> bool:
        """Whether every weight is a fitted figure: nothing else in data is trained."""
        fitted = {
            v.name for n in graph.nodes if isinstance(n.op, Fitted) for v in n.inputs[1:] if v
        }
        for node in graph.nodes:
            for value in node.inputs:
                if value is not None and value.name in graph.parameter and value.name not in fitted:
                    self.body.report(weights_in_data(node.origin.span, node.op.name))
                    return False
        return True

    # --- the split --------------------------------------------------------------------------

    def take_split(self, body: Body, clause: Clause) -> None:
        """`split random(seed=0), train=80%, val=10%, test=10%`; read when the columns are known."""
        self.split_clause = clause

    def finish_split(self, schema: Sequence[Column], window: Window | None) -> Split | None:
        """The split, or None where it was refused."""
        if self.split_clause is None:
            self.report_missing(self.body, self.item.name)
            return None
        assert self.source is not None
        given = self.source.given_splits(self.folder)
        chosen = self.where is not None
        shared = RowOrder(given, self.source.overlap(), window, chosen=chosen)
        return read_split(self.body, self.split_clause, schema, shared)

    # --- how rows are held ------------------------------------------------------------------

    def take_hold(self, body: Body, clause: Clause) -> None:
        """`hold streamed`; what asks for all rows at once is refused when it is known."""
        self.hold_clause = clause
        self.take_setting("hold", WordChoice(WAYS), body, clause)

    def finish_hold(self, schema: Sequence[Column]) -> str | None:
        """How rows are held, by the clause, or by their size; None is in memory."""
        assert self.source is not None
        found = self.settings.get("hold")
        ways = (MEMORY,) if self.window_clause is not None else self.source.ways()
        if found is None:
            chosen = choose_hold(self.source, self.folder, schema) if len(ways) > 1 else MEMORY
            return chosen if chosen != MEMORY else None
        if found in ways:
            return str(found)
        assert self.hold_clause is not None
        span = self.hold_clause.operands[0].span
        self.body.report(not_held_so(span, found, self.source.name, ways))
        return None

    # --- rows that are kept -----------------------------------------------------------------

    def take_where(self, body: Body, clause: Clause) -> None:
        """`where area > 0`."""
        condition = read_condition(body, clause)
        self.conditions += [condition] if condition is not None else []

    def add_conditions(self, context: GraphContext, taken: Collection[str]) -> list[str]:
        """Puts the conditions among the outputs of the columns; what they are called there."""
        names: list[str] = []
        for tensor, span in self.conditions:
            names.append(free_name("where", {*taken, *names}, "."))
            context.output(names[-1], tensor, span)
        return names

    def check_conditions(self, hold: str, where: Graph) -> None:
        """Refuses conditions on what is decoded when a batch needs it."""
        large = [item for item in where.inputs if item.value.type.rank > 1]
        if large:
            span = where.outputs[0].origin or self.item.span
            self.body.report(not_in_memory(span, hold, f"this reads `{large[0].name}` of all rows"))

    # --- windows ----------------------------------------------------------------------------

    def take_window(self, body: Body, clause: Clause) -> None:
        """`window 24, ahead=1, by=Date`; read when the columns are known."""
        self.window_clause = clause

    def finish_window(self, schema: Sequence[Column], columns: Graph | None) -> Window | None:
        """The windows; None where there are none, or they were refused."""
        if self.window_clause is None:
            return None
        names = None if columns is None else [output.name for output in columns.outputs]
        return read_window(self.body, self.window_clause, schema, names)

    # --- classes ----------------------------------------------------------------------------

    def take_balance(self, body: Body, clause: Clause) -> None:
        """`balance label`; read when the columns are known."""
        self.balance_clause = clause

    def finish_balance(self, schema: Sequence[Column], window: Window | None) -> Balance | None:
        """How classes are balanced; None where they are not, or it was refused."""
        clause = self.balance_clause
        if clause is None:
            return None
        balance = read_balance(self.body, clause, schema)
        if balance is not None and window is not None:
            self.body.report(balances_windows(clause.word.span, balance.column))
        return balance

    # --- the augmentation -------------------------------------------------------------------

    def take_augment(self, body: Body, clause: Clause) -> None:
        """`augment { image = image -> random_flip }`; read when the columns are known."""
        self.augment_clause = clause

    def finish_augment(self, data: DataSet) -> DataSet | None:
        """The data with what its rows become in training; None where that was refused."""
        if self.augment_clause is None:
            return data
        context = open_graph(self.scope, self.item, CLAUSES, *self.given)
        if context is None:
            return None
        graph = augment_rows(context, data, self.augment_clause)
        return replace(data, augment=graph) if graph is not None else None


def _replace(source: DataSource, option: str, value: object) -> DataSource:
    """The source with another value of an option."""
    options = {o.name: getattr(source, o.name) for o in type(source).options()}
    return type(source)(**{**options, option: value})


def _binding_spans(item: Item) -> dict[str, Span]:
    """Where the item binds each name last."""
    return {s.name.text: s.name.span for s in item.body if isinstance(s, Binding)}
