"""Schedules whose factor is no learning rate at some step of a training."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.program.train import Train
from compiler.report.diagnostics import Message
from compiler.report.messages.training import schedule_below_zero
from compiler.report.source import Span


def find_rate_faults(
    train: Train,
    rows: int | None = None,
    *,
    epochs: int | None = None,
    trainer: tuple[str, Span | None] | None = None,
) -> Iterator[Message]:
    """What a training would end with after it has taken its time.

    Args:
        train: the train.
        rows: its training rows, where the data was read.
        epochs: how many, where they are not the train's own.
        trainer: the pass that trains on for so many, and where it stands.
    """
    count = epochs or train.epochs
    steps = train.count_steps(rows)
    for group in train.groups:
        schedule = group.optimizer.schedule
        fault = schedule.find_fault(count, steps)
        if fault is None:
            continue
        name, place = trainer or ("", group.span)
        yield schedule_below_zero(
            place or group.span,
            fault.factor,
            fault.place,
            f"the {count} epochs of `{name or train.name}`",
            group.span if name else None,
        )
