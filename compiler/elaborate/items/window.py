"""The clause `window`: how long windows are, what orders their rows, and which columns are their
targets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from compiler.data.base import Column
from compiler.data.windows import GAPS, Window
from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.items.operands import describe_given
from compiler.elaborate.items.order_columns import read_order_column
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import Known, ListValue, Poison, Range, Val
from compiler.report.messages.arguments import unknown_argument, wrong_argument
from compiler.report.messages.item_clauses import clause_twice
from compiler.report.messages.items import setting_range
from compiler.report.messages.series import no_such_target
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Clause, Declare, Expr, ListExpr, Name, Operand
from compiler.vocabulary.clauses import Choice

DEFAULT_TARGET = "target"
"""The column that is the target where `ahead=` alone says that there is one."""
OPTIONS = ("ahead", "target", "by", "group", "gaps", "stride")
MOST = 1 << 31
MOST_STEPS = 1000
"""Rows after a window of which one target is taken."""


def read_window(
    body: Body, clause: Clause, schema: Sequence[Column], columns: Sequence[str] | None
) -> Window | None:
    """The windows that a clause asks for; None where it was refused, which is reported. `columns`
    are the names of those that a train may read; None where they are not known."""
    return _Reader(body, clause, schema, columns).read()


class _Reader:
    """Reads one clause."""

    def __init__(
        self, body: Body, clause: Clause, schema: Sequence[Column], columns: Sequence[str] | None
    ) -> None:
        self.body = body
        self.clause = clause
        self.schema = schema
        self.columns = columns
        self.settings: dict[str, Any] = {}
        self.targets: list[Name] = []
        self.places: dict[str, Span] = {}
        self.accepted = True

    def read(self) -> Window | None:
        """The windows."""
        operands = read_operands(self.body, self.clause)
        if not operands:
            return None
        first = operands[0]
        if first.name is not None or isinstance(first.value, Declare):
            self.refuse_form(first.span, "first comes how many rows a window has: `window 24`")
            return None
        self.read_number("length", first.value, 1)
        for operand in operands[1:]:
            self.read_option(operand)
        if "gaps" in self.places and "by" not in self.places:
            self.refuse_form(self.places["gaps"], "gaps are those of a column: `by=day` says which")
        self.check_targets()
        if not self.accepted:
            return None
        targets = tuple(name.text for name in self.targets)
        return Window(**self.settings, targets=targets, span=self.clause.word.span)

    def refuse_form(self, span: Span, expected: str) -> None:
        """Reports a part that cannot be read."""
        self.accepted = False
        malformed(self.body, self.clause, span, expected)

    def read_option(self, operand: Operand) -> None:
        """One `by=Date`."""
        name, value = operand.name, operand.value
        if name is None or isinstance(value, Declare):
            self.refuse_form(operand.span, "what follows has a name: `window 24, ahead=1, by=day`")
            return
        if name.text in self.places:
            self.accepted = False
            self.body.report(clause_twice(name.span, name.text, self.places[name.text]))
            return
        self.places[name.text] = name.span
        match name.text:
            case "ahead":
                self.read_steps(value)
            case "stride":
                self.read_number(name.text, value, 1)
            case "by" | "group":
                self.read_key(name.text, value)
            case "target":
                self.read_targets(value)
            case "gaps":
                self.read_gaps(value)
            case _:
                self.accepted = False
                near = did_you_mean(name.text, OPTIONS)
                self.body.report(unknown_argument(name.span, "window", name.text, OPTIONS, near))

    def read_steps(self, expression: Expr) -> None:
        """`ahead=1`, or several: `ahead=[1, 6]`, `ahead=1..25`."""
        value = self.body.evaluate(expression)
        items = plain_items(value) if isinstance(value, ListValue | Range) else None
        if items is None:
            self.settle_number("ahead", value, expression.span, 1)
            return
        found = [whole(item) for item in items[: MOST_STEPS + 1] if isinstance(item, Known)]
        steps = [number for number in found if isinstance(number, int)]
        rising = all(a < b for a, b in pairwise([0, *steps, MOST]))
        if not steps or len(steps) != len(items) or not rising or len(steps) > MOST_STEPS:
            expected = f"up to {MOST_STEPS} rising whole numbers from 1, below {MOST}, belong here"
            self.refuse_form(expression.span, expected)
            return
        self.settings["ahead"], self.settings["steps"] = steps[-1], tuple(steps)

    def read_number(self, option: str, expression: Expr, least: int) -> None:
        """`24`, `stride=6`."""
        self.settle_number(option, self.body.evaluate(expression), expression.span, least)

    def settle_number(self, option: str, value: Val, span: Span, least: int) -> None:
        """Takes a number of rows for an option."""
        number = whole(value) if isinstance(value, Known) and value.unit is None else None
        if isinstance(value, Poison):
            self.accepted = False
        elif not isinstance(number, int):
            expected = f"a whole number of rows belongs here, not {describe_given(value)}"
            self.refuse_form(span, expected)
        elif not least <= number < MOST:
            self.accepted = False
            shown = "" if option == "length" else option
            expected = f"{least} or above" if number < least else f"below {MOST}"
            self.body.report(setting_range(span, "window", shown, str(number), expected))
        else:
            self.settings[option] = number

    def read_key(self, option: str, expression: Expr) -> None:
        """`by=Date`, `group=station`: a raw column of whole numbers, dates or words."""
        found = read_order_column(self.body, option, expression, self.schema)
        if found is None:
            self.accepted = False
        else:
            self.settings[option] = found

    def read_targets(self, expression: Expr) -> None:
        """`target=y`, `target=[y, z]`."""
        items = expression.items if isinstance(expression, ListExpr) else (expression,)
        for item in items:
            if isinstance(item, Name):
                self.targets.append(item)
            else:
                self.refuse_form(item.span, "the name of a column belongs here: `target=price`")
        if not items:
            self.refuse_form(expression.span, "a window without a target has no `target=`")

    def read_gaps(self, expression: Expr) -> None:
        """`gaps="split"`."""
        value = self.body.evaluate(expression)
        if isinstance(value, Known) and value.value in GAPS:
            self.settings["gaps"] = value.value
            return
        self.accepted = False
        if not isinstance(value, Poison):
            expected = Choice(GAPS).text
            found = describe_given(value)
            self.body.report(wrong_argument(expression.span, "window", "gaps", expected, found))

    def check_targets(self) -> None:
        """Whether the targets are columns, and which they are where none is named."""
        if self.columns is None or not self.accepted:
            return
        if "target" in self.places:
            self.settings.setdefault("ahead", 1)
        elif "ahead" not in self.settings:
            return
        elif DEFAULT_TARGET in self.columns:
            self.targets.append(Name(self.clause.word.span, DEFAULT_TARGET))
        else:
            self.accepted = False
            known = tuple(self.columns)
            self.body.report(no_such_target(self.places["ahead"], "", known, None))
        for name in self.targets:
            if name.text not in self.columns:
                self.accepted = False
                near = did_you_mean(name.text, self.columns)
                known = tuple(self.columns)
                self.body.report(no_such_target(name.span, name.text, known, near))
