"""Optimizers of a training script: their construction, groups of parameters, steps."""

from __future__ import annotations

from backends.pytorch.train.matching import spell_match
from backends.pytorch.train.models import find_classes
from backends.pytorch.train.rates import emit_rate_updates, rate_of
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.training.base import Optimizer
from compiler.writing.names import free_name
from compiler.writing.python import write_literal

Lines = list[str]


def emit_gradients(script: ScriptSpec) -> Lines:
    """Lines from the loss to the gradients of all processes, bounded where the train says so."""
    on, clip = script.switches, script.train.clip
    lines = ["training.scaler.scale(loss).backward()" if "scaler" in on else "loss.backward()"]
    if not script.replicated:
        lines += ["if WORLD > 1:", "    average_gradients(model)"]
    if clip is not None and "scaler" in on:
        lines += _for_each(script, "training.scaler.unscale_({})")
    if clip is not None:
        lines.append(f"nn.utils.clip_grad_{clip.by}_(training.model.parameters(), CLIP)")
    return lines


def emit_step(script: ScriptSpec) -> Lines:
    """Lines of a training step from the loss to the new weights."""
    rates = emit_rate_updates(script)
    if script.evaluates:
        return [*rates, "loss = training.optimizer.step(partial(measure, training, batch))"]
    lines = [*emit_gradients(script), *rates]
    if "scaler" in script.switches:
        lines += _for_each(script, "training.scaler.step({})")
        return [*lines, "training.scaler.update()"]
    return [*lines, *_for_each(script, "{}.step()")]


def _for_each(script: ScriptSpec, text: str) -> Lines:
    """A statement about the optimizer, or about each of them."""
    if script.shares_optimizer:
        return [text.format("training.optimizer")]
    return ["for optimizer in training.optimizers:", f"    {text.format('optimizer')}"]


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
