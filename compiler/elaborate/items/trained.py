"""Trains in order of need. A train stands for the net that it made, in other trains and in models;
one that is named with arguments is a train of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.elaborate.api import match_arguments, match_values
from compiler.elaborate.bodies.code_clauses import BLOCK_CLAUSES
from compiler.elaborate.calls.binding import Actual
from compiler.elaborate.items.instances import find_key, is_open, name_instance, write_arguments
from compiler.elaborate.items.train_data import OpenData
from compiler.elaborate.scopes.context import Body, FileScope, Session
from compiler.elaborate.scopes.files import items_by_kind
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import strip_hints
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    ItemValue,
    NetValue,
    Record,
    Val,
)
from compiler.program.identity import identify
from compiler.program.net import AddAdapters, LoadWeights
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.report.messages.item_clauses import (
    argument_not_settled,
    endless_trains,
    parameter_without_default,
)
from compiler.report.messages.names import circular_value
from compiler.report.source import Span
from compiler.text.tree.syntax import Expr, Item, Reference
from compiler.text.tree.syntax import Sweep as SweepItem
from compiler.text.tree.syntax import Train as TrainItem
from compiler.writing.files import file_key
from compiler.writing.names import free_name, spell_name

if TYPE_CHECKING:
    from compiler.elaborate.items.train import TrainElaborator

LONGEST_CHAIN = 100
"""Trains that may start from one another."""

Given = Mapping[str, ArgumentValue]


@dataclass
class TrainAssembly:
    """The trains of a file that were elaborated so far: `made` by name, one with other parameters
    than its defaults too, which has a name of its own. `known` are those of an item by what was
    given, None where one was refused; `nets` what each stands for."""

    scope: FileScope
    open_data: OpenData
    find_lacking: Callable[[Item], list[str]]
    made: dict[str, Train] = field(default_factory=dict)
    known: dict[tuple[str, object], Train | None] = field(default_factory=dict)
    nets: dict[str, Val] = field(default_factory=dict)
    running: list[tuple[str, object]] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """Items that were named with arguments."""
    open_sweep: Callable[[SweepItem, Span, Given], Train | None] = lambda item, place, given: None
    """The best train of a sweep, as it is named at a place, with other values for parameters."""
    find_swept: Callable[[SweepItem], Item | None] = lambda item: None
    """The item whose parameters a sweep searches."""
    swept: set[str] = field(default_factory=set)
    """The names of trains that sweeps stand for."""
    home: TrainAssembly | None = None
    """That of the spec, where these are the trains of a file which it uses."""
    others: list[TrainAssembly] = field(default_factory=list)
    """Those of files that the spec uses."""
    names: dict[str, str] = field(default_factory=dict)
    """What the trains of the file are called without arguments, by the names of their items."""

    def elaborate(self) -> None:
        """Every train whose parameters have values."""
        for name, item in items_by_kind(self.scope, TrainItem).items():
            if not self.find_lacking(item):
                self.find(name, item, {})

    def finish(self) -> dict[str, Train]:
        """Every train that was accepted: in the file's order, those with arguments behind the one
        of the same item without. One whose parameters nobody gives a value is reported."""
        items = items_by_kind(self.scope, TrainItem)
        for name, item in items.items():
            if name not in self.asked:
                self.report_lacking(name, item)
        order = {id(item.name.span): place for place, item in enumerate(items.values())}
        trains = sorted(self.made.values(), key=lambda train: order[id(train.span)])
        used = (train for other in self.others for train in other.made.values())
        return {train.name: train for train in (*used, *trains)}

    # --- other files ------------------------------------------------------------------------

    def find_owner(self, item: Item | Span) -> TrainAssembly | None:
        """The trains of the file with an item, or with the name of one."""
        main = self.home or self
        for scope in self.scope.session.files.values():
            for entry in scope.entries.values():
                if isinstance(entry, Item) and (entry is item or entry.name.span is item):
                    return main.open_file(scope)
        return None

    def open_file(self, scope: FileScope) -> TrainAssembly:
        """The trains of a file that the spec uses."""
        for known in (self, *self.others):
            if known.scope is scope:
                return known
        made = TrainAssembly(scope, self.open_data, self.find_lacking, home=self)
        self.others.append(made)
        return made

    def list_taken(self) -> list[str]:
        """The names that trains, and other items of the spec, have."""
        main = self.home or self
        used = (name for other in main.others for name in other.made)
        return [*main.scope.entries, *main.made, *used]

    def name_plain(self, name: str) -> str:
        """What a train without arguments is called: one of another file by its own name too, and
        behind that of its file where the spec has something of that name."""
        if name not in self.names:
            taken = self.list_taken() if self.home is not None else []
            self.names[name] = name
            if file_key(name) in map(file_key, taken):
                stem = spell_name(Path(self.scope.file.source.path).stem)
                self.names[name] = free_name(f"{stem}_{name}", taken, "_")
        return self.names[name]

    # --- where trains are named -------------------------------------------------------------

    def find_trained(
        self, body: Body, item: ItemValue, span: Span, actuals: Sequence[Actual]
    ) -> Val | None:
        """What the name of a train means in a body: the net that it made, or its nets by name;
        None for a train of another file."""
        owner = self.find_owner(item.span)
        entry = owner.scope.entries.get(item.name) if owner is not None else None
        if owner is None or not isinstance(entry, TrainItem | SweepItem):
            return None
        if owner is not self:
            return owner.find_used(body, entry, span, actuals)
        if isinstance(entry, SweepItem):
            changed = self.match_swept(body, entry, actuals, span)
            best = self.open_sweep(entry, span, changed) if changed is not None else None
            return POISON if best is None else self.nets[best.name]
        given: Given | None = {}
        if actuals:
            self.asked.add(item.name)
            given = self.settle(body, entry, match_values(body, self.scope, entry, actuals, span))
        elif self.report_lacking(item.name, entry):
            return POISON
        made = self.find(item.name, entry, given, span) if given is not None else None
        return POISON if made is None else self.nets[made.name]

    def find_used(
        self, body: Body, entry: TrainItem | SweepItem, span: Span, actuals: Sequence[Actual]
    ) -> Val | None:
        """What the name of a train means in another file than its own."""
        if isinstance(entry, SweepItem):
            return None
        with overriding(self.scope.session, {}):  # `--set` is about items of the spec
            item = ItemValue("train", entry.name.text, entry.name.span)
            return self.find_trained(body, item, span, actuals)

    def open_named(
        self, item: TrainItem | SweepItem, reference: Reference, caller: Body | None = None
    ) -> Train | None:
        """The train that another item names (`deploy fit(lr=1e-3)`); None where it was refused."""
        owner = self.find_owner(item)
        if owner is not None and owner is not self:
            outside = caller or Body(self.scope.session, self.scope, None, None, BLOCK_CLAUSES)
            with overriding(self.scope.session, {}):  # `--set` is about items of the spec
                return owner.open_named(item, reference, outside)
        if isinstance(item, SweepItem):
            return self.open_best(item, reference, caller)
        name = item.name.text
        if not reference.arguments:
            self.report_lacking(name, item)
            return self.find(name, item, {}, reference.span)
        self.asked.add(name)
        outside = caller or Body(self.scope.session, self.scope, None, None, BLOCK_CLAUSES)
        matched = match_arguments(self.scope, item, reference.arguments, reference.span, outside)
        given = self.settle(outside, item, matched)
        return self.find(name, item, given, reference.span) if given is not None else None

    def open_best(self, item: SweepItem, reference: Reference, caller: Body | None) -> Train | None:
        """The best train of a sweep that another item names (`deploy tune(width=8)`)."""
        outside = caller or Body(self.scope.session, self.scope, None, None, BLOCK_CLAUSES)
        actuals = [
            Actual(a.name, outside.evaluate(a.value), a.value.span)
            for a in reference.arguments or ()
        ]
        given = self.match_swept(outside, item, actuals, reference.span)
        return self.open_sweep(item, reference.span, given) if given is not None else None

    def match_swept(
        self, body: Body, item: SweepItem, actuals: Sequence[Actual], span: Span
    ) -> Given | None:
        """The arguments of a call of a sweep: parameters of the train that it is of; None where one
        was refused, which is reported."""
        if not actuals:
            return {}
        root = self.find_swept(item)
        if not isinstance(root, TrainItem):
            return None
        names = [p.name for p in root.parameters]  # the trial has a value for each
        held = {(root.name.text, name.text): name for name in names}
        with overriding(self.scope.session, {**self.scope.session.overrides, **held}):
            matched = match_values(body, self.scope, root, actuals, span)
        return self.settle(body, root, matched) if matched is not None else None

    def find_trial(self, name: str, item: TrainItem, given: Given) -> Train | None:
        """The best trial of a sweep with other values for parameters; the rest of its values are
        the defaults now."""
        key = (name, find_key(given))
        if key[1] is None or key not in self.known:
            session = self.scope.session
            self.known[key] = session.attempt(lambda: self.run(item, given, name))
        return self.known[key]

    def settle(self, body: Body, item: TrainItem, given: Given | None) -> Given | None:
        """The arguments of a train, all of them known when compiling; None where one was refused,
        which is reported."""
        open_ones = {n: g for n, g in (given or {}).items() if is_open(g.value)}
        for name, argument in open_ones.items():
            body.report(
                argument_not_settled(argument.span, item.name.text, name, describe(argument.value))
            )
        return None if open_ones else given

    def report_lacking(self, name: str, item: TrainItem) -> bool:
        """Reports the parameters that have no value where nothing is given; whether there are
        some."""
        lacking = self.find_lacking(item)
        for parameter in item.parameters:
            if parameter.name.text in lacking:
                owner, span = f"the train `{name}`", parameter.name.span
                self.scope.session.report(
                    parameter_without_default(span, owner, parameter.name.text)
                )
        return bool(lacking)

    # --- elaboration ------------------------------------------------------------------------

    def find(
        self, name: str, item: TrainItem, given: Given, span: Span | None = None
    ) -> Train | None:
        """A train, elaborated when it is first asked for; None where it was refused."""
        key = (name, find_key(given) if given else ())
        if key in self.running:
            self.scope.session.report(circular_value(span, name))
            return None
        if key in self.known:
            return self.known[key]
        if len(self.running) >= LONGEST_CHAIN:
            self.scope.session.report(endless_trains(item.name.span, name, LONGEST_CHAIN))
            return None
        if given and (name, ()) not in self.running and not self.find_lacking(item):
            self.find(name, item, {})  # first, so that its name is the one of what is the same
        session = self.scope.session
        work = session.work
        self.running.append(key)
        made = session.attempt(lambda: self.run(item, given))
        self.running.pop()
        session.work = work
        if key[1] is not None:
            self.known[key] = made
        return made

    def run(self, item: TrainItem, given: Given, base: str = "") -> Train | None:
        """A train with the values of its parameters. Where it is another one of the same item, as
        with the value of the default, that one. `base` is what its name begins with, if that is
        not the item's."""
        plain = {n: replace(g, value=strip_hints(g.value)) for n, g in given.items()}
        run = self.elaborate_one(item, plain)
        train = run.run()
        if train is None:
            return None
        same = self.find_same(train) if given else None
        if same is not None:
            return same
        train = replace(train, name=base or self.name_plain(train.name))
        if given:
            text = write_arguments(given)
            name = name_instance(train.name, given, self.list_taken())
            train = replace(train, name=name, arguments=text)
        self.made[train.name] = train
        self.nets[train.name] = _stand_for(train, run.values)
        return train

    def elaborate_one(self, item: TrainItem, given: Given) -> TrainElaborator:
        """The elaboration of a train, still to be run."""
        # Only a file with trains needs what they need.
        from compiler.elaborate.items.train import TrainElaborator

        return TrainElaborator(self.scope, item, self.open_data, given)

    def make_named(self, item: TrainItem, name: str) -> Train | None:
        """A train under another name, with the values that the parameters of its item have now."""
        run = self.elaborate_one(item, {})
        train = run.run()
        if train is None:
            return None
        train = replace(train, name=name)
        self.nets[name] = _stand_for(train, run.values)
        self.swept.add(name)
        return train

    def find_same(self, train: Train) -> Train | None:
        """The train of the same item that is trained in the same way."""
        text = identify(train)
        others = (
            other
            for other in self.made.values()
            if other.span is train.span and other.name not in self.swept
        )
        plain = ((other, replace(other, name=train.name, arguments="")) for other in others)
        return next((other for other, same in plain if identify(same) == text), None)


