"""What a train cannot do with what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from compiler.compression.given import find_given
from compiler.ir.sizes import ROWS
from compiler.ir.weights import match_paths
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.train import STEPS, Train, TrainedNet
from compiler.report.diagnostics import Message
from compiler.report.messages.derivatives import grad_by_frozen
from compiler.report.messages.evaluating_trains import evaluates_fresh
from compiler.report.messages.items import setting_range
from compiler.report.messages.training import (
    batch_impossible,
    optimizer_takes_all,
    parameters_of_other_rank,
)
from compiler.report.messages.training_steps import not_a_net_of_the_train, not_with_steps
from compiler.report.messages.training_time import (
    not_with_whole_batches,
    parts_unequal,
    time_not_here,
    time_not_shared,
)


def find_misfits(train: Train) -> Iterator[Message]:
    """Batches, optimizers, steps, averages and evaluated weights that do not fit the rest."""
    return chain(
        _find_impossible(train),
        _find_unfit(train),
        _find_misplaced(train),
        _find_divided(train),
        _find_timeless(train),
        _find_idle_averages(train),
        _find_untrained(train),
    )


def _find_untrained(train: Train) -> Iterator[Message]:
    """Weights that a train evaluates which nobody has trained."""
    for net in train.nets if not train.learns else ():
        loaded = [f"{load.prefix}." if load.prefix else "" for load in net.net.loads]
        fresh = tuple(
            parameter.path
            for parameter in net.net.graph.parameters
            if parameter.trainable and not parameter.path.startswith(tuple(loaded))
        )
        if fresh:
            yield evaluates_fresh(train.span, net.name, fresh)


def find_frozen_slopes(train: Train) -> Iterator[Message]:
    """Derivatives by weights that are frozen, if only at first, or because there are adapters."""
    patterns = (*train.freeze, *(p for thaw in train.thaws for p in thaw.patterns))
    frozen = set(match_paths(train.trainable, patterns))
    for node in train.graph.nodes:
        by = node.inputs[1] if node.op.of_graph else None
        if by is not None and by.name in frozen:
            yield grad_by_frozen(node.origin.span or train.span, by.name)


def _find_impossible(train: Train) -> Iterator[Message]:
    """What asks for another number of rows than the batches of a train have."""
    for condition in train.graph.conditions:
        left, right = condition.left, condition.right
        if not {*left.symbols, *right.symbols} <= {ROWS}:
            continue
        sizes = {ROWS: train.rows}
        found, limit = left.evaluate(sizes), right.evaluate(sizes)
        if not (found == limit if condition.relation == "==" else found <= limit):
            needed = f"{left} {condition.relation} {right}"
            yield batch_impossible(condition.origin or train.span, needed, train.rows)


def _find_unfit(train: Train) -> Iterator[Message]:
    """Parameters that their optimizer cannot take."""
    for group in train.groups:
        rank = group.optimizer.base.rank
        held = {
            path: parameter
            for step in train.steps
            if group in step.groups
            for path, parameter in train.find_held(step, group).items()
        }
        others = tuple(path for path, p in held.items() if p.value.type.rank != rank)
        if rank is not None and others:
            yield parameters_of_other_rank(group.span, group.optimizer.base.name, rank, others)
        if len(train.steps) > 1:
            continue  # told by what belongs to one objective
        if group.optimizer.evaluates and len(train.groups) > 1:
            yield optimizer_takes_all(group.span, group.optimizer.name, "there are other groups")
        elif group.optimizer.evaluates and train.precision == "f16":
            yield optimizer_takes_all(group.span, group.optimizer.name, "the precision is f16")


def _find_misplaced(train: Train) -> Iterator[Message]:
    """What belongs to the only objective of a train, in one with several."""
    if len(train.steps) == 1:
        return
    for item in train.regularizers:
        advice = "add a penalty to the objective of a step, or set `weight_decay` of its optimizer"
        yield not_with_steps(item.span, "`regularize`", "it is part of no step", advice)
    for group in train.groups:
        if group.optimizer.evaluates or group.optimizer.solves:
            name = f"`{group.optimizer.name}`"
            why = "it evaluates one objective again and again"
            yield not_with_steps(group.span, name, why, "choose `adam` or `sgd`, say")


def _find_divided(train: Train) -> Iterator[Message]:
    """Batches that do not divide, and optimizers that need whole ones."""
    if train.batch % train.accumulate:
        yield parts_unequal(train.span, train.batch, train.accumulate)
    kept = train.checkpoint
    if kept is not None and kept.unit != STEPS and train.processes == "ddp":
        yield time_not_shared(kept.span)
    whole = ("`epoch`", "`checkpoint`")
    divided = [
        ("`accumulate`", train.accumulate > 1),
        ("`epoch`", train.epoch_steps is not None),
        ("`checkpoint`", kept is not None),
    ]
    for group in train.groups:
        optimizer = group.optimizer
        for word, said in divided if optimizer.evaluates or optimizer.solves else ():
            if said and (optimizer.solves or word not in whole):
                yield not_with_whole_batches(group.span or train.span, word, optimizer.name)


def _find_timeless(train: Train) -> Iterator[Message]:
    """Numbers that follow from how far a training is, where there is none, or where the same is
    computed again and again."""
    counted = [node for node in train.graph.nodes if node.op.of_time]
    if not counted:
        return
    place = counted[0].origin.span
    if not train.learns:
        yield time_not_here(place, "this", "`epochs 0` trains nothing")
    for group in train.groups:
        if group.optimizer.evaluates or group.optimizer.solves:
            yield not_with_whole_batches(place, "a number that changes", group.optimizer.name)
    outputs = {output.name: output for output in train.graph.outputs}
    for sample in train.samples:
        part = replace(train.graph, outputs=(outputs[sample.output],))
        if any(node.op.of_time for node in DeadCode().run(part, Context()).nodes):
            yield time_not_here(sample.span, f"the sample `{sample.name}`", "it reads the step")


def _find_idle_averages(train: Train) -> Iterator[Message]:
    """Averages of nets that no step changes."""
    updated = [path for step in train.steps for path in train.find_updated(step)]
    solves = any(group.optimizer.solves for group in train.groups)
    for net in train.nets:
        if net.average is None:
            continue
        if solves or not any(path.startswith(net.source) for path in updated):
            source = net.source.removesuffix(".")
            why = "is solved for at once" if solves else "is frozen"
            place, word = net.net.span or train.span, net.average.name
            advice = f"leave the average out: it would stay as `{source}` is"
            if solves:
                advice = "use weights that are solved for as they are, or an optimizer that steps"
            yield not_a_net_of_the_train(place, word, f"`{source}`, which {why}", advice)
        elif net.average.epochs is not None:
            yield from _find_unfit_average(train, net, net.average.name, net.average.epochs)


def _find_unfit_average(
    train: Train, net: TrainedNet, word: str, counted: tuple[int, int]
) -> Iterator[Message]:
    """An average that no epoch counts for, or whose running statistics cannot be computed."""
    place = net.net.span or train.span
    start, every = counted
    if start + every > train.epochs:
        late = every <= train.epochs
        option, given = ("start", start) if late else ("every", every)
        limit = train.epochs - every if late else train.epochs
        expected = f"{limit} or less: the train has {train.epochs} epochs"
        yield setting_range(place, word, option, f"{given} epochs", expected)
    source = next(other for other in train.nets if other.prefix == net.source)
    norms = any(node.op.over_batch for node in net.net.graph.nodes)
    inputs = [item.name for item in net.net.graph.inputs]
    if norms and (inputs[1:] or inputs[0] not in find_given(train, source).columns):
        found = f"`{source.name}`, whose batch norms need one input that is a column"
        advice = f"give `{source.name}` a column where it is applied first, or use `ema`"
        yield not_a_net_of_the_train(place, word, found, advice)
