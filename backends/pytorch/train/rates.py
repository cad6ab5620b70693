"""Learning rates of a training script: constants, functions of the step, falls by figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import ParameterGroup
from compiler.training.plateau import Plateau
from compiler.writing.python import write_literal, write_string

Lines = list[str]

SCHEDULER = "torch.optim.lr_scheduler.ReduceLROnPlateau"


def emit_rates(script: ScriptSpec) -> Lines:
    """Constants: the learning rate of each group."""
    rates = [group.optimizer.lr for group in script.train.groups]
    if len(rates) == 1:
        return [f"LEARNING_RATE = {write_literal(rates[0])}"]
    return [f"LEARNING_RATES = {write_literal(rates)}"]


def write_schedules(script: ScriptSpec) -> list[Function]:
    """A function per group whose learning rate changes; equal ones once."""
    functions: dict[tuple[str, ...], Function] = {}
    for group in script.train.groups:
        body = _schedule_body(group)
        if body and body not in functions:
            name = "schedule" if not functions else f"schedule_{len(functions) + 1}"
            parameters = tuple(f"{p}: int" for p in _schedule_parameters(body))
            doc = ("The factor of the learning rate at a step.",)
            functions[body] = Function(name, parameters, "float", body, doc)
    return list(functions.values())


def _schedule_body(group: ParameterGroup) -> tuple[str, ...]:
    schedule = group.optimizer.schedule
    body = tuple(schedule.code("steps", "steps_per_epoch"))
    return () if body == ("return 1.0",) or schedule.watches is not None else body


def _schedule_parameters(body: Sequence[str]) -> Lines:
    text = "\n".join(body)
    names = ("step", "steps", "steps_per_epoch")
    return [name for name in names if re.search(rf"\b{name}\b", text)]


def emit_rate_updates(script: ScriptSpec) -> list[Statement]:
    """Statements of a training step that set the learning rates."""
    groups = script.train.groups
    bodies = [_schedule_body(group) for group in groups]
    factors = _call_schedules(bodies)
    if len(groups) > 1 and script.shares_optimizer and bodies[0] and len(set(bodies)) == 1:
        return [
            f"factor = {factors[0]}",
            suite(
                "for group, rate in zip(optimizer.param_groups, LEARNING_RATES, strict=True):",
                ['group["lr"] = rate * factor'],
            ),
        ]
    lines = _emit_warmups(script)
    for number, factor in enumerate(factors):
        if factor:
            lines += [
                f"rate = {rate_of(script, number)} * {factor}",
                f'{group_of(script, number)}["lr"] = rate',
            ]
    return lines


def _call_schedules(bodies: Sequence[tuple[str, ...]]) -> list[str]:
    """The factor of the learning rate of each group in a step; empty where it stays as it is."""
    values = {
        "step": "(epoch - 1) * steps + step",
        "steps": "EPOCHS * steps",
        "steps_per_epoch": "steps",
    }
    different = list(dict.fromkeys(body for body in bodies if body))
    calls: list[str] = []
    for body in bodies:
        place = different.index(body) if body else 0
        name = "schedule" if place == 0 else f"schedule_{place + 1}"
        arguments = ", ".join(values[p] for p in _schedule_parameters(body))
        calls.append(f"{name}({arguments})" if body else "")
    return calls


def rate_of(script: ScriptSpec, number: int) -> str:
    """The constant with the learning rate of a group."""
    return f"LEARNING_RATES[{number}]" if len(script.train.groups) > 1 else "LEARNING_RATE"


def group_of(script: ScriptSpec, number: int) -> str:
    """A group of parameters with its settings."""
    if script.shares_optimizer:
        return f"optimizer.param_groups[{number}]"
    return f"optimizer_{number + 1}.param_groups[0]"


# --- what follows figures ---------------------------------------------------------------------


def find_plateaus(script: ScriptSpec) -> Mapping[int, Plateau]:
    """The schedules that follow a figure, by the groups of parameters; that of an optimizer of
    several groups once."""
    found = {
        number: schedule
        for number in script.watched
        if isinstance(schedule := script.train.groups[number].optimizer.schedule, Plateau)
    }
    return dict(list(found.items())[:1]) if script.shares_optimizer else found


def name_plateaus(script: ScriptSpec) -> Mapping[int, str]:
    """What they are called in the script."""
    numbers = enumerate(find_plateaus(script), 1)
    return {group: "plateau" if place == 1 else f"plateau_{place}" for place, group in numbers}


def emit_plateaus(script: ScriptSpec) -> Lines:
    """Lines that make them, behind those of the optimizer."""
    names = name_plateaus(script)
    better = {use.name: use.better or "lower" for use in script.uses}
    lines: Lines = []
    for number, schedule in find_plateaus(script).items():
        given = "optimizer" if script.shares_optimizer else f"optimizer_{number + 1}"
        settings = schedule.settings(better[schedule.figure.metric])
        texts = [given, *(f"{key}={write_literal(value)}" for key, value in settings)]
        if schedule.minimum:
            texts.append(f"min_lr={_write_minimum(script, number, schedule)}")
        lines.append(f"{names[number]} = {SCHEDULER}({', '.join(texts)})")
    return lines


def _write_minimum(script: ScriptSpec, number: int, schedule: Plateau) -> str:
    share = write_literal(schedule.minimum)
    if script.shares_optimizer and len(script.train.groups) > 1:
        return f"[{share} * rate for rate in LEARNING_RATES]"
    return f"{share} * {rate_of(script, number)}"


def _emit_warmups(script: ScriptSpec) -> list[Statement]:
    """Statements of a training step that set the learning rates during the warm-ups of those;
    behind it nothing but the figure does."""
    lines: list[Statement] = []
    for first, schedule in find_plateaus(script).items():
        if not schedule.warmup.value:
            continue
        warmup = schedule.warmup.code("(EPOCHS * steps)", "steps")
        lines.append(f"begun, warmup = (epoch - 1) * steps + step, {warmup}")
        numbers = script.watched if script.shares_optimizer else [first]
        rates = (f'{group_of(script, n)}["lr"] = {rate_of(script, n)} * factor' for n in numbers)
        head = "if begun <= warmup:"
        lines.append(suite(head, ["factor = (begun + 1) / (warmup + 1)", *rates]))
    return lines


def emit_plateau_steps(script: ScriptSpec) -> list[Statement]:
    """Statements behind an epoch that show them their figures."""
    return [
        f"{name}.step(record[{write_string(str(script.watched[number]))}])"
        for number, name in name_plateaus(script).items()
    ]
