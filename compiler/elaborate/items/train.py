"""Train items: nets on columns, an objective, metrics and settings, as one step graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from compiler.elaborate.api import GraphContext, elaborate_plain_net, open_given
from compiler.elaborate.calls.adapters import adapt_train
from compiler.elaborate.calls.weights import reserve_weights
from compiler.elaborate.items.agreement import find_disagreements, find_probabilities
from compiler.elaborate.items.classes import find_missing_classes, find_misuse
from compiler.elaborate.items.draws import find_draw_faults
from compiler.elaborate.items.item_elaborator import ItemElaborator
from compiler.elaborate.items.layer_rates import find_whole_optimizers, spread_layers
from compiler.elaborate.items.metrics import MetricEntry, read_metrics
from compiler.elaborate.items.misfits import find_frozen_slopes, find_misfits
from compiler.elaborate.items.net_lints import find_net_lints
from compiler.elaborate.items.objective import Objective, read_minimize, settle_steps
from compiler.elaborate.items.reading import find_unread_augmentation, keep_used, reads_nothing
from compiler.elaborate.items.references import apply_model
from compiler.elaborate.items.regularizing import (
    Regularizing,
    read_regularize,
    settle_regularizers,
)
from compiler.elaborate.items.running import (
    check_recomputed,
    find_uncompiled,
    read_blocks,
    read_loggers,
)
from compiler.elaborate.items.samples import SampleEntry, read_sample, settle_samples
from compiler.elaborate.items.settings import (
    Freezing,
    Pattern,
    Stalled,
    check_watched,
    read_checkpoint,
    read_clip,
    read_freeze,
    read_until,
    settle_until,
)
from compiler.elaborate.items.solving import find_unsolvable
from compiler.elaborate.items.steps import Head, StepElaborator
from compiler.elaborate.items.thawing import check_thaws, settle_thaws
from compiler.elaborate.items.train_data import OpenData, TrainData, find_unread_data
from compiler.elaborate.items.training_lints import find_training_lints
from compiler.elaborate.items.updates import (
    StartEntry,
    UpdateEntry,
    find_buffers,
    find_update_faults,
    flatten_nets,
    read_buffers,
    read_updates,
)
from compiler.elaborate.scopes.context import Body, FileScope
from compiler.elaborate.values.describing import describe_layer
from compiler.elaborate.values.values import (
    ArgumentValue,
    BlockLayer,
    NetValue,
    Tensor,
    Val,
)
from compiler.ir.graph import Graph
from compiler.program.data import DataSet
from compiler.program.train import (
    EVALUATED,
    MetricUse,
    ParameterGroup,
    Train,
    TrainedNet,
    TrainStep,
)
from compiler.report.diagnostics import Message
from compiler.report.messages.evaluating_trains import (
    evaluates_nothing,
    trains_nothing,
)
from compiler.report.messages.holding import not_in_memory
from compiler.report.messages.nets import bad_label, two_of_a_name
from compiler.report.messages.training import (
    net_is_not_a_model,
    nothing_read,
)
from compiler.report.messages.training_steps import (
    objective_beside_steps,
)
from compiler.report.source import Span
from compiler.rows.batches import find_thin_norms
from compiler.rows.loss_parts import count_targets
from compiler.rows.rates import find_rate_faults
from compiler.text.tree.syntax import Clause
from compiler.text.tree.syntax import Train as TrainItem
from compiler.training.regularizers import L2
from compiler.vocabulary.clauses import TRAIN
from compiler.writing.names import free_name

TRAINING_CLAUSES = ("minimize", "clip", "until", "processes", "compile", "checkpoint")
"""Clauses that stand once, and say how something is trained."""


class TrainElaborator(ItemElaborator):
    """The elaboration of one train item with the values that are given to its parameters, and
    the defaults of the others."""

    home = TRAIN

    def __init__(
        self,
        scope: FileScope,
        item: TrainItem,
        open_data: OpenData,
        given: Mapping[str, ArgumentValue],
    ) -> None:
        super().__init__(scope)
        self.item = item
        self.open_data = open_data
        self.given = given
        self.objectives: list[Objective] = []
        self.steps = 0
        self.heads: list[Head] = []
        self.step_names: dict[str, Val] = {}
        self.metrics: list[MetricEntry] = []
        self.refused: set[str] = set()  # names of metrics that were refused
        self.samples: list[SampleEntry] = []
        self.starts: list[StartEntry] = []
        self.updates: list[UpdateEntry] = []
        self.regularizers: list[Regularizing] = []
        self.until: Stalled | None = None
        self.freeze: list[Freezing] = []
        self.recomputed: list[Pattern] = []
        self.loggers: list[str] = []
        self.values: dict[str, NetValue] = {}
        self.columns: dict[str, Span] = {}

    def run(self) -> Train | None:
        """The train; None where something was refused, which is reported."""
        context = open_given(self.scope, self.item, self.table, self.given)
        if context is None:
            return None
        context.body.item = self.item
        reserve_weights(context.builder, self.item)
        found = TrainData(self.scope, self.item, self.open_data)
        data = found.find(context)
        if data is not None:
            self.columns = found.declare(context, data)
        applied = True
        if self.item.of is not None and data is not None:
            applied = apply_model(self.scope, context, self.item, self.item.of, data)
        context.body.partial = data is None or not applied
        context.execute(self.item.body)
        if self.trains_nothing:
            self.check_idle(context.body)
        else:
            needed = (word for word in TRAIN.clauses if word != "minimize" or not self.steps)
            self.report_missing(context.body, self.item.name, *needed)
        if data is None or not applied:
            return None
        return self.finish(context, data)

    @property
    def trains_nothing(self) -> bool:
        """Whether it only evaluates: `epochs 0`."""
        return self.settings.get("epochs") == 0

    def check_idle(self, body: Body) -> None:
        """Reports clauses of a training where nothing is trained, and where nothing is evaluated
        either; `batch` may be left out there."""
        self.settings.setdefault("batch", EVALUATED)
        place = self.seen["epochs"]
        said = {word: self.seen[word] for word in TRAINING_CLAUSES if word in self.seen}
        if self.freeze:
            said["freeze"] = self.freeze[0].span
        if self.recomputed:
            said["checkpoint_activations"] = self.recomputed[0].span
        if self.loggers:
            said["log"] = self.item.name.span
        if self.heads:
            said["step"] = self.heads[0].name.span
        if self.regularizers:
            said["regularize"] = self.regularizers[0].span
        if self.updates:
            said["update"] = self.updates[0].span
        for word, span in said.items():
            body.report(trains_nothing(place, word, span))
        if not self.metrics and "metric" not in self.seen and not self.refused:
            body.report(evaluates_nothing(place, self.item.name.text))

    # --- clauses ----------------------------------------------------------------------------

    def take_minimize(self, body: Body, clause: Clause) -> None:
        """`minimize LOSS with OPT`."""
        found = read_minimize(body, clause)
        self.objectives += [found] if found is not None else []

    def take_step(self, body: Body, clause: Clause) -> None:
        """`step critic, every=5steps { … }`."""
        self.steps += 1
        step = StepElaborator(self.scope, self.take_metric)
        head = step.run(body, clause, self.heads)
        self.heads += [head] if head is not None else []
        self.objectives += [step.objective] if step.objective is not None else []
        self.updates += step.updates
        self.step_names |= step.bound

    def take_metric(self, body: Body, clause: Clause) -> None:
        """`metric accuracy = accuracy(logits, label)`."""
        self.metrics += read_metrics(body, clause, self.metrics)
        accepted = {"better", *(entry.name for entry in self.metrics)}
        named = {operand.name.text for operand in clause.operands if operand.name is not None}
        self.refused |= named - accepted

    def take_regularize(self, body: Body, clause: Clause) -> None:
        """`regularize group_lasso(1e-3) over "hidden"`."""
        found = read_regularize(body, clause)
        if found is not None:
            self.regularizers.append(found)

    def take_sample(self, body: Body, clause: Clause) -> None:
        """`sample grid = G(normal([64, 128])), every=1epoch`."""
        found = read_sample(body, clause, self.samples)
        self.samples += [found] if found is not None else []

    def take_buffer(self, body: Body, clause: Clause) -> None:
        """`buffer center: f32[1, 64] = zeros`."""
        self.starts += read_buffers(body, clause, self.columns)

    def take_update(self, body: Body, clause: Clause) -> None:
        """`update center = 0.9 * center + 0.1 * mean(logits, axis=0)`."""
        before = [entry for entry in self.updates if not entry.step]
        self.updates += read_updates(body, clause, before)

    def take_clip(self, body: Body, clause: Clause) -> None:
        """`clip norm=1.0`."""
        self.settings["clip"] = read_clip(body, clause)

    def take_checkpoint(self, body: Body, clause: Clause) -> None:
        """`checkpoint every=500steps`."""
        self.settings["checkpoint"] = read_checkpoint(body, clause)

    def take_until(self, body: Body, clause: Clause) -> None:
        """`until stalled(val.accuracy, epochs=8)`."""
        self.until = read_until(body, clause)

    def take_checkpoint_activations(self, body: Body, clause: Clause) -> None:
        """`checkpoint_activations "blocks.*"`."""
        self.recomputed += read_blocks(body, clause)

    def take_log(self, body: Body, clause: Clause) -> None:
        """`log tensorboard`."""
        self.loggers += read_loggers(body, clause, self.loggers)

    def take_freeze(self, body: Body, clause: Clause) -> None:
        """`freeze "stem.*", m, until=3epochs`."""
        self.freeze.append(read_freeze(body, clause))

    # --- the result -------------------------------------------------------------------------

    def finish(self, context: GraphContext, data: DataSet) -> Train | None:
        """The train, where everything was accepted."""
        nets = self.collect_nets(context)
        if nets is None or not self.has_objectives(context.body):
            return None
        uses = self.add_outputs(context)
        graph = context.graph()
        figures = data.split.names, self.metrics, self.losses, self.refused
        until = settle_until(context.body, self.until, *figures)
        if graph is None or uses is None:
            return None
        step, uses = _count_targets(keep_used(graph, data), uses)
        self.report_rows(context.body, step, data, uses)
        steps, frozen = self.settle_steps(context.body, nets, step)
        groups = [group for each in steps or () for group in each.groups]
        check_watched(context.body, groups, *figures)
        epochs = self.settings.get("epochs", math.inf)
        thaws = settle_thaws(context.body, self.freeze, frozen, nets, epochs)
        acting = settle_regularizers(context.body, self.find_penalties(groups), nets, frozen)
        check_recomputed(context.body, self.recomputed, nets)
        check_thaws(context.body, thaws, steps or (), acting)
        samples = settle_samples(context.body, self.samples, step)
        if steps is None or samples is None or context.graph() is None or self.lacks_settings:
            return None
        made = Train(
            self.item.name.text,
            nets,
            data,
            step,
            self.item.doc,
            self.item.name.span,
            thaws=thaws,
            buffers=tuple(find_buffers(context.body).values()),
            updates=tuple(entry.made for entry in self.updates),
            steps=steps,
            metrics=uses,
            samples=samples,
            until=until,
            regularizers=acting,
            freeze=frozen,
            recomputed=tuple(pattern.text for pattern in self.recomputed),
            loggers=tuple(self.loggers),
            **self.settings,
        )
        return _settle(made, context.body.report)

    def report_rows(
        self, body: Body, graph: Graph, data: DataSet, uses: tuple[MetricUse, ...]
    ) -> None:
        """Reports what does not fit between the graph, the columns that it reads, and figures."""
        unread_data = find_unread_data(self.item, graph, data)
        for message in unread_data:
            body.report(message)
        if not unread_data and reads_nothing(graph, data):
            columns = tuple(column.name for column in data.schema)
            body.report(nothing_read(self.item.on[0].span, self.item.name.text, columns))
        unread = find_unread_augmentation(self.item.name.text, graph, data)
        if unread is not None:
            body.report(unread)
        found = (find_missing_classes(graph, data), find_misuse(graph, data))
        told = (find_disagreements(graph, self.losses, uses), find_probabilities(graph, uses))
        for message in chain(*found, *told):
            body.report(message)

    @property
    def losses(self) -> tuple[str, ...]:
        """The outputs and figures that the objectives are."""
        return tuple(objective.made.loss for objective in self.objectives)

    def has_objectives(self, body: Body) -> bool:
        """Whether every objective was accepted; one beside steps is reported."""
        if self.heads and "minimize" in self.seen:
            names = tuple(head.name.text for head in self.heads)
            place = self.heads[0].name.span
            body.report(objective_beside_steps(self.seen["minimize"], names, place))
            return False
        return self.trains_nothing or len(self.objectives) == max(1, self.steps)

    def settle_steps(
        self, body: Body, nets: Sequence[TrainedNet], graph: Graph
    ) -> tuple[tuple[TrainStep, ...] | None, tuple[str, ...]]:
        """The steps, none where nothing is trained, and patterns of frozen parameters."""
        if self.trains_nothing:
            return (), ()
        late = [p for f in self.freeze if f.epochs is not None for p in f.patterns]
        kept = [p for f in self.freeze if f.epochs is None for p in f.patterns]
        return settle_steps(body, self.objectives, kept, nets, graph, late)

    def find_penalties(self, groups: Sequence[ParameterGroup]) -> list[Regularizing]:
        """What `regularize` says, and the ridges of optimizers, which are penalties as well."""
        place = self.item.name.span
        ridges = [
            Regularizing(L2(group.optimizer.ridge), (), group.span or place)
            for group in groups
            if group.optimizer.ridge
        ]
        return [*self.regularizers, *ridges]

    def add_outputs(self, context: GraphContext) -> tuple[MetricUse, ...] | None:
        """Declares the losses and what metrics read as outputs; the metrics in their terms."""
        for name, objective in zip(self.losses, self.objectives, strict=True):
            context.output(name, objective.loss, objective.span)
        names: dict[str, str] = {}
        for sample in self.samples:
            context.output(f"sample.{sample.name}", sample.tensor, sample.span)
        for start in self.starts:
            context.output(start.output, start.tensor, start.span)
        for entry in self.updates:
            context.output(entry.made.output, entry.tensor, entry.span)
        known = self.step_names | context.body.names[-1]
        bound = {t.value.name: n for n, t in known.items() if isinstance(t, Tensor)}
        uses = []
        for use in self.metrics:
            arguments: list[str | None] = []
            for tensor in use.arguments:
                if tensor is None:
                    arguments.append(None)
                    continue
                value = context.home.value_of(tensor)
                if value.name not in names:
                    wish = bound.get(value.name, value.name)
                    taken = (*names.values(), *self.losses)
                    names[value.name] = _choose_name(wish, use.name, taken)
                    context.output(names[value.name], tensor, tensor.made)
                arguments.append(names[value.name])
            uses.append(MetricUse(use.name, use.metric, tuple(arguments), use.span, use.better))
        return tuple(uses)

    def collect_nets(self, context: GraphContext) -> tuple[TrainedNet, ...] | None:
        """The nets of the train, each with a graph of its own."""
        body = context.body
        found: list[TrainedNet] = []
        accepted = True
        buffers = find_buffers(body)
        for name, value in body.nets.items():
            if name in buffers:  # both are attributes of what is trained
                first = buffers[name].origin or self.item.name.span
                body.report(two_of_a_name(next(flatten_nets([value])).span, "part", name, first))
                accepted = False
            if "." in name:  # each net is a module of the script, under its name
                span = next(flatten_nets([value])).span
                body.report(bad_label(span, name, "the name of a net of a train has no dot"))
                accepted = False
        placed = [*flatten_nets(body.nets.values()), *context.home.nets.values()]
        for net in placed:
            if not isinstance(net.layer, BlockLayer) or net.layer.kind != "model":
                body.report(net_is_not_a_model(net.span, net.name, describe_layer(net.layer)))
                accepted = False
                continue
            prefix = f"{net.path}." if net.path else ""
            self.values[prefix] = net
            made = elaborate_plain_net(net)
            if made is None:
                accepted = False
                continue
            trained = TrainedNet(net.name, made, prefix)
            if net.average is not None and net.source is not None:
                source = f"{net.source.path}."
                trained = replace(trained, average=net.average.function, source=source)
                place = net.average.span or net.span
                self.freeze.append(Freezing((Pattern(f"{prefix}*", place),), None, place))
            found.append(trained)
        found.sort(key=lambda net: net.average is not None)  # what they copy is made before them
        return tuple(found) if accepted else None


def _settle(made: Train, report: Callable[[Message], None]) -> Train | None:
    """A train whose weights hold what it does to them, with a rate for each layer that asks for
    one; None where they cannot, which is reported."""
    for message in chain(_find_faults(made), find_whole_optimizers(made)):
        report(message)
    adapted = adapt_train(made, report)
    spread = spread_layers(adapted) if adapted is not None else None
    for message in find_frozen_slopes(spread) if spread is not None else ():
        report(message)
    return spread


def _find_faults(train: Train) -> Iterator[Message]:
    """What is wrong with a train, or most likely not meant, whatever its clauses say one by one."""
    return chain(
        _find_unheld(train),
        find_misfits(train),
        find_uncompiled(train),
        find_unsolvable(train),
        find_draw_faults(train),
        find_update_faults(train),
        find_thin_norms(train, train.rows),
        find_rate_faults(train),
        find_net_lints(train.graph),
        find_training_lints(train),
    )


def _find_unheld(train: Train) -> Iterator[Message]:
    """What needs all rows at once of data whose rows are not in memory."""
    lazy = next((part for part in train.data.parts if part.is_lazy), None)
    if lazy is None:
        return
    if train.data.members:
        reason = "rows of several data sets are read at once"
        yield not_in_memory(train.span, str(lazy.hold), reason)
    for group in train.groups:
        if group.optimizer.solves:
            reason = f"`{group.optimizer.name}` reads all rows at once"
            yield not_in_memory(group.span or train.span, str(lazy.hold), reason)


def _choose_name(value: str, metric: str, taken: Collection[str]) -> str:
    """The output's name of a value: its own, or the metric's where it has none."""
    base = value if not value.startswith("%") and value != "loss" else metric
    return free_name(base, {*taken, "loss"}, ".")


def _count_targets(step: Graph, uses: Iterable[MetricUse]) -> tuple[Graph, tuple[MetricUse, ...]]:
    """Metrics that are weighted means count by their weights."""
    made = []
    for use in uses:
        step, counted = count_targets(step, use)
        made.append(counted)
    return step, tuple(made)
