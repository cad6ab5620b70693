"""What the text of a training script depends on, read off a train once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Output
from compiler.ir.weights import match_paths
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.train import MetricUse, Train, TrainedNet
from compiler.rows.loss_parts import measure_loss
from compiler.training.base import Penalty, ProximalStep
from compiler.training.figure import Figure
from compiler.vocabulary.clauses import TRAIN, find_said
from compiler.writing.names import SCRIPT_GLOBALS, SCRIPT_LOCALS, name_all

EVALUATION_NAMES = SCRIPT_GLOBALS | SCRIPT_LOCALS
"""Names that the script itself uses where it also uses names of outputs and columns."""


@dataclass(frozen=True)
class Monitor:
    """The figure that says which weights are best: `val.accuracy`, more is better."""

    split: str
    metric: str
    higher: bool

    @property
    def name(self) -> str:
        """As it stands in metrics.jsonl."""
        return f"{self.split}.{self.metric}"


@dataclass(frozen=True)
class ScriptSpec:
    """A train as its script sees it. `starts` are checksums of the weights to start from, `masks`
    of what says which of their zeros stay; empty where there are none."""

    train: Train
    starts: str = ""
    masks: str = ""

    @cached_property
    def measured(self) -> tuple[Graph, MetricUse]:
        """The step with the outputs that the loss is measured by, and the loss as a figure."""
        return measure_loss(self.train)

    @cached_property
    def uses(self) -> tuple[MetricUse, ...]:
        """All figures of a split, the loss first."""
        return (self.measured[1], *self.train.metrics)

    @cached_property
    def charts(self) -> tuple[str, ...]:
        """Names of the figures that are no numbers."""
        return tuple(use.name for use in self.train.metrics if use.metric.chart is not None)

    @cached_property
    def step(self) -> Graph:
        """The objective with nothing but the loss, first, and what the figures read."""
        step = self.measured[0]
        inputs = {item.value.name for item in step.inputs}
        read = {name for use in self.uses for name in use.reads}
        loss = next(o for o in step.outputs if o.name == "loss")
        rest = [
            o
            for o in step.outputs
            if o.name in read and o.name != "loss" and o.value.name not in inputs
        ]
        return DeadCode().run(replace(step, outputs=(loss, *rest)), Context())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that the objective reads, in the order of its inputs."""
        return tuple(item.name for item in self.step.inputs)

    @cached_property
    def column_graph(self) -> Graph:
        """The column expressions of these columns and no others."""
        graph = self.train.data.columns
        outputs = {o.name: o for o in graph.outputs}
        wanted: tuple[Output, ...] = tuple(outputs[name] for name in self.columns)
        pruned = DeadCode().run(replace(graph, outputs=wanted), Context())
        read = {v.name for node in pruned.nodes for v in node.inputs if v is not None}
        read |= {o.value.name for o in wanted}
        return replace(pruned, inputs=tuple(i for i in pruned.inputs if i.value.name in read))

    @cached_property
    def statistics(self) -> tuple[str, ...]:
        """Paths of the fitted figures of these columns, in the order in which they are fitted."""
        fitted = self.column_graph.parameter
        return tuple(s.path for s in self.train.data.statistics if s.path in fitted)

    @cached_property
    def argument_names(self) -> Mapping[str, str]:
        """Python names of the outputs that figures read, by the outputs' names."""
        read = (name for use in self.uses for name in use.reads if name != "loss")
        return {"loss": "loss"} | name_all(read, EVALUATION_NAMES | self.functions.keys())

    @cached_property
    def written(self) -> dict[tuple[str, ...], str]:
        """Functions of graphs of the script as text, by what they are of: writing one takes longer
        than all else, and where it is used asks for it again."""
        return {}

    @cached_property
    def functions(self) -> Mapping[str, str]:
        """The functions that figures call, by their names."""
        codes = (use.metric.code(use.arguments) for use in self.uses)
        texts = dict.fromkeys(text.strip() for code in codes for text in code.functions)
        return {text.removeprefix("def ").partition("(")[0]: text for text in texts}

    @cached_property
    def column_of(self) -> Mapping[str, int]:
        """Outputs of the objective that are columns, and which."""
        places = {item.value.name: place for place, item in enumerate(self.step.inputs)}
        outputs = self.measured[0].outputs
        return {o.name: places[o.value.name] for o in outputs if o.value.name in places}

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, training first."""
        return self.train.data.split.names

    @cached_property
    def monitor(self) -> Monitor:
        """What `until` watches; else the first metric of the validation split of which it is known
        which figure is better, else its loss; the training loss where nothing else is measured."""
        until = self.train.until
        if until is not None:
            return self._monitor(until.split, until.metric)
        if "val" not in self.splits:
            return Monitor("train", "loss", higher=False)
        directed = [use.name for use in self.train.metrics if use.better is not None]
        return self._monitor("val", directed[0] if directed else "loss")

    @cached_property
    def choice(self) -> str:
        """How the weights that are kept are chosen, for reports."""
        if self.keeps_last:
            return "the last one is kept"
        return f"by {self.monitor.name}, {'higher' if self.monitor.higher else 'lower'} is better"

    @property
    def keeps_last(self) -> bool:
        """Whether the last weights are the best: where some are driven to zero, earlier ones have
        fewer zeros."""
        shrinks = any(isinstance(r.regularizer, ProximalStep) for r in self.train.regularizers)
        return shrinks and self.train.until is None

    @property
    def penalties(self) -> tuple[tuple[Penalty, tuple[str, ...]], ...]:
        """The penalties, and the paths of the weights that they act on."""
        return tuple(
            (item.regularizer, tuple(path for layer in item.layers for path in layer))
            for item in self.train.regularizers
            if isinstance(item.regularizer, Penalty)
        )

    def _monitor(self, split: str, metric: str) -> Monitor:
        uses = {use.name: use for use in self.train.metrics}
        higher = metric in uses and uses[metric].better == "higher"
        return Monitor(split, metric, higher=higher)

    @cached_property
    def evaluated(self) -> tuple[str, ...]:
        """Splits that are evaluated after every epoch."""
        splits = ["val"] if "val" in self.splits else []
        followed = ((figure.split, figure.metric) for figure in self.watched.values())
        for split, metric in ((self.monitor.split, self.monitor.metric), *followed):
            if split not in splits and (split, metric) != ("train", "loss"):
                splits.append(split)
        return tuple(splits)

    @cached_property
    def single(self) -> bool:
        """Whether the only net is the train itself (`train f of M`)."""
        return len(self.train.nets) == 1 and not self.train.nets[0].prefix

    def paths(self, net: TrainedNet) -> list[str]:
        """Paths of the parameters of a net, as the train calls them."""
        return [net.prefix + p.path for p in net.net.graph.parameters if p.trainable]

    def is_frozen(self, net: TrainedNet) -> bool:
        """Whether no parameter of a net is trained."""
        paths = self.paths(net)
        return len(match_paths(paths, self.train.freeze)) == len(paths)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The variables of what a checkpoint holds the state of."""
        followed = bool(self.watched) if self.shares_optimizer else len(self.watched)
        plateaus = [f"plateau_{n + 1}" if n else "plateau" for n in range(followed)]
        optimizers = [f"optimizer_{number + 1}" for number in range(len(self.train.groups))]
        scaler = ["scaler"] if self.scales else []
        return (
            "model",
            *(["optimizer"] if self.shares_optimizer else optimizers),
            *scaler,
            *plateaus,
        )

    @property
    def distributed(self) -> bool:
        """Whether the script can share a training among processes."""
        return self.train.processes == "ddp"

    @property
    def averages(self) -> bool:
        """Whether gradients are averaged among processes after they are computed."""
        return self.distributed and not self.replicated

    @property
    def autocast(self) -> str:
        """The dtype of mixed precision in PyTorch; empty where there is none."""
        return {"bf16": "torch.bfloat16", "f16": "torch.float16"}.get(self.train.precision, "")

    @property
    def scales(self) -> bool:
        """Whether losses are scaled, so that f16 holds their gradients."""
        return self.train.precision == "f16"

    @property
    def draws(self) -> bool:
        """Whether a step draws random numbers."""
        return any(node.op.draws for node in self.step.nodes)

    @cached_property
    def replicated(self) -> bool:
        """Whether several processes can share gradients through a replica of the net: the loss
        calls it once, takes nothing else from it, not even a derivative, and needs every parameter
        that is trained."""
        if not self.single or self.evaluates or not self.distributed:
            return False
        if any(node.op.of_graph for node in self.step.nodes):
            return False
        readers: dict[Frame | None, None] = {}
        for node in self.step.nodes:
            if any(v is not None and v.name in self.step.parameter for v in node.inputs):
                readers[node.scope.chain[1] if node.scope.chain[1:] else None] = None
        whole = [frame for frame in readers if frame is not None and not frame.path]
        (net,) = self.train.nets
        trained = set(self.paths(net)) - set(match_paths(self.paths(net), self.train.freeze))
        return len(whole) == len(readers) == 1 and trained <= self._find_learning()

    def _find_learning(self) -> set[str]:
        """The values that the loss has gradients to."""
        needed = {next(o.value.name for o in self.step.outputs if o.name == "loss")}
        for node in reversed(self.step.nodes):
            if any(v.name in needed and v.type.dtype.is_float for v in node.outputs):
                needed.update(v.name for v in node.inputs if v is not None)
        return needed

    @cached_property
    def shares_optimizer(self) -> bool:
        """Whether one optimizer holds all groups of parameters: they have one class, and what acts
        on all groups of an optimizer is meant for all of them."""
        first, *others = (group.optimizer for group in self.train.groups)
        return all(
            type(other) is type(first)
            and other.definition == first.definition
            and (other.schedule == first.schedule or not self.watched)
            for other in others
        )

    @cached_property
    def watched(self) -> Mapping[int, Figure]:
        """The figures that learning rates follow, by the groups of parameters."""
        figures = (group.optimizer.schedule.watches for group in self.train.groups)
        return {number: figure for number, figure in enumerate(figures) if figure is not None}

    @property
    def evaluates(self) -> bool:
        """Whether a step of the optimizer evaluates the loss several times."""
        return any(group.optimizer.evaluates for group in self.train.groups)

    @property
    def solves(self) -> bool:
        """Whether a step solves for the weights over all rows."""
        return any(group.optimizer.solves for group in self.train.groups)

    @cached_property
    def has_buffers(self) -> bool:
        """Whether a net that is trained holds running statistics."""
        return any(
            not p.trainable
            for net in self.train.nets
            if not self.is_frozen(net)
            for p in net.net.graph.parameters
        )

    @cached_property
    def settings(self) -> Mapping[str, object]:
        """The values of the clauses of one value, by their words."""
        words = [word for word in TRAIN.clauses.values() if word.setting is not None]
        return {word.word: getattr(self.train, word.field) for word in words}

    @cached_property
    def said(self) -> frozenset[str]:
        """The words of the clauses that the train has."""
        return frozenset(word.word for word, _ in find_said(TRAIN, self.train))
