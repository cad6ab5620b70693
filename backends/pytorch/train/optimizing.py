"""Optimizers of a training script: their construction, groups of parameters, steps."""

from __future__ import annotations

from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.computed import OptimizerSpec
from backends.pytorch.train.matching import spell_match
from backends.pytorch.train.models import find_classes
from backends.pytorch.train.rates import emit_rate_updates, rate_of
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.weights import match_paths
from compiler.program.train import ParameterGroup, TrainStep
from compiler.training.base import Optimizer
from compiler.writing.names import free_name
from compiler.writing.python import write_literal, write_string


def list_optimizers(script: ScriptSpec) -> list[str]:
    """The variables of the optimizers."""
    return [optimizer.name for optimizer in script.optimizers]


def emit_backward(script: ScriptSpec) -> str:
    """The statement from the loss to the gradients of a process."""
    return "scaler.scale(loss).backward()" if script.scales else "loss.backward()"


def emit_gradients(script: ScriptSpec) -> list[Statement]:
    """Statements from the loss to the gradients of all processes, bounded where the train says
    so; the first is `emit_backward`."""
    clip = script.train.clip
    unscaled = [f"scaler.unscale_({optimizer})" for optimizer in list_optimizers(script)]
    return [
        emit_backward(script),
        *when(script.averages, suite("if WORLD > 1:", ["average_gradients(model.parameters())"])),
        *when(clip is not None and script.scales, *unscaled),
        *(() if clip is None else [f"nn.utils.clip_grad_{clip.by}_(model.parameters(), CLIP)"]),
    ]


def emit_step(script: ScriptSpec) -> list[Statement]:
    """Statements of a training step from the gradients to the new weights."""
    statements = emit_rate_updates(script)
    if script.evaluates:
        return [*statements, "loss = optimizer.step(partial(measure, model, batch))"]
    optimizers = list_optimizers(script)
    if script.scales:
        return [*statements, *(f"scaler.step({o})" for o in optimizers), "scaler.update()"]
    return [*statements, *(f"{optimizer}.step()" for optimizer in optimizers)]


def emit_optimizers(script: ScriptSpec) -> list[Statement]:
    """Statements that make the optimizers."""
    groups = script.train.groups
    if script.alternates:
        return [_construct_of_step(script, optimizer) for optimizer in script.optimizers]
    if len(groups) == 1:
        return [f"optimizer = {_construct(script, 0, 'model.parameters()')}"]
    names = [f"group_{number + 1}" for number in range(len(groups))]
    if len(script.optimizers) == 1:
        rest = next((n for n, group in enumerate(groups) if not group.patterns), 0)
        return [
            f"{', '.join(names)} = split_parameters(model)",
            f"groups = [{', '.join(_write_group(script, n, rest) for n in range(len(groups)))}]",
            f"optimizer = {_construct(script, rest, 'groups')}",
        ]
    optimizers = list_optimizers(script)
    made = (_construct(script, number, name) for number, name in enumerate(names))
    return [
        f"{', '.join(names)} = split_parameters(model)",
        *(f"{name} = {text}" for name, text in zip(optimizers, made, strict=True)),
    ]


def _construct_of_step(script: ScriptSpec, optimizer: OptimizerSpec) -> str:
    """A statement that makes an optimizer of one of several steps."""
    first, *others = optimizer.groups
    parameters = _select_parameters(script, first)
    if others:
        parts = [
            _write_group(script, number, first, _select_parameters(script, number))
            for number in optimizer.groups
        ]
        parameters = f"[{', '.join(parts)}]"
    return f"{optimizer.name} = {_construct(script, first, parameters)}"


def _select_parameters(script: ScriptSpec, number: int) -> str:
    """The parameters of a group of one of several steps."""
    train, optimizer = script.train, script.optimizer_of(number)[0]
    step = next(step for step in train.steps if step.name == optimizer.step)
    held = set(train.find_held(step, train.groups[number]))
    nets = [net for net in train.nets if held & set(script.paths(net))]
    whole = {path for net in nets for path in script.paths(net)}
    if held == whole - set(match_paths(whole, train.freeze)):
        lists = [
            f"model[{write_string(n.name)}].parameters()" if n.prefix else "model.parameters()"
            for n in nets
        ]
        return lists[0] if len(lists) == 1 else f"[{', '.join(f'*{text}' for text in lists)}]"
    condition = _spell_group(script, step, train.groups[number])
    return f"[p for name, p in model.named_parameters() if {condition}]"


