"""Trains in order of need: `net teacher = fit` is the net that another train of the file made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from compiler.elaborate.items.subjects import Deployable
from compiler.elaborate.items.train import OpenData, TrainElaborator
from compiler.elaborate.scopes.context import FileScope
from compiler.elaborate.scopes.files import items_by_kind
from compiler.elaborate.values.values import POISON, ItemValue, NetValue, Record, Val
from compiler.program.net import AddAdapters, LoadWeights
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.report.messages.item_clauses import parameter_without_default
from compiler.report.messages.names import circular_value
from compiler.report.source import Span
from compiler.text.tree.syntax import Item
from compiler.text.tree.syntax import Train as TrainItem


@dataclass
class TrainAssembly:
    """The trains of a file that were elaborated so far, each with its default parameters."""

    scope: FileScope
    open_data: OpenData
    find_lacking: Callable[[Item], list[str]]
    known: dict[str, Deployable | None] = field(default_factory=dict)
    nets: dict[str, Val] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)

    def elaborate(self) -> dict[str, Deployable]:
        """Every train that was accepted, in the file's order."""
        self.scope.session.trained = self.find_trained
        names = items_by_kind(self.scope, TrainItem)
        found = {name: self.find(name, item) for name, item in names.items()}
        return {name: train for name, train in found.items() if train is not None}

    def find(self, name: str, item: TrainItem) -> Deployable | None:
        """A train, elaborated when it is first asked for; None where it was refused."""
        if name not in self.known:
            self.running.append(name)
            self.known[name] = self._elaborate(name, item)
            self.running.pop()
        return self.known[name]

    def find_trained(self, item: ItemValue, span: Span) -> Val | None:
        """What the name of a train means in another: the net that it made, or its nets by name;
        None for a train of another file."""
        entry = self.scope.entries.get(item.name)
        if not isinstance(entry, TrainItem) or entry.name.span != item.span:
            return None
        if item.name in self.running:
            self.scope.session.report(circular_value(span, item.name))
            return POISON
        work = self.scope.session.work
        made = self.find(item.name, entry)
        self.scope.session.work = work
        return POISON if made is None else self.nets[item.name]

    def _elaborate(self, name: str, item: TrainItem) -> Deployable | None:
        session = self.scope.session
        lacking = self.find_lacking(item)
        for parameter in item.parameters:
            if parameter.name.text in lacking:
                owner, span = f"the train `{name}`", parameter.name.span
                session.report(parameter_without_default(span, owner, parameter.name.text))
        if lacking:
            return None
        run = TrainElaborator(self.scope, item, self.open_data)
        train = session.attempt(run.run)
        if train is None:
            return None
        self.nets[name] = _stand_for(train, run.values)
        return Deployable(train)


def _stand_for(train: Train, values: Mapping[str, NetValue]) -> Val:
    """The trained nets of a train as nets of file level, whose weights are loaded; the net itself
    where there is one."""
    made = []
    for net in train.nets:
        value = values[net.prefix]
        load = LoadWeights("", span=train.span, train=train.name, source=net.prefix)
        adapters = tuple(step for step in value.loads if isinstance(step, AddAdapters))
        fresh = NetValue(net.name, value.layer, "", None, None, value.span, (*adapters, load))
        made.append((net.name, fresh))
    return made[0][1] if len(made) == 1 else Record(tuple(made))
