"""Nets of a training script that follow others: moving averages of their weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.rates import call_ramp, count_steps, ramp_parameters
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import TrainedNet, TrainStep
from compiler.vocabulary.ramps import Ramp
from compiler.writing.python import write_literal, write_string


def copy_nets(script: ScriptSpec) -> list[Statement]:
    """Statements that make the averages, once the nets that they follow have their weights."""
    return [
        f"{_name(net.name)} = copy.deepcopy({_name(net.source.removesuffix('.'))})"
        for net in script.followers
    ]


def _name(net: str) -> str:
    return f"model[{write_string(net)}]"


def emit_decays(script: ScriptSpec) -> Iterator[str]:
    """Constants: the decays that stay as they are."""
    decays = _list_decays(script)
    if len(decays) == 1:
        yield f"DECAY = {write_literal(decays[0])}  # of the moving average of the weights"
    elif decays:
        yield f"DECAYS = {write_literal(decays)}  # of the moving averages of the weights"


def _list_decays(script: ScriptSpec) -> list[float]:
    found = (net.average.decay for net in script.followers if net.average is not None)
    return list(dict.fromkeys(decay for decay in found if not isinstance(decay, Ramp)))


def _list_ramps(script: ScriptSpec) -> list[Ramp]:
    found = (net.average.decay for net in script.followers if net.average is not None)
    return list(dict.fromkeys(decay for decay in found if isinstance(decay, Ramp)))


def follow_nets(script: ScriptSpec, step: TrainStep) -> Iterator[Statement]:
    """Statements behind a step that move the averages of what it changes."""
    updated = script.train.find_updated(step)
    for net in script.followers:
        if any(path.startswith(net.source) for path in updated):
            yield from _write_call(script, net)


def _write_call(script: ScriptSpec, net: TrainedNet) -> Iterator[Statement]:
    assert net.average is not None, "it follows another"
    decay = net.average.decay
    if isinstance(decay, Ramp):
        text = call_ramp(script, _name_function(script, decay), decay)
    else:
        decays = _list_decays(script)
        text = "DECAY" if len(decays) == 1 else f"DECAYS[{decays.index(decay)}]"
    if net.average.warmup:
        yield f"done = {count_steps(script)}"
        yield f"decay = min({text}, (1 + done) / (10 + done))"
        text = "decay"
    source = _name(net.source.removesuffix("."))
    yield f"update_average({_name(net.name)}, {source}, {text})"


def _name_function(script: ScriptSpec, ramp: Ramp) -> str:
    place = _list_ramps(script).index(ramp)
    return f"find_decay_{place + 1}" if place else "find_decay"


def write_averaging(script: ScriptSpec) -> Iterator[Function]:
    """The functions that averages need; none where there is none."""
    for ramp in _list_ramps(script):
        yield Function(
            _name_function(script, ramp),
            ramp_parameters(ramp),
            "float",
            tuple(ramp.code("steps", "steps_per_epoch")),
            ("How much of an average stays at a step.",),
        )
    if script.followers:
        yield _write_update(script.followers)


def _write_update(nets: Sequence[TrainedNet]) -> Function:
    buffers = any(not p.trainable for net in nets for p in net.net.graph.parameters)
    copied = suite(
        "for own, value in zip(average.buffers(), net.buffers(), strict=True):",
        ["own.copy_(value)"],
    )
    statistics = ", and takes over its running statistics" if buffers else ""
    return Function(
        "update_average",
        ("average: nn.Module", "net: nn.Module", "decay: float"),
        "None",
        (
            suite(
                "for own, value in zip(average.parameters(), net.parameters(), strict=True):",
                ["own.lerp_(value, 1 - decay)"],
            ),
            *when(buffers, copied),
        ),
        (f"Moves the average towards the net{statistics}.",),
        ("@torch.no_grad()",),
    )
