"""Nets of a training script that follow others: moving averages of their weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.rates import call_ramp, count_steps, ramp_parameters
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import TrainedNet, TrainStep
from compiler.vocabulary.net_functions import Ema
from compiler.vocabulary.ramps import Ramp
from compiler.writing.python import write_literal, write_string

NORM_SEED = "SEED + 1000 * epoch + 250"
"""The seed of dropout where running statistics are computed: the same in every process."""


def copy_nets(script: ScriptSpec) -> list[Statement]:
    """Statements that make the averages, once the nets that they follow have their weights."""
    return [
        f"{_place(script, net.name)} = copy.deepcopy({_name(net.source.removesuffix('.'))})"
        for net in script.followers
    ]


def _place(script: ScriptSpec, net: str) -> str:
    """Where a net is put: past the check of names of a ModuleDict where one is a method's."""
    return f"model._modules[{write_string(net)}]" if script.has_taken_name else _name(net)


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
    found = (average.decay for _, average in _list_moving(script))
    return list(dict.fromkeys(decay for decay in found if not isinstance(decay, Ramp)))


def _list_ramps(script: ScriptSpec) -> list[Ramp]:
    found = (average.decay for _, average in _list_moving(script))
    return list(dict.fromkeys(decay for decay in found if isinstance(decay, Ramp)))


def _list_moving(script: ScriptSpec) -> list[tuple[TrainedNet, Ema]]:
    """The averages that move at every step."""
    found = ((net, net.average) for net in script.followers)
    return [(net, average) for net, average in found if isinstance(average, Ema)]


def follow_nets(script: ScriptSpec, step: TrainStep) -> Iterator[Statement]:
    """Statements behind a step that move the averages of what it changes."""
    updated = script.train.find_updated(step)
    for net, average in _list_moving(script):
        if any(path.startswith(net.source) for path in updated):
            yield from _write_call(script, net, average)


def average_epochs(script: ScriptSpec) -> Iterator[Statement]:
    """Statements behind an epoch that take it into equal averages."""
    for net in script.followers:
        counted = net.average.epochs if net.average is not None else None
        if counted is not None:
            start, every = counted
            since = f"epoch - {start}" if start else "epoch"
            tests = [f"epoch > {start}"] if start else []
            tests += [f"({since}) % {every} == 0" if start else f"epoch % {every} == 0"] * (
                every > 1
            )
            passed = f"({since})" if start else since
            calls = list(_write_equal(script, net, f"1 - {every} / {passed}"))
            yield from [suite(f"if {' and '.join(tests)}:", calls)] if tests else calls


def _write_equal(script: ScriptSpec, net: TrainedNet, decay: str) -> Iterator[Statement]:
    """Statements that take the weights of a net into their equal average."""
    source = _name(net.source.removesuffix("."))
    yield f"update_average({_name(net.name)}, {source}, {decay})"
    if not any(node.op.over_batch for node in net.net.graph.nodes):
        return
    (item,) = net.net.graph.inputs
    path = net.source.removesuffix(".")
    frames = (f for node in script.train.graph.nodes for f in node.scope.chain[1:2])
    column = dict(next(f for f in frames if f.path == path).tensors)[item.name]
    if any(node.op.noisy for node in net.net.graph.nodes):
        yield f"torch.manual_seed({NORM_SEED})"
    # parts of nearly one size: a batch norm takes no single row
    place = script.columns.index(column)
    if script.streams:
        yield 'rows = torch.arange(len(splits["train"].chosen))'
        read = 'read_batches(splits["train"], rows.tensor_split(max(1, len(rows) // BATCH)))'
        yield f"torch.optim.swa_utils.update_bn((c[{place}] for c in {read}), {_name(net.name)})"
        return
    yield f'rows = splits["train"][{place}]'
    parts = "rows.tensor_split(max(1, len(rows) // BATCH))"
    yield f"torch.optim.swa_utils.update_bn({parts}, {_name(net.name)})"


def _write_call(script: ScriptSpec, net: TrainedNet, average: Ema) -> Iterator[Statement]:
    decay = average.decay
    if isinstance(decay, Ramp):
        text = call_ramp(script, _name_function(script, decay), decay)
    else:
        decays = _list_decays(script)
        text = "DECAY" if len(decays) == 1 else f"DECAYS[{decays.index(decay)}]"
    if average.warmup:
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
