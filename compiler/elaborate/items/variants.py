"""All variants of a file: each with its default parameters, and those that deployments ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import partial

from compiler.compression.requirements import find_figures
from compiler.elaborate.items.subjects import Base, OpenTrain, find_base
from compiler.elaborate.scopes.context import FileScope
from compiler.elaborate.scopes.files import items_by_kind
from compiler.program.net import Net
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.records import dataclass
from compiler.report.messages.sweeps import which_trial
from compiler.report.messages.variants import contract_about_itself
from compiler.text.tree.syntax import Reference
from compiler.text.tree.syntax import Sweep as SweepItem
from compiler.text.tree.syntax import Variant as VariantItem


@dataclass
class VariantAssembly:
    """The variants that were made so far, by name."""

    scope: FileScope
    trains: Mapping[str, Train]
    nets: Mapping[str, Net]
    open_train: OpenTrain
    made: dict[str, Variant] = field(default_factory=dict)
    bases: dict[str, Base | None] = field(default_factory=dict)
    open_goals: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The goals of sweeps of variants that do not say which one decides."""

    def elaborate(self) -> None:
        """Every variant whose parameters have values."""
        items = items_by_kind(self.scope, VariantItem)
        attempt = self.scope.session.attempt
        for name, item in items.items():
            work = partial(find_base, self.scope, item.of, self.nets, self.open_train)
            self.bases[name] = attempt(work)
        for name, item in items.items():
            if not self.lacks_values(item):
                made = attempt(partial(self.make, item, name, None))
                if made is not None:
                    self.made[name] = made
        self.refuse_circles()

    def lacks_values(self, item: VariantItem) -> bool:
        """Whether a parameter has neither a default nor an override: then the variant appears
        only through the deployments that give it."""
        overrides = self.scope.session.overrides
        return any(
            p.default is None and (item.name.text, p.name.text) not in overrides
            for p in item.parameters
        )

    def make(self, item: VariantItem, name: str, reference: Reference | None) -> Variant | None:
        """A variant under a name, with the arguments of a reference."""
        # Only a file with variants needs the passes, and what they need.
        from compiler.elaborate.items.variant import VariantElaborator

        base = self.bases.get(item.name.text)
        others = self.find_owners(item.name.text)
        run = VariantElaborator(self.scope, item, base, others, self.open_train)
        arguments = reference.arguments or () if reference is not None else ()
        return run.run(name, arguments, None, reference.span if reference is not None else None)

    def find_owners(self, name: str) -> dict[str, Train | None]:
        """What figures may belong to, besides the variant of that name: the train of each. A net
        that no train made stands for itself before any pass."""
        owners: dict[str, Train | None] = dict(self.trains)
        own = self.bases.get(name)
        if own is not None and own.train is None:
            owners[own.net.name] = None
        for other, base in self.bases.items():
            if other != name and base is not None:
                owners[other] = base.train
        return owners

    def open_named(self, item: VariantItem | SweepItem, reference: Reference) -> Variant | None:
        """The variant that a deployment names; one with arguments is made for it."""
        name = item.name.text
        if isinstance(item, SweepItem):
            return self.open_sweep(name, reference)
        if not reference.arguments:
            if self.lacks_values(item) and name not in self.made:
                self.scope.session.attempt(partial(self.make, item, name, reference))
            return self.made.get(name)
        count = 2
        while f"{name}_{count}" in self.made:
            count += 1
        made = self.make(item, f"{name}_{count}", reference)
        if made is not None:
            self.made[made.name] = made
        return made

    def open_sweep(self, name: str, reference: Reference) -> Variant | None:
        """The best variant of a sweep, which a deployment names; None where the sweep was refused,
        or does not say which one is the best."""
        if name in self.open_goals:
            report = self.scope.session.report
            report(which_trial(reference.span, name, self.open_goals[name]))
            return None
        return self.made.get(name)

    def refuse_circles(self) -> None:
        """Reports contracts that are held against each other."""
        for name, variant in self.made.items():
            for around in self.find_circles(name, (name,)):
                span = variant.requires[0].span
                self.scope.session.report(contract_about_itself(span, name, around))
                return

    def find_circles(self, name: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The variants on each way from a variant's contract back to the first of the path."""
        variant = self.made.get(name)
        if variant is None:
            return
        bounds = [b for r in variant.requires for b in (r.left, r.right)]
        owners = dict.fromkeys(f.owner for b in bounds for f in find_figures(b) if f.owner)
        for owner in owners:
            if owner == path[0]:
                yield path[1:]
            elif owner not in path:
                yield from self.find_circles(owner, (*path, owner))
