"""Sweep items: what is searched, what for, and how; their trials stand in `sweeps`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compiler.compression.figures import FIGURES
from compiler.elaborate.api import open_graph
from compiler.elaborate.calls.described import build_described, find_class
from compiler.elaborate.items.item_elaborator import ItemElaborator
from compiler.elaborate.items.operands import read_single, read_word, refuse_word
from compiler.elaborate.items.sweep_values import read_condition, read_space
from compiler.elaborate.scopes.context import Body, FileScope, malformed
from compiler.program.requirement import Figure
from compiler.program.sweep import Goal, Searched, Sweep, write_figure
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.item_clauses import clause_missing
from compiler.report.messages.metrics import figure_is_a_chart
from compiler.report.messages.sweeps import (
    bad_goal,
    goal_against_metric,
    no_such_parameter,
    nothing_searched,
    pruner_unfit,
    sampler_unfit,
    searched_twice,
    tunes_on_test,
)
from compiler.report.messages.training import unknown_figure
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.sweeping.base import PRUNERS, SAMPLERS, Pruner, Sampler
from compiler.sweeping.conditions import ALWAYS, Condition, Every, Unless
from compiler.sweeping.registry import load_sweeping
from compiler.text.tree.syntax import (
    Attribute,
    Choice,
    Clause,
    Expr,
    Group,
    If,
    Item,
    Name,
    NoneLiteral,
    Statement,
)
from compiler.text.tree.syntax import Sweep as SweepItem
from compiler.vocabulary.clauses import SWEEP
from compiler.vocabulary.signature import Registry


@dataclass(frozen=True)
class Judged:
    """What trials are: variants or trainings, and the train whose splits and metrics they have;
    None where it was refused, or there is none."""

    train: Train | None
    variant: bool
    known: bool = True


class SweepElaborator(ItemElaborator):
    """The elaboration of one sweep. `root` is the train or variant item whose parameters it
    searches, `given` those that the reference to it has set, and where."""

    home = SWEEP

    def __init__(
        self,
        scope: FileScope,
        item: SweepItem,
        root: Item,
        judged: Judged,
        given: Mapping[str, Span],
    ) -> None:
        load_sweeping()
        super().__init__(scope)
        self.item = item
        self.root = root
        self.judged = judged
        self.first = dict(given)  # where each parameter got its value first
        self.searched: list[Searched] = []
        self.goals: list[Goal] = []
        self.places: dict[str, Span] = {}  # of the sampler and the pruner

    def run(self) -> Sweep | None:
        """The sweep, whose `values` nobody has chosen yet; None where something was refused, which
        is reported."""
        session = self.scope.session
        before = session.faults
        context = open_graph(self.scope, self.item, self.table)
        assert context is not None, "a sweep has no parameters"
        self.read_body(context.body, self.item.body, ALWAYS)
        self.report_lacking(context.body)
        for fault in self.find_faults() if session.faults == before else ():
            context.body.report(fault)
        if session.faults > before:
            return None
        return Sweep(
            self.item.name.text,
            self.item.of.path[0].text,
            self.root.name.text,
            self.judged.variant,
            tuple(self.searched),
            {},
            doc=self.item.doc,
            span=self.item.name.span,
            maximize=tuple(goal.figure for goal in self.goals if goal.higher),
            minimize=tuple(goal.figure for goal in self.goals if not goal.higher),
            goals=tuple(self.goals),
            **self.settings,
        )

    # --- what is searched ---------------------------------------------------------------------

    def read_body(self, body: Body, statements: Sequence[Statement], around: Condition) -> None:
        """Statements in order; `around` is what holds of the trials that they are meant for."""
        for statement in statements:
            match statement:
                case Choice():
                    self.take_choice(body, statement, around)
                case If():
                    self.take_if(body, statement, around)
                case _:
                    body.execute([statement])

    def take_choice(self, body: Body, choice: Choice, around: Condition) -> None:
        """`lr in log_uniform(1e-4, 1e-1)`."""
        name = choice.name
        known = tuple(parameter.name.text for parameter in self.root.parameters)
        if name.text not in known:
            near = did_you_mean(name.text, known)
            owner = self.root.name.text
            body.report(no_such_parameter(name.span, owner, name.text, known, near))
            return
        if name.text in self.first:
            body.report(searched_twice(name.span, name.text, self.first[name.text]))
            return
        self.first[name.text] = name.span
        space = read_space(body, name.text, choice.values)
        if space is not None:
            number = 1 + sum(s.parameter == name.text for s in self.searched)
            self.searched.append(Searched(name.text, space, around, number, choice.values.span))

    def take_if(self, body: Body, statement: If, around: Condition) -> None:
        """`if act == "elu" { … } else { … }`: both branches are read, for different trials."""
        spaces = {searched.parameter: searched.space for searched in self.searched}
        known = {
            parameter.name.text: spaces.get(parameter.name.text)
            for parameter in self.root.parameters
        }
        condition = read_condition(body, statement.condition, known)
        before = dict(self.first)
        branches = (statement.then, statement.otherwise or ())
        ends: dict[str, Span] = {}
        for index, branch in enumerate(branches):
            self.first = dict(before)
            held = Unless(condition) if index and condition else condition
            self.read_body(body, branch, Every((around, held or ALWAYS)))
            ends |= self.first
        self.first = ends

    # --- goals --------------------------------------------------------------------------------

    def take_maximize(self, body: Body, clause: Clause) -> None:
        """`maximize val.accuracy`."""
        self.take_goal(body, clause, higher=True)

    def take_minimize(self, body: Body, clause: Clause) -> None:
        """`minimize params`."""
        self.take_goal(body, clause, higher=False)

    def take_goal(self, body: Body, clause: Clause, *, higher: bool) -> None:
        """One figure that is to be high or low."""
        expression = read_single(body, clause)
        figure = self.read_figure(body, expression) if expression is not None else None
        if figure is None:
            return
        goal = Goal(figure, higher)
        if any(known.name == goal.name for known in self.goals):
            body.report(bad_goal(figure.span, f"`{goal.name}` is a goal already"))
            return
        self.goals.append(goal)
        for doubt in self.find_doubts(goal):
            body.report(doubt)

    def take_choose(self, body: Body, clause: Clause) -> None:
        """`choose val.accuracy`: one of the goals."""
        expression = read_single(body, clause)
        figure = self.read_figure(body, expression) if expression is not None else None
        if figure is not None:
            self.settings["choose"] = figure

    def read_figure(self, body: Body, expression: Expr) -> Figure | None:
        """`val.accuracy`, `params`; None where it is no figure of a trial, which is reported."""
        while isinstance(expression, Group):
            expression = expression.inner
        match expression:
            case Name(text=text) if text in self.costs:
                return Figure(None, None, text, expression.span)
            case Attribute(base=Name() as split, name=Name() as metric):
                return self.read_metric(body, split, metric, expression.span)
        known = (*self.costs, *self.find_metrics())
        near = did_you_mean(expression.span.text, known)
        said = f"did you mean `{near}`?" if near is not None else "a figure belongs here"
        body.report(bad_goal(expression.span, said, known))
        return None

    @property
    def costs(self) -> tuple[str, ...]:
        """The figures of a net: a training has nothing that its outputs could differ from, and of
        one with several nets only their parameters are counted."""
        train = self.judged.train
        if self.judged.variant or train is None:
            return tuple(FIGURES)
        if len(train.nets) > 1:
            return ("params",)
        return tuple(word for word in FIGURES if word != "error")

    def find_metrics(self) -> Iterator[str]:
        """The metrics of splits, as they are written."""
        train = self.judged.train
        for split in find_measured(train) if train is not None else ():
            for use in train.metrics if train is not None else ():
                if use.metric.chart is None:
                    yield f"{split}.{use.name}"

    def read_metric(self, body: Body, split: Name, metric: Name, span: Span) -> Figure | None:
        """`val.accuracy`; None where there is none, which is reported if its train is known."""
        train = self.judged.train
        if train is None:
            if self.judged.known:
                said = "no train of the file made this net: it has no metrics"
                body.report(bad_goal(span, said, self.costs))
            return None
        metrics = (*(use.name for use in train.metrics), "loss")
        pairs = (("split", split, train.data.split.names), ("metric", metric, metrics))
        for kind, name, known in pairs:
            if name.text not in known:
                near = did_you_mean(name.text, known)
                body.report(unknown_figure(name.span, kind, name.text, tuple(known), near))
                return None
        if split.text not in find_measured(train):
            said = "trials are measured on rows that they were not trained on"
            body.report(bad_goal(span, said, tuple(self.find_metrics())))
            return None
        use = next((use for use in train.metrics if use.name == metric.text), None)
        if use is not None and use.metric.chart is not None:
            chart = use.metric.chart
            said_of = (use.name, chart.kind, "a goal of a sweep", chart.number)
            body.report(figure_is_a_chart(span, *said_of, use.span))
            return None
        return Figure(None, split.text, metric.text, span)

    def find_doubts(self, goal: Goal) -> Iterator[Message]:
        """What speaks against a goal, and does not forbid it."""
        figure, train = goal.figure, self.judged.train
        higher: bool | None = False
        if train is not None and figure.split is not None and figure.name != "loss":
            better = next((u.better for u in train.metrics if u.name == figure.name), None)
            higher = None if better is None else better == "higher"
        if higher is not None and higher != goal.higher:
            word, said = ("maximize", "higher") if higher else ("minimize", "lower")
            yield goal_against_metric(figure.span, goal.name, said, word)
        if figure.split == "test" and train is not None:
            has_val = "val" in train.data.split.names
            yield tunes_on_test(figure.span, goal.name, f"val.{figure.name}" if has_val else None)

    # --- how ----------------------------------------------------------------------------------

    def take_sampler(self, body: Body, clause: Clause) -> None:
        """`sampler tpe`."""
        self.take_described(body, clause, "sampler")

    def take_pruner(self, body: Body, clause: Clause) -> None:
        """`pruner hyperband`."""
        self.take_described(body, clause, "pruner")

    def take_described(self, body: Body, clause: Clause, field: str) -> None:
        """A thing of the vocabulary of sweeps."""
        registry: Registry[Any] = SAMPLERS if field == "sampler" else PRUNERS
        expression = read_single(body, clause)
        if expression is None:
            return
        # `none` is a word of the language, and no name.
        bare = isinstance(expression, NoneLiteral)
        cls = registry.get("none") if bare else find_class(expression, registry)
        word = read_word(expression)
        if cls is None and word is not None:
            refuse_word(body, word, registry.kind, registry.names())
        elif cls is None:
            malformed(body, clause, expression.span, f"the name of a {field} belongs here")
        else:
            made = cls() if bare else build_described(body, expression, cls)
            if made is not None:
                self.settings[field] = made
                self.places[field] = expression.span

    # --- what does not go together ------------------------------------------------------------

    def report_lacking(self, body: Body) -> None:
        """Reports what the sweep cannot do without."""
        name, words = self.item.name, []
        if not ({"maximize", "minimize"} & self.find_clauses()):
            words.append("maximize")
        sampler = self.settings.get("sampler")
        if "trials" not in self.seen and (sampler is None or not sampler.enumerates):
            words.append("trials")
        if words:
            forms = tuple(SWEEP.clauses[word].form for word in words)
            body.report(clause_missing(name.span, f"the sweep `{name.text}`", tuple(words), forms))
        if not any(isinstance(s, Choice | If) for s in self.item.body):
            known = tuple(parameter.name.text for parameter in self.root.parameters)
            body.report(nothing_searched(name.span, name.text, self.root.name.text, known))

    def find_clauses(self) -> set[str]:
        """The words of the clauses that the sweep has."""
        return {s.word.text for s in self.item.body if isinstance(s, Clause)}

    def find_faults(self) -> Iterator[Message]:
        """What does not go together, where each part was accepted."""
        names = [goal.name for goal in self.goals]
        chosen: Figure | None = self.settings.get("choose")
        if chosen is not None and write_figure(chosen) not in names:
            yield bad_goal(chosen.span, "this is no goal of the sweep", tuple(names))
        yield from self.find_pruner_faults()
        yield from self.find_sampler_faults()

    def find_pruner_faults(self) -> Iterator[Message]:
        """Why the pruner cannot judge the trials."""
        pruner: Pruner | None = self.settings.get("pruner")
        if pruner is None or not pruner.watches:
            return
        reason = ""
        if self.judged.variant:
            reason = "variants have no epochs"
        elif len(self.goals) > 1:
            reason = f"there are {len(self.goals)} goals"
        elif self.goals and not self.goals[0].is_epochal:
            reason = f"`{self.goals[0].name}` is not known after every epoch"
        if reason:
            yield pruner_unfit(self.places["pruner"], pruner.name, reason)

    def find_sampler_faults(self) -> Iterator[Message]:
        """Why the sampler cannot draw from the spaces."""
        sampler: Sampler | None = self.settings.get("sampler")
        for searched in self.searched if sampler is not None else ():
            assert sampler is not None
            name, space = searched.parameter, searched.space
            if sampler.enumerates and space.grid is None:
                reason, advice = f"there is no end of values of `{name}`", f"write `{name} in […]`"
                yield sampler_unfit(searched.span, sampler.name, reason, advice)
            elif sampler.numeric and not space.is_numeric:
                reason = f"`{name}` is one of a list, which has no order"
                yield sampler_unfit(searched.span, sampler.name, reason, "write `sampler tpe`")
            elif sampler.numeric and searched.condition != ALWAYS:
                reason = f"`{name}` does not stand in every trial"
                yield sampler_unfit(searched.span, sampler.name, reason, "write `sampler tpe`")
        if sampler is not None and sampler.numeric and len(self.goals) > 1:
            place, reason = self.places["sampler"], f"there are {len(self.goals)} goals"
            yield sampler_unfit(place, sampler.name, reason, "write `sampler nsga2`")


def find_measured(train: Train) -> tuple[str, ...]:
    """The splits that are measured at the end of a training."""
    others = tuple(name for name in train.data.split.names if name != "train")
    return others or ("train",)
