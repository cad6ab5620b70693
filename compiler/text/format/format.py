"""Tree to canonical text: same tree, same comments, one layout."""

from __future__ import annotations

from functools import partial

from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.text.format.expressions import ExpressionFormatter
from compiler.text.format.layout import Doc, Fill, Group, Hard, Line, Nest, Own, lay_out
from compiler.text.parse import parse
from compiler.text.tree import syntax
from compiler.text.tree.syntax import Operand, Reference, Statement
from compiler.text.tree.tokens import tokenize

WIDTH = 100


def format_source(source: Source, sink: Sink) -> str:
    """The canonical text of a spec; the text as it is where it has errors, which go to `sink`.

    Formatting twice gives what formatting once does. Lines are at most 100 columns wide, except
    where a single word, string or comment is wider. The author decides where a pipe goes on to a
    new line, which statements share one, and which short bodies stand on one; the rest is decided
    here.
    """
    found = Sink()
    file = parse(source, found)
    for message in found.messages:
        sink.report(message)
    if found.has_errors:
        return source.text
    tokens = tokenize(source, 0, len(source.text), found.report)
    return lay_out(Formatter(tokens).format_file(file), WIDTH)


class Formatter(ExpressionFormatter):
    """Lays out items and statements."""

    def format_file(self, file: syntax.File) -> Doc:
        """A whole file: every item on a line of its own."""
        parts: list[Doc] = []
        for item in file.items:
            parts += [self.gap(), Hard(blank=self.blank_before(item.span.start))]
            parts.append(self.item(item))
        return [*parts, self.gap()]

    # --- items ----------------------------------------------------------------------------------

    def item(self, item: syntax.TopLevel) -> Doc:
        """One item."""
        match item:
            case syntax.Use():
                return self.use(item)
            case syntax.Let():
                return [self.take("let"), " ", self.statement(item.binding)]
            case syntax.Clause():
                return self.statement(item)
            case syntax.Deploy():
                parts = [self.take("deploy"), " ", self.reference(item.subject), " "]
                parts += [self.take("as"), " ", self.reference(item.target)]
                return [*parts, *([self.body(item.body)] if self.peek() == "{" else [])]
            case _:
                return [self.header(item), self.body(item.body)]

    def use(self, item: syntax.Use) -> Doc:
        """`use std.vision as v`."""
        parts = [self.take("use"), " "]
        parts += [self.take()] if item.file else [self.path(item.path)]
        if item.alias:
            parts += [" ", self.take("as"), " ", self.take()]
        return parts

    def header(self, item: syntax.Item) -> Doc:
        """What stands before the body of an item."""
        parts = [self.take(), " ", self.take()]
        if self.peek() == "(":
            parts.append(self.bracket([partial(self.parameter, p) for p in item.parameters]))
        links: list[Doc] = []
        match item:
            case syntax.Train():
                if item.of:
                    links.append(Fill(" ", [self.take("of"), " ", self.reference(item.of)]))
                if item.on:
                    makers = [partial(self.reference, r) for r in item.on]
                    links.append(Fill(" ", self.comma_list(makers, after=self.take("on"))))
            case syntax.Variant() | syntax.Sweep():
                links.append(Fill(" ", [self.take("of"), " ", self.reference(item.of)]))
        return [*parts, Nest(links)]

    def parameter(self, parameter: syntax.Parameter) -> Doc:
        """`width: int = 16`."""
        parts = [self.take()]
        if parameter.type:
            parts += [self.take(":"), " ", self.type(parameter.type)]
        if parameter.default:
            parts += self.assignment(parameter.default, spaced=parameter.type is not None)
        return parts

    def reference(self, reference: Reference) -> Doc:
        """`gan.G`, `DigitNet(width=8)`, `vae(beta=2).decoder`."""
        parts = [self.path(reference.path[: len(reference.path) - reference.inside])]
        if reference.arguments is not None:
            parts.append(self.arguments(reference.arguments))
        for _ in range(reference.inside):
            parts += [self.take("."), self.take()]
        return parts

    def path(self, names: tuple[syntax.Name, ...]) -> Doc:
        """`std.vision`."""
        parts = [self.take()]
        for _ in names[1:]:
            parts += [self.take("."), self.take()]
        return parts

    # --- statements -----------------------------------------------------------------------------

    def body(self, statements: tuple[Statement, ...]) -> Doc:
        """A body in braces: on one line where the author wrote it so and it fits."""
        return Group(self.braces(statements, on_one_line=self.body_on_one_line()))

    def braces(self, statements: tuple[Statement, ...], *, on_one_line: bool) -> list[Doc]:
        """A body in braces, which is on one line where what it stands in is, if it may be."""
        parts: list[Doc] = [" ", self.take("{")]
        inner: list[Doc] = []
        for number, statement in enumerate(statements):
            inner.append(self.gap())
            start = statement.span.start
            if number == 0 and on_one_line:
                inner += [Line(" "), self.statement(statement)]
            elif number == 0 or self.starts_line(start):
                blank = number > 0 and self.blank_before(start)
                inner += [Hard(blank=blank), self.statement(statement)]
            else:
                inner.append(Fill("  ", self.statement(statement)))
        inner.append(self.gap())
        parts += [Nest(inner), Line(" ") if on_one_line else Hard(), self.take("}")]
        return parts

    def gap(self) -> Doc:
        """Comments before the next token that stand on lines of their own."""
        parts: list[Doc] = []
        for start, comment in self.comments_before(self.next_start()):
            if isinstance(comment, Own):
                parts += [Hard(blank=self.blank_before(start)), comment.text]
            else:
                parts.append(comment)
        return parts

    def statement(self, statement: Statement) -> Doc:
        """One statement, with what goes on to further lines indented."""
        match statement:
            case syntax.Binding():
                parts = [self.take()]
                if statement.type:
                    parts += [self.take(":"), " ", self.type(statement.type)]
                return [*parts, *self.assignment(statement.value, spaced=True)]
            case syntax.Unpack():
                names = self.comma_list([self.take for _ in statement.names])
                return [names, *self.assignment(statement.value, spaced=True)]
            case syntax.Choice():
                return [self.take(), " ", self.take("in"), " ", self.expression(statement.values)]
            case syntax.Return():
                parts = [self.take("return"), " "]
                return [*parts, self.operands(statement.operands, spaced=False)]
            case syntax.Clause():
                return self.clause(statement)
            case syntax.If():
                return self.branch(statement)
            case syntax.For():
                names = self.comma_list(
                    [self.take for _ in statement.names], after=self.take("for")
                )
                parts = [names, " ", self.take("in"), " ", self.expression(statement.iterable)]
                return [*parts, self.body(statement.body)]
            case syntax.Scan():
                return self.scan(statement)

    def clause(self, clause: syntax.Clause) -> Doc:
        """`minimize loss over net with adam(lr=1e-3)`."""
        parts: list[Doc] = [self.take()]
        if clause.operands:
            parts += [" ", self.operands(clause.operands, spaced=_binds(clause.operands))]
        tails: list[Doc] = []
        before = ""
        for tail in clause.tails:
            on_new_line = self.starts_line(tail.span.start)
            words: list[Doc] = [self.take(tail.word), " "]
            words.append(self.operands(tail.operands, spaced=False))
            if (before, tail.word) == ("with", "over"):
                tails.append([" ", words])  # on a line of its own it would read otherwise
            else:
                tails.append([Hard(), words] if on_new_line else Fill(" ", words))
            before = tail.word
        return [*parts, Nest(tails), *([self.body(clause.body)] if clause.body is not None else [])]

    def branch(self, statement: syntax.If) -> Doc:
        """`if c { … } else if d { … } else { … }`: on one line where the author wrote it so and it
        fits, or else no body of it is."""
        if statement.otherwise is None:
            parts: list[Doc] = [self.take("if"), " ", self.expression(statement.condition)]
            return [*parts, self.body(statement.then)]
        on_one_line = self.is_on_one_line(statement.span.end)
        parts = []
        while True:
            parts += [self.take("if"), " ", self.expression(statement.condition)]
            parts += self.braces(statement.then, on_one_line=on_one_line)
            if statement.otherwise is None:
                return Group(parts)
            parts += [" ", self.take("else")]
            if self.peek() == "{":
                return Group([*parts, *self.braces(statement.otherwise, on_one_line=on_one_line)])
            parts.append(" ")
            match statement.otherwise:
                case (syntax.If() as following,):
                    statement = following
                case _:
                    raise AssertionError("`else` stands before a body or an `if`")

    def scan(self, scan: syntax.Scan) -> Doc:
        """`scan x_t in x, axis=1 { … }`."""
        parts: list[Doc] = [self.take("scan"), " "]
        both: list[syntax.ScanOver | syntax.Argument] = [*scan.over, *scan.options]
        written = sorted(both, key=lambda part: part.span.start)
        for number, part in enumerate(written):
            separator = self.take(",") if number else ""
            if isinstance(part, syntax.ScanOver):
                over = [self.take(), " ", self.take("in"), " ", self.expression(part.sequence)]
                parts.append([separator, " " if number else "", over])
            else:
                parts.append([separator, " ", self.argument(part)])
        return [*parts, self.body(scan.body)]

    # --- operands -------------------------------------------------------------------------------

    def operands(self, operands: tuple[Operand, ...], *, spaced: bool) -> Doc:
        """Operands of a clause. If `spaced`, names that it binds are set apart from their values:
        the first one, and others whose value is no plain number, word or list, as options have."""
        first = self.operand(operands[0], spaced=spaced)
        rest = []
        for operand in operands[1:]:
            own = spaced and not isinstance(operand.value, PLAIN)
            rest.append([self.take(","), " ", self.operand(operand, spaced=own)])
        return [first, *rest]

    def operand(self, operand: Operand, *, spaced: bool) -> Doc:
        """One operand: a value, `name = value`, or `name: type = value`."""
        if isinstance(operand.value, syntax.Declare):
            declared = operand.value
            parts = [self.take(), self.take(":"), " ", self.type(declared.type)]
            return [
                *parts,
                *(self.assignment(declared.value, spaced=True) if declared.value else []),
            ]
        if operand.name:
            return [self.take(), *self.assignment(operand.value, spaced=spaced)]
        return self.expression(operand.value)


PLAIN = (
    syntax.Bool,
    syntax.ListExpr,
    syntax.Name,
    syntax.Number,
    syntax.String,
    syntax.Unary,
)
"""What options of a clause have as values."""


def _binds(operands: tuple[Operand, ...]) -> bool:
    """Whether a clause binds a name (`metric top5 = top_k(y, label)`) rather than giving sizes by
    name (`fix h=32, w=32`)."""
    return not isinstance(operands[0].value, syntax.Number)
