"""Trackers of experiments in a training script: TensorBoard and others, where the spec asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from backends.pytorch.train.code import Statement, Suite, suite
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.training.loggers import LOGGERS, Logger
from compiler.writing.python import write_string


def emit_name(script: ScriptSpec) -> Iterator[str]:
    """The constant with the name that trackers know the training by."""
    if any("NAME" in line for logger in _list(script) for line in logger.begin):
        yield f"NAME = {write_string(script.train.name)}  # of the project or experiment"


def begin_tracking(script: ScriptSpec) -> list[Statement]:
    """Statements before the first epoch."""
    return _guard(script, _collect(script, lambda logger: logger.begin))


def track_epoch(script: ScriptSpec) -> list[Statement]:
    """Statements behind an epoch, in the first process."""
    return _collect(script, lambda logger: logger.note)


def end_tracking(script: ScriptSpec) -> list[Statement]:
    """Statements behind the last epoch."""
    return _guard(script, _collect(script, lambda logger: logger.end))


def _list(script: ScriptSpec) -> list[Logger]:
    return [LOGGERS[name] for name in script.train.loggers]


def _collect(script: ScriptSpec, choose: Callable[[Logger], Sequence[str]]) -> list[Statement]:
    return [part for logger in _list(script) for part in _nest(choose(logger))]


def _guard(script: ScriptSpec, statements: list[Statement]) -> list[Statement]:
    """Statements that only the first of several processes runs."""
    if script.distributed and statements:
        return [suite("if RANK == 0:", statements)]
    return statements


def _nest(lines: Sequence[str]) -> Iterator[Statement]:
    """Lines as statements: indented ones belong to the one before."""
    head, body = "", list[Statement]()
    for line in lines:
        if line.startswith("    "):
            body.append(line.strip())
            continue
        if head:
            yield Suite(head, tuple(body)) if body else head
        head, body = line, []
    yield Suite(head, tuple(body)) if body else head
