"""The train that trains a compressed net on, and the weights from which it starts.

Objective, data, optimizers, schedule, batch and what is frozen are those of the original train;
epochs and learning rate those of the tuning (of several groups each rate changes by the same
factor). Regularizers are left out: what they were to bring about has happened. A net with fake
quantization is trained in f32 whatever the precision of the train, since half precision has hardly
more digits than the integers that it imitates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from compiler.compression.attach import attach, find_net
from compiler.compression.context import Tuning
from compiler.compression.copying import copy_graph
from compiler.compression.tuning.following import follow_paths
from compiler.compression.tuning.scales import has_scales
from compiler.compression.tuning.teaching import add_teacher
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import match_paths
from compiler.ops.quantization import FakeQuantize
from compiler.program.train import ParameterGroup, Train, TrainedNet
from compiler.report.diagnostics import CompileError
from compiler.report.messages.training import optimizer_takes_all
from compiler.report.messages.tuning import nothing_left_to_train
from compiler.writing.names import free_name

Array = NDArray[Any]
SCALE_RATE = 0.01
"""The learning rate of the steps of rounding beside that of the weights."""
TENTH = 0.1
"""The learning rate of fine-tuning beside that of the training before it, unless one is given."""


@dataclass(frozen=True)
class TunedTrain:
    """A train as any other, from which scripts are written. `weights` are those it starts from,
    of every net, as the train calls them; `masks` likewise; `prefix` is where the net that is
    tuned has its own, `learner` where the net has them whose optimizer changes these: another one
    where an average is tuned."""

    train: Train
    prefix: str
    learner: str
    weights: Mapping[str, Array]
    masks: Mapping[str, Array]


def prepare_tuning(
    train: Train,
    name: str,
    net: WeightedNet,
    tuning: Tuning,
    others: Mapping[str, Array] | None = None,
) -> TunedTrain:
    """The train that `tuning` asks for: the net in place of the original, with its numbers.

    Averages of the net, and the net that it is an average of, change with it: all of them become
    the compressed net, start from its numbers, and follow each other as before.

    Args:
        train: the train of the original net.
        name: which of its nets.
        net: the compressed net.
        tuning: epochs, learning rate, teacher, masks.
        others: numbers of the train's other nets, as the train calls them.

    Raises:
        CompileError: the net is applied inside a loop of the step.
    """
    teacher = tuning.teacher
    changed = replace(_set_lengths(train, tuning), thaws=())  # the weights are trained ones
    if has_scales(net.graph):
        changed = replace(changed, precision="f32")
    old = find_net(train, name)
    prefix = old.prefix if old.prefix or teacher is None else "student."
    for alike in train.find_alike(old):
        place = prefix if alike is old else None
        changed = follow_paths(attach(changed, alike.name, net.graph, place), alike, net.graph)
    if prefix != old.prefix:
        changed = _rename(changed, name, prefix)
    tuned = next(other for other in changed.nets if other.prefix == prefix)
    learner = changed.find_learner(tuned).prefix
    weights = {path: array for path, array in (others or {}).items() if path in _others(changed)}
    for alike in changed.find_alike(tuned):
        weights |= {alike.prefix + path: array for path, array in net.weights.items()}
    changed = _forget_loads(changed, weights)
    if teacher is not None:
        changed, prefixed = _teach(changed, learner, teacher, tuning)
        weights |= prefixed
    changed = replace(changed, doc=_describe(train, name, tuning))
    changed = _drop_empty_groups(_add_scale_group(changed, learner, net.graph), tuning)
    masks = {learner + path: mask for path, mask in tuning.masks.items()}
    return TunedTrain(changed, prefix, learner, weights, masks)


def _drop_empty_groups(train: Train, tuning: Tuning) -> Train:
    """The train with the groups that still hold parameters: those of the net may be stored in few
    bits, or have other paths.

    Raises:
        CompileError: no group does.
    """
    steps = tuple(
        replace(step, groups=tuple(g for g in step.groups if train.find_held(step, g)))
        for step in train.steps
    )
    if not any(step.groups for step in steps):
        step = "finetune" if tuning.teacher is None else "distill"
        raise CompileError([nothing_left_to_train(tuning.span, step)])
    return replace(train, steps=steps)


def _add_scale_group(train: Train, prefix: str, graph: Graph) -> Train:
    """The train with an optimizer of their own for scales that are learned: they are some
    hundredths large where weights are near 1, and must not shrink by weight decay."""
    scales = find_learned_scales(graph)
    if not scales:
        return train
    first = train.groups[0].optimizer
    if first.evaluates:
        reason = "scales that are learned have an optimizer of their own"
        raise CompileError([optimizer_takes_all(train.groups[0].span, first.name, reason)])
    changes = {"lr": _round(SCALE_RATE * first.lr)}
    if "weight_decay" in {option.name for option in first.base.options()}:
        changes["weight_decay"] = 0.0
    slow = first.change(**changes)
    paths = [prefix + path for path in scales]
    group = ParameterGroup(slow, _find_patterns(paths, train), train.span)
    # the first that claims a weight has it
    return train.change_groups(lambda groups: (group, *groups))


def _find_patterns(paths: Sequence[str], train: Train) -> tuple[str, ...]:
    """Patterns that name these parameters of a train and no others: by their last words where
    that is enough."""
    nets = [net for net in train.nets if net.average is None]
    trained = [n.prefix + p.path for n in nets for p in n.net.graph.parameters if p.trainable]
    words = tuple(dict.fromkeys(f"*.{path.rpartition('.')[2]}" for path in paths))
    return words if set(match_paths(trained, words)) == set(paths) else tuple(paths)


def find_learned_scales(graph: Graph) -> tuple[str, ...]:
    """Paths of the scales that are trained, each once."""
    learned = (n for n in graph.nodes if isinstance(n.op, FakeQuantize) and n.op.learned)
    scales = (node.inputs[1] for node in learned)
    return tuple(dict.fromkeys(scale.name for scale in scales if scale is not None))


def _forget_loads(train: Train, weights: Mapping[str, Array]) -> Train:
    """The train whose nets load nothing: their numbers are given."""
    missing = sorted(_others(train) - weights.keys())
    assert not missing, f"there are no numbers for {missing[0]}, which the train has learned"
    nets = tuple(replace(net, net=replace(net.net, loads=())) for net in train.nets)
    return replace(train, nets=nets)


def _describe(train: Train, name: str, tuning: Tuning) -> str:
    """What the script of the training says of itself."""
    model, data = find_net(train, name).net.model, train.data.name
    if tuning.teacher is None:
        return f"Fine-tunes {model} on the data {data}, from the weights in start.safetensors."
    return f"Trains {model} on the data {data} to follow the net that it was made from."


def _others(train: Train) -> set[str]:
    paths = {net.prefix + p.path for net in train.nets for p in net.net.graph.parameters}
    return paths | {buffer.path for buffer in train.buffers}


def _set_lengths(train: Train, tuning: Tuning) -> Train:
    """The train with the epochs and learning rates of the tuning."""
    first = train.groups[0].optimizer.lr
    factor = TENTH if tuning.lr is None else tuning.lr / first

    def change(groups: tuple[ParameterGroup, ...]) -> tuple[ParameterGroup, ...]:
        return tuple(
            replace(
                group,
                optimizer=group.optimizer.change(lr=_round(group.optimizer.lr * factor)),
            )
            for group in groups
        )

    return replace(train.change_groups(change), epochs=tuning.epochs, regularizers=())


def _round(rate: float) -> float:
    """A rate without the noise of the multiplication."""
    return float(f"{rate:.12g}")


def _rename(train: Train, name: str, prefix: str) -> Train:
    """The train whose only net moved under a prefix: its patterns, and its name."""
    (net,) = (n for n in train.nets if n.name == name)
    renamed = replace(net, name=prefix.removesuffix("."))

    def change(groups: tuple[ParameterGroup, ...]) -> tuple[ParameterGroup, ...]:
        return tuple(replace(g, patterns=tuple(prefix + p for p in g.patterns)) for g in groups)

    freeze, recomputed = (tuple(prefix + p for p in t) for t in (train.freeze, train.recomputed))
    changed = train.change_groups(change)
    return replace(changed, nets=(renamed,), freeze=freeze, recomputed=recomputed)


def _teach(
    train: Train, prefix: str, teacher: WeightedNet, tuning: Tuning
) -> tuple[Train, dict[str, Array]]:
    """The train with a frozen teacher for the net under a prefix, and the teacher's weights."""
    student = next(net for net in train.nets if net.prefix == prefix)
    taken = {net.name for net in train.nets} | {i.name for i in train.graph.inputs}
    name = free_name("teacher", taken, "_")
    graph = replace(teacher.graph, name=name)
    made = TrainedNet(name, replace(student.net, name=name, graph=graph), f"{name}.")
    made = replace(made, net=replace(made.net, graph=copy_graph(made)))
    step = add_teacher(train.graph, student, made, tuning.alpha, tuning.temperature)
    taught = replace(
        train, nets=(*train.nets, made), graph=step, freeze=(*train.freeze, f"{name}.*")
    )
    return taught, {made.prefix + path: array for path, array in teacher.weights.items()}
