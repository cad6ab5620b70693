"""All items of a file, in order of need: models, nets, data, trains, deployments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from compiler.data.base import DataSource
from compiler.elaborate.api import check_names, elaborate_models, elaborate_nets
from compiler.elaborate.items.dropped import find_dropped
from compiler.elaborate.items.file_names import check_item_names
from compiler.elaborate.items.net_lints import find_net_lints
from compiler.elaborate.items.subjects import Subjects
from compiler.elaborate.items.sweeps import Chosen, SweepAssembly
from compiler.elaborate.items.trained import TrainAssembly
from compiler.elaborate.items.unreached import find_unreached
from compiler.elaborate.items.variants import VariantAssembly
from compiler.elaborate.scopes.context import Body, FileScope
from compiler.elaborate.scopes.files import items_by_kind
from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.net import Net
from compiler.program.program import Program
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.names import circular_value
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Argument,
    Data,
    Item,
    Reference,
)
from compiler.text.tree.syntax import (
    Deploy as DeployItem,
)
from compiler.writing.files import file_key

if TYPE_CHECKING:
    from compiler.elaborate.items.data import DataElaborator


def elaborate_program(scope: FileScope, chosen: Chosen | None = None) -> Program:
    """The typed program of a file. What was refused is left out, with its diagnostics. `chosen` are
    the values of the best trials of sweeps."""
    return _Assembly(scope, chosen or {}).run()


@dataclass
class _Assembly:
    """One run: what has been elaborated so far."""

    scope: FileScope
    chosen: Chosen
    data: dict[int, DataSet | None] = field(default_factory=dict)
    attributes: dict[int, Mapping[str, int] | None] = field(default_factory=dict)
    reading: list[int] = field(default_factory=list)
    """Data items whose sources are being read, the outermost first."""

    def run(self) -> Program:
        """The program."""
        scope = self.scope
        scope.session.data_attributes = self.find_attributes
        assembly = TrainAssembly(scope, self.open_data, self.lacks_values)
        scope.session.trained = assembly.find_trained
        sweeps = SweepAssembly(scope, assembly, self.chosen)
        assembly.open_sweep, assembly.find_swept = sweeps.find_train, sweeps.find_item
        scope.session.trial_value = sweeps.read_value
        check_item_names(scope)
        models = elaborate_models(scope)
        nets = elaborate_nets(scope)
        for net in (*models.values(), *nets.values()):
            for message in find_net_lints(net.graph):
                scope.session.report(message)
        data = self.elaborate_data()
        assembly.elaborate()
        sweeps.elaborate_trains()
        variants = VariantAssembly(scope, assembly.made, nets, assembly.open_named)
        variants.elaborate()
        sweeps.elaborate_variants(variants)
        deploys = self.elaborate_deploys(assembly, nets, variants)
        made = assembly.finish()
        lints = find_unreached(made)
        for message in chain(lints, find_dropped(variants.made, deploys, made)):
            scope.session.report(message)
        scope.session.attempt(
            partial(check_names, scope)
        )  # last: what was refused before is not reported again
        return Program(
            scope.file.source,
            models,
            nets,
            data,
            made,
            variants.made,
            tuple(deploys),
            sweeps.made,
        )

    # --- data -------------------------------------------------------------------------------

    def elaborate_data(self) -> dict[str, DataSet]:
        """Every data item with its default parameters; one whose parameters have none appears
        only through the trains that give them."""
        found = {}
        for name, item in items_by_kind(self.scope, Data).items():
            if not self.lacks_values(item):
                data = self.open_plain(self.scope, item)
                if data is not None:
                    found[name] = data
        return found

    def lacks_values(self, item: Item) -> list[str]:
        """Names of the parameters that have neither a default nor an override."""
        overrides = self.scope.session.overrides
        return [
            p.name.text
            for p in item.parameters
            if p.default is None and (item.name.text, p.name.text) not in overrides
        ]

    def open_plain(self, scope: FileScope, item: Data) -> DataSet | None:
        """A data item without arguments; elaborated once."""
        if id(item) not in self.data:
            run = _load_data_elaborator()(scope, item).run
            self.data[id(item)] = scope.session.attempt(run)
        return self.data[id(item)]

    def open_data(
        self,
        scope: FileScope,
        item: Data,
        arguments: Sequence[Argument],
        caller: Body,
        reference: Reference,
    ) -> DataSet | None:
        """A data item as a train refers to it."""
        if not arguments and not self.lacks_values(item):
            return self.open_plain(scope, item)
        return _load_data_elaborator()(scope, item, arguments, caller, reference.span).run()

    def open_named(self, scope: FileScope, item: Data, reference: Reference) -> DataSet | None:
        """A data item as a deployment names it."""
        return self.open_plain(scope, item)

    def find_attributes(self, scope: FileScope, item: Data, span: Span) -> Mapping[str, int] | None:
        """What the source of a data item tells when compiling, as asked for at a span; None where
        it was refused."""
        if id(item) in self.reading:
            scope.session.report(circular_value(span, item.name.text))
            return None
        if id(item) not in self.attributes:
            self.reading.append(id(item))
            self.attributes[id(item)] = scope.session.attempt(
                lambda: _read_attributes(_load_data_elaborator()(scope, item))
            )
            self.reading.pop()
        return self.attributes[id(item)]

    # --- trains and deployments -------------------------------------------------------------

    def elaborate_deploys(
        self,
        assembly: TrainAssembly,
        nets: Mapping[str, Net],
        variants: VariantAssembly,
    ) -> list[Deploy]:
        """Every deployment, under the name of what it deploys; a second one gets a number. A
        train or a variant with arguments has a name of its own."""
        found: list[Deploy] = []
        subjects = Subjects(
            self.scope, assembly.made, nets, assembly.open_named, variants.open_named
        )
        deployed: set[str] = set()
        for item in self.scope.file.items:
            if not isinstance(item, DeployItem):
                continue
            # Only a file with deployments needs what they need.
            from compiler.elaborate.items.deploy import DeployElaborator

            run = DeployElaborator(self.scope, item, subjects, self.open_named, deployed)
            made = self.scope.session.attempt(run.run)
            if made is not None:
                taken = [deploy.name for deploy in found]
                taken += [name for name in variants.made if name != made.variant]
                found.append(replace(made, name=_choose_name(made.variant or made.name, taken)))
        return found


def _choose_name(wish: str, taken: Collection[str]) -> str:
    """The name, with the first number that makes it free."""
    name, count = wish, 2
    keys = set(map(file_key, taken))
    while file_key(name) in keys:
        name, count = f"{wish}_{count}", count + 1
    return name


def _load_data_elaborator() -> type[DataElaborator]:
    # Only a file with data needs what reads it.
    from compiler.elaborate.items.data import DataElaborator

    return DataElaborator


def _read_attributes(run: DataElaborator) -> Mapping[str, int] | None:
    """The facts of a data item's source; its faults are reported."""
    context = run.context
    if context is None or run.open_source(context) is None:
        return None
    source: DataSource | None = run.source
    assert source is not None
    try:
        return source.attributes(run.folder)
    except Fault as fault:
        run.body.report(fault.make(run.place))
        return None
