"""Optimizers of a training script: their construction, groups of parameters, schedules, steps."""

from __future__ import annotations

import re
from collections.abc import Sequence

from backends.pytorch.train.matching import spell_match
from backends.pytorch.train.models import find_classes
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import ParameterGroup
from compiler.training.base import Optimizer
from compiler.writing.names import free_name
from compiler.writing.python import write_literal

Lines = list[str]


def emit_rates(script: ScriptSpec) -> Lines:
    """Constants: the learning rate of each group."""
    rates = [group.optimizer.lr for group in script.train.groups]
    if len(rates) == 1:
        return [f"LEARNING_RATE = {write_literal(rates[0])}"]
    return [f"LEARNING_RATES = {write_literal(rates)}"]


def emit_schedules(script: ScriptSpec) -> list[Lines]:
    """A function per group whose learning rate changes; equal ones once."""
    functions: dict[tuple[str, ...], Lines] = {}
    for group in script.train.groups:
        body = _schedule_body(group)
        if body and body not in functions:
            name = "schedule" if not functions else f"schedule_{len(functions) + 1}"
            parameters = ", ".join(f"{p}: int" for p in _schedule_parameters(body))
            functions[body] = [
                f"def {name}({parameters}) -> float:",
                '    """The factor of the learning rate at a step."""',
                *(f"    {line}" for line in body),
            ]
    return list(functions.values())


def _schedule_body(group: ParameterGroup) -> tuple[str, ...]:
    body = tuple(group.optimizer.schedule.code("steps", "steps_per_epoch"))
    return () if body == ("return 1.0",) else body


def _schedule_parameters(body: Sequence[str]) -> Lines:
    text = "\n".join(body)
    names = ("step", "steps", "steps_per_epoch")
    return [name for name in names if re.search(rf"\b{name}\b", text)]


def emit_rate_updates(script: ScriptSpec) -> Lines:
    """Lines of a training step that set the learning rates."""
    groups = script.train.groups
    bodies = [_schedule_body(group) for group in groups]
    factors = _call_schedules(bodies)
    if len(groups) > 1 and script.shares_optimizer and bodies[0] and len(set(bodies)) == 1:
        return [
            f"factor = {factors[0]}",
            "for group, rate in zip(training.optimizer.param_groups, LEARNING_RATES, strict=True):",
            '    group["lr"] = rate * factor',
        ]
    lines: Lines = []
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
    """A group of parameters with its settings, where `training` is at hand."""
    if script.shares_optimizer:
        return f"training.optimizer.param_groups[{number}]"
    return f"training.optimizers[{number}].param_groups[0]"


def emit_step(script: ScriptSpec) -> Lines:
    """Lines of a training step from the loss to the new weights."""
    on = script.switches
    many = not script.shares_optimizer
    loop = ["for optimizer in training.optimizers:"]
    name = "optimizer" if many else "training.optimizer"
    unscale = [f"training.scaler.unscale_({name})"]
    step = [f"training.scaler.step({name})" if "scaler" in on else f"{name}.step()"]
    lines = ["training.scaler.scale(loss).backward()" if "scaler" in on else "loss.backward()"]
    if not script.replicated:
        lines += ["if WORLD > 1:", "    average_gradients(model)"]
    clip = script.train.clip
    if clip is not None and "scaler" in on:
        lines += _nest(loop, unscale) if many else unscale
    if clip is not None:
        lines.append(f"nn.utils.clip_grad_{clip.by}_(training.model.parameters(), CLIP)")
    lines += emit_rate_updates(script)
    lines += _nest(loop, step) if many else step
    if "scaler" in on:
        lines.append("training.scaler.update()")
    return lines


def _nest(head: Lines, body: Lines) -> Lines:
    return [*head, *(f"    {line}" for line in body)]


def emit_optimizers(script: ScriptSpec) -> Lines:
    """Lines that make the optimizer, or `optimizers` where groups have their own."""
    groups = script.train.groups
    if len(groups) == 1:
        return [f"optimizer = {_construct(script, 0, 'model.parameters()')}"]
    names = [f"group_{number + 1}" for number in range(len(groups))]
    if script.shares_optimizer:
        rest = next((n for n, group in enumerate(groups) if not group.patterns), 0)
        return [
            f"{', '.join(names)} = split_parameters(model)",
            f"groups = [{', '.join(_write_group(script, n, rest) for n in range(len(groups)))}]",
            f"optimizer = {_construct(script, rest, 'groups')}",
        ]
    made = [_construct(script, number, name) for number, name in enumerate(names)]
    return [
        f"{', '.join(names)} = split_parameters(model)",
        "optimizers = [",
        *(f"    {text}," for text in made),
        "]",
    ]


def _write_group(script: ScriptSpec, number: int, rest: int) -> str:
    """A group of parameters of an optimizer, with the settings that are not those of the group
    `rest`, which its constructor is given."""
    optimizer, usual = (script.train.groups[n].optimizer for n in (number, rest))
    entries = [f'"params": group_{number + 1}']
    if optimizer.lr != usual.lr:
        entries.append(f'"lr": {rate_of(script, number)}')
    for name in optimizer.order():
        value = getattr(optimizer, name)
        if value != getattr(usual, name):
            entries.append(f"{write_literal(name)}: {write_literal(value)}")
    return f"{{{', '.join(entries)}}}"


def _construct(script: ScriptSpec, number: int, parameters: str) -> str:
    optimizer = script.train.groups[number].optimizer
    texts = [parameters]
    for key, value in optimizer.arguments:
        texts.append(f"{key}={rate_of(script, number) if key == 'lr' else write_literal(value)}")
    return f"{_class_of(script, optimizer)}({', '.join(texts)})"


def emit_definitions(script: ScriptSpec) -> list[Lines]:
    """The classes of optimizers that PyTorch lacks, each once."""
    found = {o.definition: o for o in (group.optimizer for group in script.train.groups)}
    return [
        text.replace(o.constructor, _class_of(script, o)).splitlines()
        for text, o in found.items()
        if text
    ]


def _class_of(script: ScriptSpec, optimizer: Optimizer) -> str:
    """Its class in the script, whatever the classes of the nets are called."""
    if not optimizer.definition:
        return optimizer.constructor
    return free_name(optimizer.constructor, find_classes(script))


def emit_split_parameters(script: ScriptSpec) -> Lines:
    """The function that divides parameters among groups; none where there is one group."""
    groups = script.train.groups
    if len(groups) == 1:
        return []
    paths = [path for net in script.train.nets for path in script.paths(net)]
    lines = [
        "def split_parameters(model: nn.Module) -> list[list[nn.Parameter]]:",
        '    """The parameters of each group."""',
        f"    groups = [{', '.join('[]' for _ in groups)}]",
        "    for name, parameter in model.named_parameters():",
    ]
    word = "if"
    for number, group in enumerate(groups):
        if group.patterns:
            lines.append(f"        {word} {spell_match(group.patterns, paths)}:")
            lines.append(f"            groups[{number}].append(parameter)")
            word = "elif"
    rest = next((n for n, group in enumerate(groups) if not group.patterns), None)
    if rest is not None:
        lines += ["        else:", f"            groups[{rest}].append(parameter)"]
    return [*lines, "    return groups"]