@contextmanager
def overriding(session: Session, values: Mapping[tuple[str, str], Expr]) -> Iterator[None]:
    """Puts values in the place of the defaults of items, and of what was in their place."""
    before = session.overrides
    session.overrides = values
    try:
        yield
    finally:
        session.overrides = before


def _stand_for(train: Train, values: Mapping[str, NetValue]) -> Val:
    """The trained nets of a train as nets of file level, whose weights are loaded; the net itself
    where there is one."""
    made = []
    for net in train.nets:
        value = values[net.prefix]
        load = LoadWeights("", span=train.span, train=train.name, source=net.prefix)
        adapters = tuple(step for step in value.loads if isinstance(step, AddAdapters))
        layer = value.layer
        if isinstance(layer, BlockLayer):
            layer = _settle(layer)
        name = net.name if net.prefix else train.name
        fresh = NetValue(
            name, layer, "", None, None, value.span, (*adapters, load), called=net.name
        )
        made.append((net.name, fresh))
    return made[0][1] if len(made) == 1 else Record(tuple(made))


def _settle(layer: BlockLayer) -> BlockLayer:
    """A layer with its arguments as numbers: what they were called in the train is a name there
    alone."""
    given = {n: replace(g, value=strip_hints(g.value)) for n, g in layer.given.items()}
    return replace(layer, given=given, frame=None)
