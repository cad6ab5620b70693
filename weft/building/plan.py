"""What a build makes and in which order: which trains, which deployments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.diagnostics import CompileError
from compiler.ir.graph import Graph
from compiler.messages.files import NothingToDo
from compiler.program import Deploy, Program, Train


@dataclass(frozen=True)
class Plan:
    """Trains to run, in the file's order, then files to make."""

    trains: tuple[Train, ...]
    deploys: tuple[Deploy, ...]


def plan_build(program: Program) -> Plan:
    """The plan of a program: its deployments and the trains they need; every train where the
    file deploys nothing.

    Raises:
        CompileError: the file has neither.
    """
    if not program.deploys and not program.trains:
        raise CompileError([NothingToDo(None, "build", "`deploy` and no `train`")])
    needed = {deploy.train for deploy in program.deploys}
    trains = tuple(
        train for name, train in program.trains.items() if not program.deploys or name in needed
    )
    return Plan(trains, program.deploys)


def describe_dims(graph: Graph, fixed: Mapping[str, int]) -> str:
    """Types of the inputs as text, with the sizes that the deployment fixes."""
    parts = (f"{i.name}: {i.value.type.substitute(fixed)}" for i in graph.inputs)
    return ", ".join(parts)
