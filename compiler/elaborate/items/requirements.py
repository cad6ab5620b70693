"""The clause `require`: comparisons of figures, whose kinds must agree."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.compression.figures import FIGURES, Kind
from compiler.compression.requirements import find_figures
from compiler.elaborate.items.reach import find_reach_fault
from compiler.elaborate.items.subjects import OpenTrain
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import Known, Poison
from compiler.program.requirement import Bound, Computed, Figure, Quantity, Requirement
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.report.diagnostics import Severity
from compiler.report.messages.item_clauses import no_such_item
from compiler.report.messages.metrics import figure_is_a_chart
from compiler.report.messages.training import unknown_figure
from compiler.report.messages.variants import (
    bad_require,
    contract_about_itself,
    kinds_differ,
    no_metrics_here,
    no_such_figure,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Attribute, Binary, Call, Expr, Group, Name, Reference, Unary
from compiler.text.tree.syntax import Train as TrainItem
from compiler.text.tree.syntax import Variant as VariantItem
from compiler.types.units import UNITS

RELATIONS = ("<=", "<", ">=", ">")
Typed = tuple[Bound, Kind]
"""A side of a comparison, and what it counts."""


@dataclass(frozen=True)
class Owners:
    """What the figures of a variant's contract may belong to: the trains behind each name that
    can stand before a dot (None: it has no data), and the train of the variant itself. Where the
    net of the variant was refused, that train is not `known`. `net` is its name in the train.
    `open_train` makes a train that is named with arguments."""

    name: str
    train: Train | None
    others: Mapping[str, Train | None]
    open_train: OpenTrain
    known: bool = True
    net: str = ""


class RequireReader:
    """Reads the comparisons of one variant."""

    def __init__(self, body: Body, owners: Owners) -> None:
        self.body = body
        self.owners = owners
        self.others = dict(owners.others)  # and the trains that are named with arguments here

    def read(self, expression: Expr) -> list[Requirement]:
        """The comparisons of an expression; those that are refused are reported and left out."""
        match expression:
            case Group(inner=inner):
                return self.read(inner)
            case Binary(operator="and", left=left, right=right):
                return [*self.read(left), *self.read(right)]
            case Binary(operator=operator) if operator in RELATIONS:
                found = self.read_comparison(expression)
                return [found] if found is not None else []
            case Binary(operator="==" | "!="):
                advice = "measured figures are never exactly a number"
                self.body.report(bad_require(expression.operator_span, advice))
            case Binary(operator="or"):
                advice = "a contract holds or not: there is no `or`"
                self.body.report(bad_require(expression.operator_span, advice))
            case _:
                self.body.report(bad_require(expression.span, "a comparison belongs here"))
        return []

    def read_comparison(self, expression: Binary) -> Requirement | None:
        """`a <= b`."""
        left, right = self.read_bound(expression.left), self.read_bound(expression.right)
        if left is None or right is None:
            return None
        if not self.check_kinds(left, right, expression.left, expression.right):
            return None
        figures = [*find_figures(left[0]), *find_figures(right[0])]
        if not any(figure.owner is None for figure in figures):
            self.body.report(bad_require(expression.span, "this names no figure of the variant"))
            return None
        requirement = Requirement(left[0], expression.operator, right[0], expression.span)
        fault = find_reach_fault(requirement, self.owners.train)
        if fault is not None:
            self.body.report(fault)
        return None if fault is not None and fault.severity is Severity.ERROR else requirement

    # --- sides ------------------------------------------------------------------------------

    def read_bound(self, expression: Expr) -> Typed | None:
        """A figure, a number, or arithmetic with them; None where it is refused."""
        match expression:
            case Group(inner=inner):
                return self.read_bound(inner)
            case Binary(operator="+" | "-" | "*" | "/"):
                return self.read_arithmetic(expression)
            case Unary(operator="-", operand=operand):
                found = self.read_bound(operand)
                if found and isinstance(found[0], Quantity):
                    return Quantity(-found[0].value, f"-{found[0].text}"), found[1]
                zero = Quantity(0.0, "0")
                return found and (Computed("-", zero, found[0]), found[1])
            case Name(text=text) if text in FIGURES:
                return Figure(None, None, text, expression.span), FIGURES[text].kind
            case Attribute():
                names = self.read_path(expression)
                if names == []:
                    return None
                if names is not None and not self.is_value(names[0]):
                    return self.read_figure(names, expression.span)
            case Name() if not self.is_value(expression):
                self.report_unknown(expression.text, expression.span)
                return None
        return self.read_number(expression)

    def is_value(self, name: Name) -> bool:
        """Whether a name is a parameter of the variant, or a `let` of the file."""
        if any(name.text in layer for layer in self.body.names):
            return True
        known = (*self.others, self.owners.name)
        if name.text in known or self.is_item(name.text):
            return False
        return find_entry(self.body.file, name.text, name.span) is not None

    def read_number(self, expression: Expr) -> Typed | None:
        """A number that is known when compiling."""
        value = self.body.evaluate(expression)
        if isinstance(value, Poison):
            return None
        number = value.value if isinstance(value, Known) and value.is_number else None
        if not isinstance(value, Known) or not isinstance(number, int | float):
            self.body.report(bad_require(expression.span, f"this is {describe(value)}"))
            return None
        plain = isinstance(expression, Name | Attribute)
        kind = _kind_of_unit(value.unit, Kind.OPEN if plain else Kind.PLAIN)
        if kind is None:
            self.body.report(bad_require(expression.span, f"no figure counts {value.unit}"))
            return None
        text = f"{number:g}" if plain else expression.span.text
        return Quantity(float(number), text), kind

    def read_arithmetic(self, expression: Binary) -> Typed | None:
        """`0.5 * fit.latency`, `fit.test.accuracy - 0.5%`."""
        left, right = self.read_bound(expression.left), self.read_bound(expression.right)
        if left is None or right is None:
            return None
        operator = expression.operator
        if operator == "/" and isinstance(right[0], Quantity) and right[0].value == 0:
            self.body.report(bad_require(expression.right.span, "nothing is divided by 0"))
            return None
        kind = left[1]
        if operator in "+-":
            if not self.check_kinds(left, right, expression.left, expression.right):
                return None
            kind = right[1] if left[1] is Kind.OPEN else left[1]
        else:
            found = _multiply(left[1], right[1], operator)
            if found is None:
                text = f"{left[1]} {operator} {right[1]} is nothing that can be required"
                self.body.report(bad_require(expression.span, text))
                return None
            kind = found
        return Computed(operator, left[0], right[0]), kind

    def check_kinds(self, left: Typed, right: Typed, first: Expr, second: Expr) -> bool:
        """Whether two sides count the same; what does not is reported."""
        kinds = {left[1], right[1]} - {Kind.OPEN}
        if len(kinds) < 2:
            return True
        advice = ""
        for (bound, kind), (other, plain) in ((left, right), (right, left)):
            if plain is Kind.PLAIN and isinstance(other, Quantity) and isinstance(bound, Figure):
                unit = {Kind.BYTES: "B", Kind.SECONDS: "ms"}.get(kind)
                advice = f"write `{other.value:g}{unit}` or another unit" if unit else ""
                train = self.owners.train
                if unit and train is not None and other.text.endswith("%"):
                    advice = f"say of what: `{other.text} * {train.name}.{bound.name}`"
        said = f"`{first.span.text}` is {left[1]}", f"`{second.span.text}` is {right[1]}"
        self.body.report(kinds_differ(first.span.to(second.span), said[0], said[1], advice))
        return False

    # --- figures ----------------------------------------------------------------------------

    def read_figure(self, names: list[Name], span: Span) -> Typed | None:
        """`test.accuracy`, `fit.latency`, `gan.G.latency`, `fit.test.accuracy`."""
        if names[-1].text == "loss":
            names = self.join_loss(names)
        own, first = self.owners, names[0].text
        if own.train is not None and first in own.train.data.split.names and len(names) == 2:
            return self.read_metric(None, own.train, names, span)
        if first == own.name:
            self.body.report(contract_about_itself(names[0].span, own.name))
            return None
        if first not in self.others:
            if own.known and not self.is_item(first):
                self.report_owner(names, span)
            return None  # else it was refused, or may be a split of what was
        train = self.others[first]
        if train is not None and len(train.nets) > 1 and first in self.find_trains():
            said = f"`{first}` has several nets, and this could be any of them"
            self.body.report(bad_require(span, said))
            return None
        if train is not None and names[-1].text in FIGURES and len(names) > 2:
            return self.read_figure_of_net(train, names, span)
        if len(names) == 2:
            word = names[1].text
            if word not in FIGURES:
                self.report_unknown(word, names[1].span, owner=first)
                return None
            return Figure(first, None, word, span), FIGURES[word].kind
        if train is None:
            self.body.report(no_metrics_here(span, first))
            return None
        if len(names) > 3:
            self.body.report(
                bad_require(span, "a figure has a train, a split and a metric at most")
            )
            return None
        return self.read_metric(first, train, names[1:], span)

    def join_loss(self, names: list[Name]) -> list[Name]:
        """The names of `test.critic.loss` with the loss of a step as one."""
        trains = (self.owners.train, self.owners.others.get(names[0].text))
        losses = {loss for train in trains if train is not None for loss in train.losses}
        joined = ".".join(name.text for name in names[-2:])
        if joined not in losses:
            return names
        return [*names[:-2], Name(names[-2].span.to(names[-1].span), joined)]

    def read_figure_of_net(self, train: Train, names: list[Name], span: Span) -> Typed | None:
        """`gan.G.size`: that of the net of the variant before any pass, as `gan.size` is."""
        own, first, word = self.owners, names[0].text, names[-1].text
        named = ".".join(name.text for name in names[1:-1])
        nets = [net.name for net in train.nets] if len(train.nets) > 1 else []
        if train is own.train and first == train.name and named == own.net and named in nets:
            return Figure(first, None, word, span), FIGURES[word].kind
        if named in nets:
            said = f"only the net that `{own.name}` is made of is measured: `{first}.{word}`"
            self.body.report(bad_require(span, said))
            return None
        splits = train.data.split.names
        near = did_you_mean(named, (*nets, *splits))
        figure = f"{first}.{word}"
        fault = unknown_figure(names[1].span, "split", named, tuple(splits), near, figure)
        self.body.report(fault)
        return None

    def read_metric(
        self, owner: str | None, train: Train, names: list[Name], span: Span
    ) -> Typed | None:
        """`test.accuracy` of a train."""
        split, metric = names
        metrics = (*(use.name for use in train.metrics), *train.losses)
        splits = train.data.split.names
        for kind, name, known in (("split", split, splits), ("metric", metric, metrics)):
            if name.text not in known:
                near = did_you_mean(name.text, known)
                self.body.report(unknown_figure(name.span, kind, name.text, tuple(known), near))
                return None
        use = next((use for use in train.metrics if use.name == metric.text), None)
        chart = use.metric.chart if use is not None else None
        if use is not None and chart is not None:
            said = (use.name, chart.kind, "`require`", chart.number)
            self.body.report(figure_is_a_chart(span, *said, use.span))
            return None
        return Figure(owner, split.text, metric.text, span), Kind.PLAIN

    def find_trains(self) -> set[str]:
        """The names among the owners that are trains of other nets than the variant's."""
        train = self.owners.train
        own = train.name if train is not None else None
        return {n for n, t in self.others.items() if t is not None and t.name == n and n != own}

    def read_path(self, expression: Expr) -> list[Name] | None:
        """`a.b.c` as names, `fit(lr=1e-3).size` by the name of that train; None where it is
        something else, nothing where a train was refused."""
        match expression:
            case Name():
                return [expression]
            case Attribute(base=base, name=name):
                path = self.read_path(base)
                return [*path, name] if path else path
            case Call(function=Name() as name) if self.is_item(name.text):
                return self.read_train(name, expression)
        return None

    def read_train(self, name: Name, call: Call) -> list[Name] | None:
        """The name of a train with arguments."""
        entry = self.body.file.entries[name.text]
        if not isinstance(entry, TrainItem):
            return None
        reference = Reference(call.span, (name,), call.arguments)
        train = self.owners.open_train(entry, reference, self.body)
        if train is None:
            return []
        self.others[train.name] = train
        return [Name(call.span, train.name)]

    def is_item(self, name: str) -> bool:
        """Whether the file has a train or variant of that name."""
        return isinstance(self.body.file.entries.get(name), TrainItem | VariantItem)

    def report_owner(self, names: list[Name], span: Span) -> None:
        """Reports what stands before a dot and is no split, train or variant."""
        own, first = self.owners, names[0]
        if own.train is None and len(names) == 2 and first.text in ("train", "val", "test"):
            self.body.report(no_metrics_here(span, own.name))
            return
        splits = own.train.data.split.names if own.train is not None else ()
        known = (*splits, *self.others)
        near = did_you_mean(first.text, known)
        what = "split, train or variant"
        self.body.report(no_such_item(first.span, what, first.text, "", known, near))

    def report_unknown(self, word: str, span: Span, owner: str | None = None) -> None:
        """Reports a word that is no figure."""
        train = self.others.get(owner) if owner is not None else self.owners.train
        metrics = [
            f"{split}.{use.name}"
            for split in (train.data.split.names if train is not None else ())
            for use in (train.metrics if train is not None else ())
            if use.metric.chart is None
        ]
        known = (*FIGURES, *metrics)
        near = next((m for m in reversed(metrics) if m.endswith(f".{word}")), None)
        near = near or did_you_mean(word, known)
        self.body.report(no_such_figure(span, word, known, near))


def _kind_of_unit(unit: str | None, plain: Kind) -> Kind | None:
    """What a number with a unit counts; None for epochs and steps."""
    if unit is None:
        return plain
    if unit == "%":
        return Kind.PLAIN
    if unit.endswith("B"):
        return Kind.BYTES
    return Kind.SECONDS if unit in UNITS and not unit.startswith(("epoch", "step")) else None


def _multiply(left: Kind, right: Kind, operator: str) -> Kind | None:
    """What a product or quotient counts; None where it is nothing that a contract speaks of."""
    scalars = (Kind.PLAIN, Kind.OPEN)
    if right in scalars:
        return Kind.PLAIN if left in scalars and Kind.PLAIN in (left, right) else left
    if operator == "/":
        return Kind.PLAIN if left is right else None
    return right if left in scalars else None