def _spell_group(script: ScriptSpec, step: TrainStep, group: ParameterGroup) -> str:
    """A condition on `name` that holds for the parameters of a group, as the spec says it: some
    that are frozen may be among them, and have no gradient."""
    paths = [path for net in script.train.nets for path in script.paths(net)]
    allowed = set(match_paths(paths, step.over or ["*"]))
    others = [pattern for other in step.groups for pattern in other.patterns]
    tests = []
    if not allowed.issuperset(match_paths(paths, group.patterns or ["*"])):
        tests.append(spell_match(step.over, paths))
    if group.patterns:
        tests.append(spell_match(group.patterns, paths))
    elif others:
        tests.append(f"not {_enclose(spell_match(others, paths))}")
    return " and ".join(tests if len(tests) == 1 else map(_enclose, tests))


def _enclose(test: str) -> str:
    return f"({test})" if " or " in test else test


def _write_group(script: ScriptSpec, number: int, rest: int, parameters: str = "") -> str:
    """A group of parameters of an optimizer, with the settings that are not those of the group
    `rest`, which its constructor is given."""
    optimizer, usual = (script.train.groups[n].optimizer for n in (number, rest))
    entries = [f'"params": {parameters or f"group_{number + 1}"}']
    if optimizer.lr != usual.lr:
        entries.append(f'"lr": {rate_of(script, number)}')
    for name in optimizer.base.order():
        value = optimizer.base.begin(name)
        if value != usual.base.begin(name):
            entries.append(f"{write_literal(name)}: {write_literal(value)}")
    return f"{{{', '.join(entries)}}}"


def _construct(script: ScriptSpec, number: int, parameters: str) -> str:
    optimizer = script.train.groups[number].optimizer
    made = _construct_base(script, number, parameters)
    if optimizer.base is optimizer:
        return made
    settings = (f"{key}={write_literal(value)}" for key, value in optimizer.arguments)
    return f"{_class_of(script, optimizer)}({', '.join([made, *settings])})"


def _construct_base(script: ScriptSpec, number: int, parameters: str) -> str:
    """The optimizer of a group that takes the steps."""
    optimizer = script.train.groups[number].optimizer.base
    texts = [parameters]
    for key, value in optimizer.arguments:
        if key == "fused" and script.train.thaws:
            continue  # a fused step of SGD wants the momentum of all parameters or of none
        texts.append(f"{key}={rate_of(script, number) if key == 'lr' else write_literal(value)}")
    return f"{_class_of(script, optimizer)}({', '.join(texts)})"


def emit_definitions(script: ScriptSpec) -> list[list[str]]:
    """The classes of optimizers that PyTorch lacks, each once."""
    used = [group.optimizer for group in script.train.groups]
    found = {o.definition: o for optimizer in used for o in (optimizer.base, optimizer)}
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


def write_split_parameters(script: ScriptSpec) -> list[Function]:
    """The function that divides parameters among groups; none where there is one group."""
    groups = script.train.groups
    if len(groups) == 1 or script.alternates:
        return []
    paths = [path for net in script.train.nets for path in script.paths(net)]
    choices: list[Statement] = []
    for number, group in enumerate(groups):
        if group.patterns:
            head = f"{'elif' if choices else 'if'} {spell_match(group.patterns, paths)}:"
            choices.append(suite(head, [f"groups[{number}].append(parameter)"]))
    rest = next((n for n, group in enumerate(groups) if not group.patterns), None)
    if rest is not None:
        choices.append(suite("else:", [f"groups[{rest}].append(parameter)"]))
    return [
        Function(
            "split_parameters",
            ("model: nn.Module",),
            "list[list[nn.Parameter]]",
            (
                f"groups = [{', '.join('[]' for _ in groups)}]",
                suite("for name, parameter in model.named_parameters():", choices),
                "return groups",
            ),
            ("The parameters of each group.",),
        )
    ]
