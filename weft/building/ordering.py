"""The order in which trains run: each after those whose nets it starts from."""

from __future__ import annotations

from collections.abc import Collection

from compiler.program.program import Program
from compiler.program.train import Train


def order_trains(program: Program, names: Collection[str | None]) -> tuple[Train, ...]:
    """Trains by name, in the file's order, each after those that it starts from (`net teacher =
    fit`), which are added. Names of no train are passed over."""
    ordered: dict[str, Train] = {}

    def add(name: str) -> None:
        if name in ordered:
            return
        train = program.trains[name]
        for net in train.nets:
            for load in net.net.loads:
                if load.train is not None:
                    add(load.train)
        ordered[name] = train

    for name in program.trains:
        if name in names:
            add(name)
    return tuple(ordered.values())
