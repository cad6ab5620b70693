"""Variant items: which passes change which net, for which target, and what must hold after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from compiler.compression.attach import find_net, find_obstacle
from compiler.compression.base import COMPRESSION, CompressionPass, pass_of
from compiler.compression.devices import DEVICES
from compiler.compression.low_rank.layers import walk_nodes
from compiler.compression.registry import load_compression
from compiler.compression.requirements import isolate
from compiler.compression.selecting import is_adapter, layer_path
from compiler.compression.wording import describe_pass
from compiler.elaborate.api import open_graph
from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.calls.described import build_described, find_class
from compiler.elaborate.calls.net_functions import is_net_function
from compiler.elaborate.items.item_elaborator import ItemElaborator
from compiler.elaborate.items.operands import read_single, read_texts, read_word, refuse_word
from compiler.elaborate.items.requirements import Owners, RequireReader
from compiler.elaborate.items.sizes import refuse_twice
from compiler.elaborate.items.subjects import Base, OpenTrain
from compiler.elaborate.scopes.context import Body, FileScope, malformed
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import Known, Poison
from compiler.ir.graph import Graph
from compiler.ir.weights import path_matches
from compiler.program.net import Net
from compiler.program.requirement import Requirement
from compiler.program.train import Train, TrainedNet
from compiler.program.variant import Step, Target, Variant
from compiler.report.diagnostics import Message
from compiler.report.messages.deployments import unknown_dim
from compiler.report.messages.nets import only_on_nets
from compiler.report.messages.solving import no_closed_form
from compiler.report.messages.training_steps import not_with_steps
from compiler.report.messages.tuning import average_never_begins, nothing_to_train_on
from compiler.report.messages.variants import no_such_layer, pass_too_late, target_size
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.rows.rates import find_rate_faults
from compiler.text.tree.syntax import (
    Argument,
    Call,
    Clause,
    Declare,
    Expr,
    Group,
    ListExpr,
    Operand,
    Then,
)
from compiler.text.tree.syntax import Variant as VariantItem
from compiler.vocabulary.clauses import VARIANT

PATTERNS = ("only", "except", "keep")
"""Options of passes that hold patterns of layer paths."""


class VariantElaborator(ItemElaborator):
    """The elaboration of one variant item."""

    home = VARIANT

    def __init__(
        self,
        scope: FileScope,
        item: VariantItem,
        base: Base | None,
        others: Mapping[str, Train | None],
        open_train: OpenTrain,
    ) -> None:
        load_compression()
        super().__init__(scope)
        self.item = item
        self.base = base
        train = base.train if base is not None else None
        net = base.net.name if base is not None else ""
        known = base is not None
        self.owners = Owners(item.name.text, train, others, open_train, known=known, net=net)
        self.steps: list[Step] = []
        self.target: Target | None = None
        self.requires: list[Requirement] = []

    def run(
        self,
        name: str,
        arguments: Sequence[Argument] = (),
        caller: Body | None = None,
        call: Span | None = None,
    ) -> Variant | None:
        """The variant under a name, with its parameters from the arguments of a reference; None
        where something was refused, which is reported. Where its net was, the faults of its own
        clauses are reported all the same."""
        before = self.scope.session.faults
        context = open_graph(self.scope, self.item, self.table, arguments, caller, call)
        if context is None:
            return None
        context.execute(self.item.body)
        self.check_order()
        base, item = self.base, self.item
        if base is None:
            return None
        if self.scope.session.faults == before:
            self.check_goals(base)
            self.check_training(base)
        if self.scope.session.faults > before:
            return None
        return Variant(
            name,
            base.train.name if base.train is not None else None,
            base.net.name,
            base.net.graph,
            item.doc,
            item.name.span,
            base.net if base.train is None else None,
            base.prefix,
            base.columns,
            steps=tuple(self.steps),
            target=self.target or Target(span=item.name.span),
            requires=tuple(self.requires),
        )

    # --- apply ------------------------------------------------------------------------------

    def take_apply(self, body: Body, clause: Clause) -> None:
        """`apply prune(channels=50%) -> quantize(int8)`."""
        expression = read_single(body, clause)
        for stage in _find_stages(expression) if expression is not None else ():
            cls = find_class(stage, COMPRESSION)
            if cls is None:
                _refuse_stage(body, clause, stage)
                continue
            made: CompressionPass | None = build_described(body, stage, cls)
            if made is not None and self.accept_patterns(body, stage):
                self.steps.append(Step(made, stage.span))

    def accept_patterns(self, body: Body, stage: Expr) -> bool:
        """Whether the patterns of a pass name layers, as far as these are known."""
        return self.base is None or _check_patterns(body, stage, self.base.net.graph)

    def check_order(self) -> None:
        """Reports passes that find nothing to work on behind others: weights in floats behind a
        quantization that leaves none, or a second quantization."""
        for number, step in enumerate(self.steps):
            made = pass_of(step)
            before = (s for s in self.steps[:number] if not made.can_follow(pass_of(s)))
            first = next(before, None)
            if first is None:
                continue
            name, quantized = made.name, describe_pass(pass_of(first))
            again = name == pass_of(first).name
            name = describe_pass(made) if again else name
            self.scope.session.report(
                pass_too_late(step.span, name, quantized, first.span, again=again)
            )

    def check_goals(self, base: Base) -> None:
        """Reports passes that cannot do their work on the net, or with what the variant
        requires."""
        isolated = [found for r in self.requires if (found := isolate(r)) is not None]
        bounded = [figure.name for figure, relation, _ in isolated if relation in ("<", "<=")]
        graph = base.net.graph
        adapted = any(is_adapter(p.path) for p in graph.parameters)  # and merged, before any pass
        for number, step in enumerate(self.steps):
            before = [pass_of(s) for s in self.steps[:number]]
            known = graph if all(b.keeps_layers for b in before) and not adapted else None
            fault = pass_of(step).find_unprepared(before, graph, step.span)
            fault = fault or pass_of(step).find_fault(known, bounded, step.span)
            target = self.target or Target()
            fault = fault or pass_of(step).find_target_fault(target, step.span)
            if fault is not None:
                self.scope.session.report(fault)

    def check_training(self, base: Base) -> None:
        """Reports passes that would train the net on or judge it, where there is no train to do so,
        or the train does not let another net take its place."""
        steps = [step for step in self.steps if pass_of(step).attaches]
        if base.train is None or not base.train.learns:
            for step in steps:
                self.scope.session.report(nothing_to_train_on(step.span, pass_of(step).name))
        if base.train is None:
            for step in self.steps:
                if (message := pass_of(step).find_dataless(step.span)) is not None:
                    self.scope.session.report(message)
            return
        if not steps or not base.train.learns:
            return
        if len(base.train.steps) > 1:
            for step in steps:
                self.scope.session.report(
                    not_with_steps(
                        step.span,
                        f"`{pass_of(step).name}`",
                        f"`{base.train.name}` has no loss that says how good `{base.net.name}` is",
                        "quantize weights alone, or train a net on what this one puts out",
                    )
                )
            return
        found = chain(
            *(_find_training_faults(step, base.train) for step in steps),
            _find_attaching_faults(steps, base.train, base.net),
        )
        for message in found:
            self.scope.session.report(message)

    # --- target -----------------------------------------------------------------------------

    def take_target(self, body: Body, clause: Clause) -> None:
        """`target cpu(threads=2), batch=1`."""
        operands = read_operands(body, clause)
        if not operands:
            return
        first = operands[0]
        if first.name is not None or isinstance(first.value, Declare):
            malformed(body, clause, first.span, "a device comes first: `cpu` or `cuda`")
            return
        cls = find_class(first.value, DEVICES)
        word = read_word(first.value)
        if cls is None:
            if word is not None:
                refuse_word(body, word, "target", DEVICES.names())
            else:
                malformed(body, clause, first.span, "a device belongs here: `cpu` or `cuda`")
            return
        device = build_described(body, first.value, cls)
        sizes = [self.read_size(body, clause, operand) for operand in operands[1:]]
        refuse_twice([o.name for o in operands[1:] if o.name is not None], body.report)
        found = tuple(size for size in sizes if size is not None)
        if device is not None and len(found) == len(sizes):
            self.target = device.aim(found, clause.span)

    def read_size(self, body: Body, clause: Clause, operand: Operand) -> tuple[str, int] | None:
        """`batch=1`; None where it is refused, which is reported."""
        if operand.name is None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a size gets a number: `batch=1`")
            return None
        name = operand.name
        known = self.base.net.graph.symbols if self.base is not None else (name.text,)
        if name.text not in known:
            near = did_you_mean(name.text, known)
            body.report(unknown_dim(name.span, name.text, tuple(known), near))
            return None
        value = body.evaluate(operand.value)
        size = whole(value) if isinstance(value, Known) and value.unit is None else None
        if isinstance(value, Poison):
            return None
        if not isinstance(size, int) or size < 1:
            number = value.value if isinstance(value, Known) and value.is_number else None
            found = str(number) if number is not None else describe(value)
            body.report(target_size(operand.value.span, name.text, found))
            return None
        return name.text, size

    # --- require ----------------------------------------------------------------------------

    def take_require(self, body: Body, clause: Clause) -> None:
        """`require test.accuracy >= 96% and size <= 24KiB`; may stand more than once."""
        for operand in read_operands(body, clause):
            if operand.name is not None or isinstance(operand.value, Declare):
                malformed(body, clause, operand.span, "a comparison belongs here")
            else:
                self.requires += RequireReader(body, self.owners).read(operand.value)


def _find_training_faults(step: Step, train: Train) -> Iterator[Message]:
    """What a pass that trains a net on, or judges it, cannot take from its train."""
    made = pass_of(step)
    idle = made.find_idle_setting(train.graph, step.span)
    if idle is not None:
        yield idle
    if epochs := made.trained_epochs:
        yield from find_rate_faults(train, epochs=epochs, trainer=(made.name, step.span))
    for group in train.groups if made.trains else ():
        if group.optimizer.solves:
            reason = f"`{made.name}` goes on from the weights that there are"
            yield no_closed_form(step.span, group.optimizer.name, reason)


def _find_attaching_faults(steps: Sequence[Step], train: Train, net: Net) -> Iterator[Message]:
    """Why a train does not let another net take the place of this one, or of one like it."""
    own = find_net(train, net.name)
    for step in steps:
        if (message := find_idle_average(own, step)) is not None:
            yield message
    places = tuple(step.span for step in steps if step.span is not None)
    kept = net.graph.parameter.keys()
    for other in train.find_alike(own):
        fault = find_obstacle(train, other.name, kept, places, measured=other is own)
        if fault is not None:
            yield fault


def find_idle_average(net: TrainedNet, step: Step) -> Message | None:
    """What is wrong with a pass that trains an average on for too short a time to change it."""
    made = pass_of(step)
    counted = net.average.epochs if net.average is not None else None
    epochs = made.trained_epochs if made.trains else 0
    if counted is None or not epochs or epochs >= sum(counted):
        return None
    return average_never_begins(step.span, made.name, epochs, net.name, sum(counted), net.net.span)


def _find_stages(expression: Expr) -> Iterator[Expr]:
    """The passes of `a -> b -> c`, in order."""
    match expression:
        case Then(left=left, right=right):
            yield from _find_stages(left)
            yield from _find_stages(right)
        case Group(inner=inner):
            yield from _find_stages(inner)
        case _:
            yield expression


def _refuse_stage(body: Body, clause: Clause, stage: Expr) -> None:
    """Reports what stands in `apply` and is no pass."""
    word = read_word(stage)
    if word is None:
        malformed(body, clause, stage.span, "a compression pass belongs here")
    elif word.text == "load" or is_net_function(word.text):
        body.report(only_on_nets(word.span, word.text))
    else:
        refuse_word(body, word, COMPRESSION.kind, COMPRESSION.names())


# --- patterns ---------------------------------------------------------------------------------


def _check_patterns(body: Body, stage: Expr, graph: Graph) -> bool:
    """Whether every pattern of `only=` and `except=` names a layer of the net. A path below a
    layer is accepted: an earlier pass may make it."""
    paths = list(dict.fromkeys(layer_path(node) for node, _ in walk_nodes(graph)))
    accepted = True
    for text, span in _find_patterns(body, stage):
        if any(path_matches(path, text) or text.startswith(f"{path}.") for path in paths):
            continue
        accepted = False
        owned = {p.path.rpartition(".")[0] for p in graph.parameters}
        shown = tuple(path for path in paths if path in owned)
        body.report(no_such_layer(span, text, shown, did_you_mean(text, paths)))
    return accepted


def _find_patterns(body: Body, stage: Expr) -> Iterator[tuple[str, Span]]:
    """The patterns in a pass and in its options, and where each stands."""
    while isinstance(stage, Group):
        stage = stage.inner
    if not isinstance(stage, Call):
        return
    for argument in stage.arguments:
        if argument.name is None or argument.name.text not in PATTERNS:
            yield from _find_patterns(body, argument.value)
            continue
        items = argument.value.items if isinstance(argument.value, ListExpr) else (argument.value,)
        for item in items:
            for text in read_texts(body.evaluate(item)) or ():
                yield text, item.span
