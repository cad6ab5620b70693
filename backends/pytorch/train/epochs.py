"""The epochs of a training script: each is trained, evaluated, noted and saved."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.averaging import average_epochs
from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.epoch import unpack_parts
from backends.pytorch.train.models import emit_replica
from backends.pytorch.train.optimizing import list_optimizers
from backends.pytorch.train.rates import (
    call_evaluate,
    emit_plateau_steps,
    group_of,
    name_rates,
)
from backends.pytorch.train.sampling import call_samples
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.tracking import begin_tracking, end_tracking, track_epoch
from compiler.writing.python import write_formatted, write_string


def write_train(script: ScriptSpec) -> Function:
    """`train`, which trains on after the epochs of the history and adds to it."""
    names = script.parts if script.watched else ("model", *list_optimizers(script))
    unfinished = f"len(history) < {'epochs' if script.extends else 'EPOCHS'}"
    if script.train.until is not None:
        unfinished += " and len(history) - find_best(history) < PATIENCE"
    return Function(
        "train",
        (
            "parts: Parts",
            "splits: Splits",
            "history: History",
            *when(script.train.checkpoint, "begun: dict[str, Any]"),
            "out: Path",
            *when(script.extends, "epochs: int"),
        ),
        "None",
        (
            unpack_parts(script, *names),
            *emit_replica(script),
            *begin_tracking(script),
            suite(f"while {unfinished}:", list(_write_epoch(script))),
            *end_tracking(script),
        ),
        ("Trains on after the epochs of the history and adds to it.",),
    )


def _write_epoch(script: ScriptSpec) -> Iterator[Statement]:
    replica = ", replica" if script.replicated else ""
    yield "epoch, started = len(history) + 1, time.perf_counter()"
    trained = "trained" if script.alternates else "loss"
    kept = ", begun, partial(save, out, parts, history)" if script.train.checkpoint else ""
    yield f'{trained} = train_epoch(parts{replica}, splits["train"], epoch{kept})'
    if not script.solves:  # no state is saved that has no numbers any more
        ending = 'sys.exit(f"{name} is not finite after epoch {epoch}")'
        yield suite(
            "for name, value in model.named_parameters():",
            [suite("if not value.isfinite().all():", [ending])],
        )
    yield from when(script.train.checkpoint, "begun = {}")
    if script.distributed and script.has_buffers:
        yield suite(
            "for buffer in model.buffers():  # running statistics: each process has its own",
            [suite("if buffer.is_floating_point():", ["all_sum(buffer).div_(WORLD)"])],
        )
    yield from average_epochs(script)
    if script.alternates:
        yield 'record = {"epoch": epoch}'
        yield 'record |= {f"train.{name}": value for name, value in trained.items()}'
    else:
        yield 'record = {"epoch": epoch, "train.loss": loss}'
    for split in script.evaluated:
        yield from _write_evaluation(script, split)
    for number, name in enumerate(name_rates(script)):
        yield f'record[{write_string(name)}] = {group_of(script, number)}["lr"]'
    yield 'record["seconds"] = time.perf_counter() - started'
    yield "history.append(record)"
    yield from emit_plateau_steps(script)
    if script.distributed:
        yield suite("if RANK > 0:", ["continue"])
    yield from call_samples(script)
    yield f"save(out, parts, history{', begun' if script.train.checkpoint else ''})"
    names = (*script.splits, *(metric.name for metric in script.train.metrics))
    shown = "name" if all(name.isprintable() for name in names) else "name!r"
    yield f'print(*(f"{{{shown}}} {{value:.4g}}" for name, value in record.items()), flush=True)'
    yield from track_epoch(script)


def _write_evaluation(script: ScriptSpec, split: str) -> Iterator[Statement]:
    yield f"measured = {call_evaluate(script, write_string(split))}"
    chosen = " if name not in CHARTS" if script.charts else ""
    named = f'f"{write_formatted(split)}.{{name}}": value'
    yield f"record |= {{{named} for name, value in measured.items(){chosen}}}"
