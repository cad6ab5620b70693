"""Learning rates of a training script: constants, functions of the step, falls by figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import ParameterGroup
from compiler.training.plateau import Plateau
from compiler.vocabulary.ramps import Ramp
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
    return [*functions.values(), *_write_setting_ramps(script)]


def _schedule_body(group: ParameterGroup) -> tuple[str, ...]:
    schedule = group.optimizer.schedule
    body = tuple(schedule.code("steps", "steps_per_epoch"))
    return () if body == ("return 1.0",) or schedule.watches is not None else body


def _schedule_parameters(body: Sequence[str]) -> Lines:
    text = "\n".join(body)
    names = ("step", "steps", "steps_per_epoch")
    return [name for name in names if re.search(rf"\b{name}\b", text)]


def emit_rate_updates(script: ScriptSpec, step: str = "") -> list[Statement]:
    """Statements of a training step that set the learning rates, and what else changes."""
    return [*_emit_rates(script, step), *_emit_settings(script, step)]


def _emit_settings(script: ScriptSpec, step: str) -> Iterator[Statement]:
    """Statements that set the settings of groups that are ramps."""
    for number, group in enumerate(script.train.groups):
        if script.optimizer_of(number)[0].step == step:
            for name, ramp in group.optimizer.ramps.items():
                function = name_setting_ramps(script)[name, ramp]
                place = f"{group_of(script, number)}[{write_string(name)}]"
                yield f"{place} = {call_ramp(script, function, ramp)}"


def name_setting_ramps(script: ScriptSpec) -> Mapping[tuple[str, Ramp], str]:
    """The functions of settings that change, by setting and ramp."""
    used = [pair for group in script.train.groups for pair in group.optimizer.ramps.items()]
    return {
        pair: f"find_{pair[0]}_{place}" if place > 1 else f"find_{pair[0]}"
        for place, pair in enumerate(dict.fromkeys(used), 1)
    }


def _write_setting_ramps(script: ScriptSpec) -> Iterator[Function]:
    for (name, ramp), function in name_setting_ramps(script).items():
        lines = tuple(ramp.code("steps", "steps_per_epoch"))
        doc = (f"The `{name}` at a step, from 0 on.",)
        yield Function(function, ramp_parameters(ramp), "float", lines, doc)


def _emit_rates(script: ScriptSpec, step: str) -> list[Statement]:
    """Statements of a training step that set the learning rates."""
    bodies = [_schedule_body(group) for group in script.train.groups]
    factors = _call_schedules(script, bodies)
    optimizers = [o for o in script.optimizers if o.step == step]
    if len(bodies) > 1 and len(script.optimizers) == 1 and bodies[0] and len(set(bodies)) == 1:
        (optimizer,) = optimizers
        pairs = f"zip({optimizer.name}.param_groups, LEARNING_RATES, strict=True)"
        return [
            f"factor = {factors[0]}",
            suite(f"for group, rate in {pairs}:", ['group["lr"] = rate * factor']),
        ]
    lines = _emit_warmups(script, step)
    for number, factor in enumerate(factors):
        if factor and script.optimizer_of(number)[0] in optimizers:
            lines += [
                f"rate = {rate_of(script, number)} * {factor}",
                f'{group_of(script, number)}["lr"] = rate',
            ]
    return lines


def ramp_parameters(ramp: Ramp) -> tuple[str, ...]:
    """The parameters of the function of a number that changes over the training."""
    body = ramp.code("steps", "steps_per_epoch")
    return tuple(f"{name}: int" for name in _schedule_parameters(body))


def call_ramp(script: ScriptSpec, function: str, ramp: Ramp) -> str:
    """The call of such a function in a step."""
    names = _schedule_parameters(ramp.code("steps", "steps_per_epoch"))
    values = _step_values(script)
    return f"{function}({', '.join(values[name] for name in names)})"


def _step_values(script: ScriptSpec) -> dict[str, str]:
    """What schedules and ramps are given in a step."""
    return {
        "step": count_steps(script),
        "steps": "EPOCHS * steps",
        "steps_per_epoch": "steps",
    }


def compute_numbers(script: ScriptSpec) -> list[Statement]:
    """Statements of a step that compute the numbers that change with it."""
    first = "step" if script.alternates else "(epoch - 1) * steps + step + 1"
    values = _step_values(script) | {"step": first, "epoch": "epoch"}
    return [number.call(values) for number in script.stepped]


def compute_last_numbers(script: ScriptSpec) -> list[Statement]:
    """Statements of an evaluation that compute what these numbers are at the end."""
    steps = "steps" if script.train.epoch_steps is None else "EPOCH_STEPS"
    last = f"EPOCHS * {steps}"
    values = {"step": last, "epoch": "EPOCHS", "steps": last, "steps_per_epoch": steps}
    return [number.call(values) for number in script.numbers.find(script.graph)]


def call_evaluate(script: ScriptSpec, split: str) -> str:
    """The call that evaluates a split, which is given as it is spelled."""
    steps = ", count_steps(splits)" if script.judges_by_steps else ""
    return f"evaluate(model, splits[{split}]{steps})"


def write_numbers(script: ScriptSpec) -> Iterator[Function]:
    """The functions of numbers that change, and what says how many steps an epoch has."""
    yield from script.numbers.write()
    if script.judges_by_steps:
        rows = 'splits["train"].chosen' if script.streams else 'splits["train"][0]'
        yield Function(
            "count_steps",
            ("splits: Splits",),
            "int",
            (f"return max(1, len({rows}) // BATCH)",),
            ("The steps of an epoch.",),
        )


def count_steps(script: ScriptSpec) -> str:
    """The number of steps before this one, of all epochs."""
    return "step - 1" if script.alternates else "(epoch - 1) * steps + step"


def _call_schedules(script: ScriptSpec, bodies: Sequence[tuple[str, ...]]) -> list[str]:
    """The factor of the learning rate of each group in a step; empty where it stays as it is."""
    values = _step_values(script)
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


def name_rates(script: ScriptSpec) -> list[str]:
    """The figures of an epoch that are the learning rates of the groups: `lr`, `lr.1`; of several
    steps `lr.critic`, `lr.critic.1`."""
    names = []
    for step in script.train.steps:
        base = f"lr.{step.name}" if step.name else "lr"
        names += [f"{base}.{number}" if number else base for number in range(len(step.groups))]
    return names


def group_of(script: ScriptSpec, number: int) -> str:
    """A group of parameters with its settings."""
    optimizer, place = script.optimizer_of(number)
    return f"{optimizer.name}.param_groups[{place}]"


# --- what follows figures ---------------------------------------------------------------------


def find_plateaus(script: ScriptSpec) -> Mapping[int, Plateau]:
    """The schedules that follow a figure, by the groups of parameters; that of an optimizer of
    several groups once."""
    firsts = {script.optimizer_of(number)[0].name: number for number in reversed([*script.watched])}
    return {
        number: schedule
        for number in sorted(firsts.values())
        if isinstance(schedule := script.train.groups[number].optimizer.schedule, Plateau)
    }


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
        given = script.optimizer_of(number)[0].name
        settings = schedule.settings(better[schedule.figure.metric])
        texts = [given, *(f"{key}={write_literal(value)}" for key, value in settings)]
        if schedule.minimum:
            texts.append(f"min_lr={_write_minimum(script, number, schedule)}")
        lines.append(f"{names[number]} = {SCHEDULER}({', '.join(texts)})")
    return lines


def _write_minimum(script: ScriptSpec, number: int, schedule: Plateau) -> str:
    share = write_literal(schedule.minimum)
    if len(script.optimizer_of(number)[0].groups) == 1:
        return f"{share} * {rate_of(script, number)}"
    groups = script.optimizer_of(number)[0].groups
    if len(groups) == len(script.train.groups):
        return f"[{share} * rate for rate in LEARNING_RATES]"
    return f"[{', '.join(f'{share} * {rate_of(script, n)}' for n in groups)}]"


def _emit_warmups(script: ScriptSpec, step: str) -> list[Statement]:
    """Statements of a training step that set the learning rates during the warm-ups of those;
    behind it nothing but the figure does."""
    lines: list[Statement] = []
    for first, schedule in find_plateaus(script).items():
        optimizer = script.optimizer_of(first)[0]
        if not schedule.warmup.value or optimizer.step != step:
            continue
        warmup = schedule.warmup.code("(EPOCHS * steps)", "steps")
        lines.append(f"begun, warmup = {count_steps(script)}, {warmup}")
        numbers = [n for n in script.watched if n in optimizer.groups]
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
