"""All sweeps of a file: each is a train, or a variant, with values that nobody has written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from functools import partial
from typing import Protocol, TypeVar

from compiler.elaborate.api import match_arguments
from compiler.elaborate.items.references import report_missing, resolve
from compiler.elaborate.items.sweep import Judged, SweepElaborator
from compiler.elaborate.items.sweep_values import describe_values, write_expression
from compiler.elaborate.items.trained import TrainAssembly
from compiler.elaborate.items.variants import VariantAssembly
from compiler.elaborate.scopes.context import Body, FileScope, Session
from compiler.elaborate.scopes.files import items_by_kind
from compiler.elaborate.values.parts import strip_hints
from compiler.elaborate.values.values import POISON, ArgumentValue, ItemValue, Val
from compiler.program.identity import identify
from compiler.program.sweep import Sweep
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.records import dataclass
from compiler.report.diagnostics import Message, Severity
from compiler.report.messages.names import circular_value
from compiler.report.messages.sweeps import trial_refused, which_trial
from compiler.report.source import Span
from compiler.sweeping.base import Label, Value
from compiler.text.tree.syntax import Expr, Item
from compiler.text.tree.syntax import Sweep as SweepItem
from compiler.text.tree.syntax import Train as TrainItem
from compiler.text.tree.syntax import Variant as VariantItem

T = TypeVar("T")
M = TypeVar("M", Train, Variant)  # what a trial makes
Chosen = Mapping[str, Mapping[str, Label]]
"""The values that sweeps stand for, by sweep and parameter: those of their best trials."""


@dataclass(frozen=True)
class Root:
    """The train or variant item whose parameters are searched, and the values that those around
    the sweep have given to some of them."""

    item: TrainItem | VariantItem
    given: Mapping[str, Expr]


@dataclass
class SweepAssembly:
    """The sweeps that were made so far, by name. Each stands among the `trains`, or the variants,
    under its own name."""

    scope: FileScope
    trains: TrainAssembly
    chosen: Chosen
    made: dict[str, Sweep] = field(default_factory=dict)
    roots: dict[str, Root | None] = field(default_factory=dict)
    finding: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    taking: list[str] = field(default_factory=list)

    def elaborate_trains(self) -> None:
        """Every sweep of a train."""
        for name, item in items_by_kind(self.scope, SweepItem).items():
            root = self.find_root(name, item)
            if root is not None and isinstance(root.item, TrainItem):
                self.take_train(name)

    def elaborate_variants(self, variants: VariantAssembly) -> None:
        """Every sweep of a variant, once there are variants."""
        for name, item in items_by_kind(self.scope, SweepItem).items():
            root = self.find_root(name, item)
            if root is not None and isinstance(root.item, VariantItem):
                self.take_variant(name, item, variants)

    # --- what a sweep is of -------------------------------------------------------------------

    def find_root(self, name: str, item: SweepItem) -> Root | None:
        """The train or variant at the end of `of`; None where there is none, which is reported."""
        if name in self.finding:
            self.scope.session.report(circular_value(item.of.span, name))
            return None
        if name not in self.roots:
            self.finding.append(name)
            self.roots[name] = self._find_root(item)
            self.finding.pop()
        return self.roots[name]

    def _find_root(self, item: SweepItem) -> Root | None:
        scope, reference = self.scope, item.of
        entry = scope.entries.get(reference.path[0].text)
        if len(reference.path) > 1 or not isinstance(entry, TrainItem | VariantItem | SweepItem):
            kinds = (TrainItem, VariantItem, SweepItem)
            known = tuple(n for kind in kinds for n in items_by_kind(scope, kind))
            found = resolve(scope, reference) if len(reference.path) == 1 else None
            report_missing(scope, reference, found, "train, variant or sweep", known)
            return None
        if isinstance(entry, SweepItem):
            inner = self.find_root(entry.name.text, entry)
            given = self._take_arguments(item, inner.item) if inner is not None else None
            if inner is None or given is None:
                return None
            return Root(inner.item, {**inner.given, **given})
        given = self._take_arguments(item, entry)
        return Root(entry, given) if given is not None else None

    def _take_arguments(self, item: SweepItem, root: Item) -> dict[str, Expr] | None:
        """The arguments of `of fit(width=8)` by parameter."""
        scope, arguments = self.scope, item.of.arguments or ()
        if arguments and match_arguments(scope, root, arguments, item.of.span) is None:
            return None
        names = [parameter.name.text for parameter in root.parameters]
        pairs = (
            (argument.name.text if argument.name is not None else names[index], argument.value)
            for index, argument in enumerate(arguments)
        )
        return dict(pairs)

    # --- sweeps of trains ---------------------------------------------------------------------

    def take_train(self, name: str) -> None:
        """Makes a sweep of a train, once, behind those that it is of."""
        item, root = self.scope.entries[name], self.roots[name]
        assert isinstance(item, SweepItem)
        if name in self.taken or root is None:
            return
        self.taken.add(name)
        self.taking.append(name)
        self._take_train(name, item, root)
        self.taking.pop()

    def _take_train(self, name: str, item: SweepItem, root: Root) -> None:
        around = self.scope.entries[item.of.path[0].text]
        base: Train | None = None
        if isinstance(around, SweepItem):
            self.find_root(around.name.text, around)
            self.take_train(around.name.text)
            base = self.trains.made.get(around.name.text)
        elif isinstance(around, TrainItem):
            base = self.trains.find(around.name.text, around, {}, item.of.span)
        sweep = self._read(item, root, Judged(base, variant=False, known=base is not None))
        if sweep is None or base is None:
            return
        assert isinstance(root.item, TrainItem)
        make = partial(self.trains.make_named, root.item, name)
        settled = self._settle(sweep, root, make)
        if settled is not None:
            self.made[name], self.trains.made[name] = settled

    def find_train(
        self, item: SweepItem, span: Span, given: Mapping[str, ArgumentValue]
    ) -> Train | None:
        """The train that a sweep stands for, where something names it, or the same with other
        values for parameters; None where it is none, or it is not known which one, which is
        reported."""
        name, report = item.name.text, self.scope.session.report
        root = self.find_root(name, item)
        if root is None or not isinstance(root.item, TrainItem):
            return None
        if name in self.taking:
            report(circular_value(span, name))
            return None
        work = self.scope.session.work
        self.take_train(name)
        self.scope.session.work = work
        sweep = self.made.get(name)
        if sweep is None:
            return None
        if sweep.deciding is None:
            report(which_trial(span, name, tuple(goal.name for goal in sweep.goals)))
            return None
        if not given:
            return self.trains.made[name]
        values = {**root.given, **write_expressions(sweep.item, sweep.values)}
        with overriding(self.scope.session, sweep.item, values):
            return self.trains.find_trial(name, root.item, given)

    def find_item(self, item: SweepItem) -> Item | None:
        """The train or variant item whose parameters a sweep searches."""
        root = self.find_root(item.name.text, item)
        return root.item if root is not None else None

    def read_value(self, body: Body, item: ItemValue, name: str, span: Span) -> Val | None:
        """The value of a parameter in the best trial (`tune.lr`); None where a sweep of a train
        does not search it."""
        entry = self.scope.entries.get(item.name)
        if not isinstance(entry, SweepItem) or entry.name.span is not item.span:
            return None
        root = self.find_root(item.name, entry)
        if root is None or not isinstance(root.item, TrainItem):
            return None
        if self.find_train(entry, span, {}) is None:
            return POISON
        sweep = self.made[item.name]
        found = write_expressions(sweep.item, sweep.values).get(name)
        return strip_hints(body.evaluate(found)) if found is not None else None

    # --- sweeps of variants -------------------------------------------------------------------

    def take_variant(self, name: str, item: SweepItem, variants: VariantAssembly) -> None:
        """Makes a sweep of a variant, once, behind those that it is of."""
        root, of = self.roots[name], item.of.path[0].text
        if name in self.made or root is None:
            return
        around = self.scope.entries[of]
        if isinstance(around, SweepItem):
            self.find_root(of, around)
            self.take_variant(of, around, variants)
        assert isinstance(root.item, VariantItem)
        base = variants.bases.get(root.item.name.text)
        train = base.train if base is not None else None
        sweep = self._read(item, root, Judged(train, True, base is not None))
        if sweep is None or base is None:
            return
        make = partial(variants.make, root.item, name, None)
        settled = self._settle(sweep, root, make)
        if settled is not None:
            sweep, variants.made[name] = settled
            self.made[name], variants.bases[name] = sweep, base
            if sweep.deciding is None:
                variants.open_goals[name] = tuple(goal.name for goal in sweep.goals)

    # --- both ---------------------------------------------------------------------------------

    def _read(self, item: SweepItem, root: Root, judged: Judged) -> Sweep | None:
        """The sweep as it is written."""
        given = {name: value.span for name, value in root.given.items()}
        run = SweepElaborator(self.scope, item, root.item, judged, given)
        return self.scope.session.attempt(run.run)

    def _settle(
        self, sweep: Sweep, root: Root, make: Callable[[], M | None]
    ) -> tuple[Sweep, M] | None:
        """The sweep with the values that it stands for, and the train or variant with these; None
        where it refuses a value of a space, which is reported."""
        session = self.scope.session
        around = self.made.get(sweep.of)
        before = dict(root.given)
        if around is not None:
            before = {**write_expressions(sweep.item, around.values), **before}
        seen = hashlib.sha256()
        if not self._try_values(sweep, before, make, seen):
            return None
        first = {s.parameter: s.space.ends[0] for s in sweep.searched[::-1]}
        values, settled = dict(reversed(first.items())), False
        found = recall_values(sweep, self.chosen.get(sweep.name))
        if found is not None and (around is None or around.settled):
            values, settled = found, True
        given = {**before, **write_expressions(sweep.item, values)}
        fault, _ = _probe(session, sweep.item, given, make)
        if fault is not None:
            place = sweep.searched[0].span
            session.report(_refuse(place, sweep.item, [describe_values(values)], fault))
            return None
        with overriding(session, sweep.item, given):
            made = make()
        if made is None:
            return None
        known = {**around.values, **values} if around is not None else values
        digest = seen.hexdigest()
        return replace(sweep, values=known, settled=settled, digest=digest), made

    def _try_values(
        self,
        sweep: Sweep,
        before: Mapping[str, Expr],
        make: Callable[[], object],
        seen: Hash,
    ) -> bool:
        """Whether the item takes the ends of every space, the other parameters at their defaults;
        what it refuses is reported, what it is goes into `seen`."""
        session, accepted = self.scope.session, True
        for searched in sweep.searched:
            refused: list[tuple[str, Message]] = []
            for value in searched.space.ends:
                values = {searched.parameter: value}
                given = {**before, **write_expressions(sweep.item, values)}
                fault, found = _probe(session, sweep.item, given, make)
                if fault is None:
                    seen.update(identify(found).encode("utf-8", "surrogatepass"))
                else:
                    refused.append((describe_values(values), fault))
            if refused:
                accepted = False
                texts = [text for text, _ in refused]
                session.report(_refuse(searched.span, sweep.item, texts, refused[0][1]))
        return accepted


def recall_values(sweep: Sweep, labels: Mapping[str, Label] | None) -> dict[str, Value] | None:
    """The values of a trial from their labels; None where the sweep would not draw these."""
    if labels is None:
        return None
    values: dict[str, Value] = {}
    for searched in sweep.searched:
        if not searched.condition.holds(values):
            continue
        found = labels.get(searched.parameter)
        value = searched.space.recall(found) if found is not None else None
        if value is None:
            return None
        values[searched.parameter] = value
    return values if values.keys() == labels.keys() else None


def write_expressions(item: str, values: Mapping[str, Value]) -> dict[str, Expr]:
    """Values as expressions, by parameter."""
    return {name: write_expression(f"{item}.{name}", value) for name, value in values.items()}


@contextmanager
def overriding(session: Session, item: str, values: Mapping[str, Expr]) -> Iterator[None]:
    """Puts values in the place of an item's defaults."""
    before = session.overrides
    session.overrides = {**before, **{(item, name): value for name, value in values.items()}}
    try:
        yield
    finally:
        session.overrides = before


class Hash(Protocol):
    """What takes bytes in, one after the other."""

    def update(self, data: bytes, /) -> None:
        """Takes in more."""


def _probe(
    session: Session, item: str, values: Mapping[str, Expr], make: Callable[[], T]
) -> tuple[Message | None, T | None]:
    """The first error of an item with these values, and what it makes where there is none; its
    diagnostics are kept from the user."""
    with overriding(session, item, values), session.probing() as sink:
        made = session.attempt(make)
    return next((m for m in sink.messages if m.severity is Severity.ERROR), None), made


def _refuse(span: Span | None, item: str, values: Sequence[str], fault: Message) -> Message:
    said = fault.text.title + (f" ({fault.text.label})" if fault.text.label else "")
    return trial_refused(span, item, tuple(values), fault.code, said)
