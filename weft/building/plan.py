"""What a build makes and in which order: which trains, which variants, which deployments."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from compiler.compression.requirements import find_all
from compiler.loading import find_learned
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import nothing_to_do


@dataclass(frozen=True)
class Plan:
    """Trains to run, each after those that it starts from, then variants, each after those that
    its contract speaks of, then files to make."""

    trains: tuple[Train, ...]
    variants: tuple[Variant, ...]
    deploys: tuple[Deploy, ...]
    left_out: tuple[Train, ...] = ()
    """Trains that nothing of this needs, of an item that no other one is of."""


def plan_build(program: Program) -> Plan:
    """The plan of a program: its deployments and variants, the trains they need, and those that
    only evaluate, because their figures are all they are for; every train where there are neither
    deployments nor variants.

    Raises:
        CompileError: the file has nothing to build.
    """
    if not program.deploys and not program.trains and not program.variants:
        raise CompileError([nothing_to_do(None, "build", "`deploy`, `variant` or `train`")])
    variants = tuple(order_variants(program))
    needed = {deploy.train for deploy in program.deploys}
    needed |= {variant.train for variant in variants}
    nets = [deploy.net for deploy in program.deploys] + [variant.source for variant in variants]
    needed |= {train for net in nets if net is not None for train in find_learned(net)}
    needed |= {
        figure.owner
        for variant in variants
        for requirement in variant.requires
        for figure in find_all(requirement)
    }
    all_of_them = not program.deploys and not variants
    made = [name for name in program.trains if not is_open(program, name)]
    needed |= {name for name in made if not program.trains[name].steps}
    trains = order_trains(program, made if all_of_them else needed)
    items = {train.span for train in trains}
    left = [program.trains[name] for name in made if program.trains[name].span not in items]
    return Plan(trains, variants, program.deploys, tuple(left))


def is_open(program: Program, name: str) -> bool:
    """Whether something is a trial of a sweep that has not said which one is the best."""
    sweep = program.sweeps.get(name)
    return sweep is not None and not sweep.settled


def order_variants(program: Program) -> list[Variant]:
    """The variants, each after those that its contract is held against. One that is deployed with
    arguments, and not without, is not made with its defaults unless a contract speaks of it."""
    ordered: dict[str, Variant] = {}

    def place(variant: Variant) -> None:
        if variant.name in ordered:
            return
        for requirement in variant.requires:
            for figure in find_all(requirement):
                other = program.variants.get(figure.owner or "")
                if other is not None:
                    place(other)
        ordered[variant.name] = variant

    deployed = {deploy.variant for deploy in program.deploys}
    items = {v.span for v in program.variants.values() if v.name in deployed}
    for variant in program.variants.values():
        if is_open(program, variant.name):
            continue
        if variant.name in deployed or variant.span not in items:
            place(variant)
    return list(ordered.values())


def order_trains(program: Program, names: Collection[str | None]) -> tuple[Train, ...]:
    """Trains by name, in the file's order, each after those whose nets it has (`net teacher =
    fit`), which are added. Names of no train are passed over."""
    ordered: dict[str, Train] = {}

    def add(name: str) -> None:
        if name in ordered:
            return
        train = program.trains[name]
        for net in train.nets:
            for other in find_learned(net.net):
                add(other)
        ordered[name] = train

    for name in program.trains:
        if name in names:
            add(name)
    return tuple(ordered.values())
