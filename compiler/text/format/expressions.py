"""Lays out expressions and types; every token is taken from the text, so none can be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from compiler.text.format.layout import Comma, Doc, Fill, Group, Hard, Line, Nest, Own, Trailing
from compiler.text.tree import syntax
from compiler.text.tree.syntax import Argument, Expr, TypeExpr
from compiler.text.tree.tokens import Tokens

CHAINS = ({"+", "-"}, {"*", "/", "//", "%", "@"}, {"and"}, {"or"})
"""Operators of one precedence that group to the left: their operands are laid out as equals."""

ATOMS = (syntax.Number, syntax.String, syntax.Name, syntax.Bool)

Maker = Callable[[], Doc]


class ExpressionFormatter:
    """Walks the tree and the tokens side by side. Makers run in the order of the text."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.index = 0
        self.comments = list(reversed(tokens.comments))
        self.brackets = 0

    # --- tokens and comments --------------------------------------------------------------------

    def take(self, text: str | None = None) -> Doc:
        """The next token, which must be `text` if given, behind the comments before it.

        A comma that stands in the text behind a last element is passed over.
        """
        found = self.tokens.text(self.index)
        if found == "," and text is not None and text != ",":
            self.index += 1
            found = self.tokens.text(self.index)
        if text is not None and found != text:
            place = self.tokens.span(self.index).location
            raise AssertionError(f"{place}: the formatter expected {text!r}, not {found!r}")
        comments = [doc for _, doc in self.comments_before(self.next_start())]
        self.index += 1
        return [*comments, found] if comments else found

    def peek(self) -> str:
        """Text of the next token."""
        return self.tokens.text(self.index)

    def next_start(self) -> int:
        """Where the next token starts."""
        return self.tokens.starts[self.index]

    def comments_before(self, offset: int) -> Iterator[tuple[int, Trailing | Own]]:
        """Comments not laid out yet that stand before an offset."""
        text = self.tokens.source.text
        while self.comments and self.comments[-1][0] < offset:
            start, end = self.comments.pop()
            line_start = text.rfind("\n", 0, start) + 1
            is_first = not text[line_start:start].strip("\ufeff \t\r\f\v")
            yield start, Own(text[start:end]) if is_first else Trailing(text[start:end])

    def starts_line(self, offset: int) -> bool:
        """Whether nothing but space stands before an offset on its line."""
        text = self.tokens.source.text
        return not text[text.rfind("\n", 0, offset) + 1 : offset].strip()

    def blank_before(self, offset: int) -> bool:
        """Whether an empty line stands above the line of an offset."""
        text = self.tokens.source.text
        space = text[:offset].rstrip()
        return text.count("\n", len(space), offset) > 1

    def body_on_one_line(self) -> bool:
        """Whether the body that opens next stands on one line and holds no comment."""
        depth, index = 0, self.index
        while True:
            depth += {"{": 1, "}": -1}.get(self.tokens.text(index), 0)
            if depth == 0:
                break
            index += 1
        return self.is_on_one_line(self.tokens.ends[index])

    def is_on_one_line(self, end: int) -> bool:
        """Whether what comes next, up to that place, stands on one line and holds no comment."""
        start = self.next_start()
        has_comment = bool(self.comments) and self.comments[-1][0] < end
        return not has_comment and "\n" not in self.tokens.source.text[start:end]

    # --- lists ----------------------------------------------------------------------------------

    def comma_list(self, makers: Sequence[Maker], after: Doc | None = None) -> Doc:
        """`a, b`, behind a word if given."""
        parts: list[Doc] = [after, " "] if after else []
        for number, make in enumerate(makers):
            parts += [self.take(","), " ", make()] if number else [make()]
        return parts

    def bracket(self, makers: Sequence[Maker], *, fills: bool = False, comma: bool = True) -> Doc:
        """Elements between the brackets that stand next.

        What does not fit behind the opening bracket stands on one line below it, else one element
        to a line; or, if it fills, on as many lines as it takes.
        """
        opener = self.take()
        closer = {"(": ")", "[": "]"}[self.tokens.text(self.index - 1)]
        self.brackets += 1
        inner: list[Doc] = []
        for number, make in enumerate(makers):
            separator = self.take(",") if number else ""
            if number and fills:
                inner += [separator, Fill(" ", make())]
            else:
                inner += [separator, Line(" ") if number else "", make()]
        if comma and makers:
            inner.append(Comma())
        if self.peek() == ",":
            self.index += 1
        last = [doc for _, doc in self.comments_before(self.next_start())]
        self.brackets -= 1
        elements = inner if fills else Group([inner, last])
        return Group(
            [opener, Nest([Line(), elements, last if fills else ""]), Line(), self.take(closer)]
        )

    # --- expressions ----------------------------------------------------------------------------

    def expression(self, node: Expr) -> Doc:
        """One expression."""
        match node:
            case syntax.Then():
                return self.pipe(node)
            case syntax.Binary(operator=".."):
                return [self.expression(node.left), self.take(".."), self.expression(node.right)]
            case syntax.Binary():
                return self.chain(node)
            case syntax.Unary():
                space = " " if node.operator == "not" else ""
                return [self.take(node.operator), space, self.expression(node.operand)]
            case syntax.Conditional():
                return self.conditional(node)
            case syntax.Named():
                return [
                    self.expression(node.expression),
                    " ",
                    self.take("as"),
                    " ",
                    self.label(node),
                ]
            case syntax.Attribute():
                return [self.expression(node.base), self.take("."), self.take()]
            case syntax.Call():
                # `50%(…)` would be read as a remainder
                space = " " if isinstance(node.function, syntax.Number) else ""
                return [self.expression(node.function), space, self.arguments(node.arguments)]
            case syntax.Subscript():
                base = self.expression(node.base)
                makers = [partial(self.index_part, i) for i in node.indices]
                return [base, self.bracket(makers, fills=True, comma=False)]
            case syntax.Group():
                return self.hug(partial(self.expression, node.inner))
            case _:
                return self.atom(node)

    def atom(self, node: Expr) -> Doc:
        """Lists, and what is a single token."""
        match node:
            case syntax.ListExpr():
                fills = all(isinstance(item, ATOMS) for item in node.items)
                return self.bracket([partial(self.expression, i) for i in node.items], fills=fills)
            case syntax.TupleExpr(items=(only,)):
                return self.hug(lambda: [self.expression(only), self.take(",")])
            case syntax.TupleExpr():
                return self.bracket([partial(self.expression, i) for i in node.items])
            case syntax.Comprehension():
                return self.comprehension(node)
            case _:
                return self.take()

    def hug(self, make: Maker) -> Doc:
        """One thing between brackets, without breaks next to them."""
        opener = self.take()
        closer = {"(": ")", "[": "]"}[self.tokens.text(self.index - 1)]
        self.brackets += 1
        inner = make()
        comments = [doc for _, doc in self.comments_before(self.next_start())]
        self.brackets -= 1
        return [opener, inner, comments, self.take(closer)]

    def arguments(self, arguments: tuple[Argument, ...]) -> Doc:
        """`(a, name=b)`; a list that is the only argument stands close to the brackets."""
        match arguments:
            case (Argument(name=None, value=syntax.ListExpr() | syntax.Comprehension()),):
                value = arguments[0].value
                has_comma = self.tokens.source.text[value.span.end :].lstrip().startswith(",")
                if not has_comma:
                    return self.hug(partial(self.expression, value))
        return self.bracket([partial(self.argument, a) for a in arguments])

    def argument(self, argument: Argument) -> Doc:
        """`name=value` or a value."""
        if argument.name is None:
            return self.expression(argument.value)
        return [self.take(), *self.assignment(argument.value, spaced=False)]

    def assignment(self, value: Expr, *, spaced: bool) -> list[Doc]:
        """`= value`; what follows `=` stays on its line."""
        space = " " if spaced else ""
        return [space, self.take("="), space, self.expression(value)]

    def index_part(self, part: Expr | syntax.Slice | syntax.Rest) -> Doc:
        """An index or a slice."""
        if not isinstance(part, syntax.Slice):
            return self.expression(part)
        parts: list[Doc] = [self.expression(part.start)] if part.start else []
        parts.append(self.take(":"))
        if part.stop:
            parts.append(self.expression(part.stop))
        if self.peek() == ":":
            parts.append(self.take(":"))
        if part.step:
            parts.append(self.expression(part.step))
        return parts

    def label(self, node: syntax.Named) -> Doc:
        """The name behind `as`."""
        parts = [self.take()]
        for index in node.label.indices:
            parts.append(self.hug(partial(self.expression, index)))
        return parts

    def pipe(self, node: syntax.Then) -> Doc:
        """`x -> f -> g`, broken before an arrow where the author did or where the line is full."""
        stages: list[Expr] = []
        left: Expr = node
        while isinstance(left, syntax.Then):
            stages.append(left.right)
            left = left.left
        head = self.expression(left)
        parts: list[Doc] = []
        for stage in reversed(stages):
            on_new_line = not self.brackets and self.starts_line(self.next_start())
            step = [self.take("->"), " ", self.expression(stage)]
            parts.append([Hard(), step] if on_new_line else Fill(" ", step))
        return [head, Nest(parts)]

    def chain(self, node: syntax.Binary) -> Doc:
        """Operators of one precedence, broken before an operator where the line is full."""
        level = next((level for level in CHAINS if node.operator in level), None)
        links = [node]
        while (
            level and isinstance(links[-1].left, syntax.Binary) and links[-1].left.operator in level
        ):
            links.append(links[-1].left)
        head = self.expression(links[-1].left)
        parts: list[Doc] = []
        for link in reversed(links):
            words: list[Doc] = []
            for word in link.operator.split():
                words += [self.take(word), " "]
            parts.append(Fill(" ", [words, self.expression(link.right)]))
        return [head, Nest(parts)]

    def conditional(self, node: syntax.Conditional) -> Doc:
        """`if c then a else b`."""
        condition = [self.take("if"), " ", self.expression(node.condition)]
        then = [self.take("then"), " ", self.expression(node.then)]
        otherwise = [self.take("else"), " ", self.expression(node.otherwise)]
        return Group([condition, Nest([Line(" "), then, Line(" "), otherwise])])

    def comprehension(self, node: syntax.Comprehension) -> Doc:
        """`[element for a in list if condition]`."""
        opener = self.take("[")
        self.brackets += 1
        inner: list[Doc] = [Line(), self.expression(node.element)]
        for generator in node.generators:
            names = self.comma_list([self.take for _ in generator.names], after=self.take("for"))
            parts = [names, " ", self.take("in"), " ", self.expression(generator.iterable)]
            if generator.condition:
                parts += [" ", self.take("if"), " ", self.expression(generator.condition)]
            inner += [Line(" "), parts]
        inner += [doc for _, doc in self.comments_before(self.next_start())]
        self.brackets -= 1
        return Group([opener, Nest(inner), Line(), self.take("]")])

    # --- types ----------------------------------------------------------------------------------

    def type(self, node: TypeExpr) -> Doc:
        """`f32[batch, 3, h, w]`."""
        name = self.take()
        if node.dims is None:
            return name
        makers = [partial(self.expression, d) for d in node.dims]
        return [name, self.bracket(makers, fills=True, comma=False)]
