"""The clause `split`: its method, its shares, and whether they fit the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.data.base import Column
from compiler.data.splitting import ORDER, Split
from compiler.data.windows import Window
from compiler.elaborate.items.operands import read_arguments, read_word, refuse_word
from compiler.elaborate.items.order_columns import read_order_column
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import Known, Poison
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.arguments import unknown_argument, wrong_argument
from compiler.report.messages.columns import bad_shares, cannot_stratify, split_does_not_fit
from compiler.report.messages.wording import list_words
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Argument, Clause, Declare, Expr, Name, Operand

METHODS = ("random", "in_order", "given")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "random": ("seed", "stratify", "group"),
    "in_order": ("by",),
    "given": ("seed",),
}
"""What stands in the brackets of each method."""


@dataclass(frozen=True)
class RowOrder:
    """What a source and its windows say about rows: the splits that the source `given` brings, how
    many of the rows after a row share cells with it, and how rows become windows."""

    given: Mapping[str, int] | None = None
    overlap: int = 0
    window: Window | None = None
    chosen: bool = False
    """Whether conditions choose among the rows."""

    @property
    def is_timed(self) -> bool:
        """Whether rows stand one series after the other: not in the order of time."""
        return self.window is not None and self.window.group is not None

    @property
    def by(self) -> str | None:
        """The raw column with the times, where there is one."""
        return self.window.by if self.window is not None and self.is_timed else None


def read_split(
    body: Body, clause: Clause, schema: Sequence[Column], order: RowOrder
) -> Split | None:
    """The split that a clause asks for; None where it was refused, which is reported."""
    return _Reader(body, clause, schema, order).read()


Shares = tuple[tuple[str, int | float], ...]
MOST_ROWS = 1 << 62


class _Reader:
    """Reads one clause."""

    def __init__(
        self,
        body: Body,
        clause: Clause,
        schema: Sequence[Column],
        order: RowOrder,
    ) -> None:
        self.body = body
        self.clause = clause
        self.schema = schema
        self.order = order
        self.given = order.given
        self.seed = 0
        self.stratify: str | None = None
        self.by: str | None = None
        self.group: str | None = None
        self.places: dict[str, Span] = {}
        self.accepted = True

    def read(self) -> Split | None:
        """The split."""
        method = self.read_method()
        if method is None:
            return None
        shares = self.read_shares(method.text)
        self.check_source(method, shares or ())
        if shares is None or not self.accepted:
            return None
        given = tuple((self.given or {}).items()) if method.text == "given" else ()
        return Split(
            method=method.text,
            shares=shares,
            seed=self.seed,
            stratify=self.stratify,
            span=self.clause.span,
            given=given,
            overlap=self.order.overlap,
            chosen=bool(given) and self.order.chosen,
            timed=method.text == "in_order" and (self.by is not None or self.order.is_timed),
            by=self.by or (self.order.by if method.text == "in_order" else None),
            group=self.group,
        )

    def refuse(self) -> None:
        """Notes that something was reported."""
        self.accepted = False

    # --- the method -------------------------------------------------------------------------

    def read_method(self) -> Name | None:
        """The word behind `split`, with its arguments read."""
        operands = self.clause.operands
        first = operands[0] if operands else None
        if self.clause.tails or self.clause.body is not None:
            malformed(self.body, self.clause, self.clause.span, "it has neither `with` nor a body")
            return None
        if first is None or first.name is not None or isinstance(first.value, Declare):
            span = first.span if first is not None else self.clause.word.span
            malformed(self.body, self.clause, span, f"first comes how: {list_words(METHODS)}")
            return None
        word = read_word(first.value)
        if word is None:
            malformed(self.body, self.clause, first.span, f"how is {list_words(METHODS)}")
            return None
        if word.text not in METHODS:
            refuse_word(self.body, word, "way of splitting", METHODS)
            return None
        for index, argument in enumerate(read_arguments(first.value)):
            self.read_option(word.text, index, argument)
        return word

    def read_option(self, method: str, index: int, argument: Argument) -> None:
        """One argument of the method."""
        options = OPTIONS[method]
        name = argument.name.text if argument.name is not None else None
        if name is None:
            name = options[index] if index < len(options) else ""
        span = argument.name.span if argument.name is not None else argument.value.span
        match name:
            case "seed" if name in options:
                self.read_seed(method, argument.value)
            case "stratify" if name in options:
                self.places[name] = span
                self.read_stratify(argument.value)
            case "by" | "group" if name in options:
                self.places[name] = span
                self.read_key(name, argument.value)
            case _:
                self.refuse()
                suggestion = did_you_mean(name, options)
                self.body.report(unknown_argument(span, method, name, options, suggestion))

    def read_seed(self, method: str, expression: Expr) -> None:
        """`seed=0`."""
        value = self.body.evaluate(expression)
        number = whole(value) if isinstance(value, Known) else None
        if isinstance(number, int) and number >= 0:
            self.seed = number
            return
        self.refuse()
        if not isinstance(value, Poison):
            expected = "a whole number, 0 or above"
            found = describe(value)
            self.body.report(wrong_argument(expression.span, method, "seed", expected, found))

    def read_stratify(self, expression: Expr) -> None:
        """`stratify=label`: a raw column."""
        kinds = {c.name: c for c in self.schema}
        classes = [c.name for c in self.schema if c.type.dtype.is_integer and c.type.rank == 0]
        word = expression.text if isinstance(expression, Name) else expression.span.text
        column = kinds.get(word)
        if column is not None and column.trouble is not None:
            self.refuse()
            self.body.report(replace(column.trouble, span=expression.span))
            return
        if column is not None and word in classes:
            self.stratify = word
            return
        self.refuse()
        found = str(column.type) if column is not None else ""
        suggestion = did_you_mean(word, classes)
        self.body.report(cannot_stratify(expression.span, word, found, tuple(classes), suggestion))

    def read_key(self, option: str, expression: Expr) -> None:
        """`by=day`, `group=patient`: a raw column."""
        found = read_order_column(self.body, option, expression, self.schema)
        if found is None:
            self.refuse()
        elif option == "by":
            self.by = found
        else:
            self.group = found

    # --- the shares -------------------------------------------------------------------------

    def read_shares(self, method: str) -> Shares | None:
        """The shares in the order train, val, test."""
        shares: dict[str, int | float] = {}
        for operand in self.clause.operands[1:]:
            self.read_share(operand, shares)
        if not self.accepted:
            return None
        if method != "given" and "train" not in shares and not self.add_rest(shares):
            advice = "say how many rows `train` has, or give the others in percent"
            self.report(bad_shares(self.clause.word.span, "there is no share for `train`", advice))
            return None
        if method == "given" and not self.check_cut(shares):
            return None
        total = sum(share for share in shares.values() if isinstance(share, float))
        if total > 1 + 1e-9:
            self.report(bad_shares(self.clause.span, f"the shares add up to {100 * total:g}%"))
            return None
        return tuple((name, shares[name]) for name in ORDER if name in shares)

    def add_rest(self, shares: dict[str, int | float]) -> bool:
        """Gives `train` what the others leave, as scikit-learn does; False where that is nothing,
        or follows from the number of rows."""
        rest = 1 - sum(shares.values())
        if not shares or rest < 1e-9 or any(isinstance(share, int) for share in shares.values()):
            return False
        shares["train"] = round(rest, 12)
        return True

    def read_share(self, operand: Operand, shares: dict[str, int | float]) -> None:
        """One `train=80%`."""
        name = operand.name
        if name is None or isinstance(operand.value, Declare):
            self.report(bad_shares(operand.span, "a share has a name"))
            return
        if name.text not in ORDER:
            near = did_you_mean(name.text, ORDER)
            meant = f"did you mean `{near}`?" if near else f"splits are {list_words(ORDER)}"
            self.report(bad_shares(name.span, meant))
            return
        if name.text in shares:
            self.report(bad_shares(name.span, f"`{name.text}` has two shares"))
            return
        value = self.body.evaluate(operand.value)
        number = value.value if isinstance(value, Known) and value.is_number else None
        if isinstance(value, Poison):
            self.refuse()
        elif isinstance(number, float) and number > 1:
            reason = f"{100 * number:g}% is more than all rows"
            self.report(
                bad_shares(operand.value.span, reason, "a number of rows has no point: `train=500`")
            )
        elif not isinstance(number, int | float) or not 0 < number < MOST_ROWS:
            self.report(bad_shares(operand.value.span, f"this is {describe(value)}"))
        else:
            shares[name.text] = number

    def report(self, message: Message) -> None:
        """Reports shares that cannot be."""
        self.refuse()
        self.body.report(message)

    def check_cut(self, shares: Mapping[str, int | float]) -> bool:
        """Whether shares can be cut from the source's own rows of `train`."""
        for name in shares:
            if name == "train" or name in (self.given or {}):
                self.refuse()
                reason = f"the source brings its own `{name}`"
                advice = "a share that is new is cut from `train`: `split given, val=10%`"
                self.body.report(bad_shares(self.clause.span, reason, advice))
                return False
        return True

    # --- the source -------------------------------------------------------------------------

    def check_source(self, method: Name, shares: Shares) -> None:
        """Whether the source can be divided in this way."""
        reason = advice = ""
        if method.text == "given" and self.given is None:
            reason = "the source brings no splits of its own"
            advice = "write `split random(seed=0), train=80%, val=10%, test=10%`"
        drawn = method.text == "random" or (method.text == "given" and shares)
        window = self.order.window
        whole = window is not None and self.group is not None and window.group == self.group
        if self.group is not None:
            self.check_groups(shares)
        if drawn and window is not None and not whole:
            reason = "windows of rows drawn at random would share their cells among the splits"
            advice = "write `split in_order, train=80%, val=10%, test=10%`"
            if window.group is not None and method.text == "random":
                advice = (
                    f"`random(group={window.group})` draws whole series, `in_order` goes by time"
                )
        elif method.text == "random" and self.order.overlap:
            reason = "its rows overlap: the same cells would be trained on and tested"
            advice = "write `split in_order, train=80%, val=10%, test=10%`"
        if reason:
            self.refuse()
            self.body.report(split_does_not_fit(method.span, method.text, reason, advice))

    def check_groups(self, shares: Shares) -> None:
        """Whether whole groups can be divided in this way."""
        if self.stratify is not None:
            self.refuse()
            reason = "groups go whole into a split, whatever their classes"
            advice = "leave `stratify=` or `group=` out"
            span = self.places["group"]
            self.body.report(split_does_not_fit(span, "random", reason, advice))
        if any(isinstance(share, int) for _, share in shares):
            reason = "groups go whole into a split: shares are parts of the groups"
            self.report(bad_shares(self.clause.span, reason, "write `train=80%, test=20%`"))
