"""What the text of a training script depends on, read off a train once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from backends.pytorch.modules import emit_module
from backends.pytorch.train.computed import OptimizerSpec, prune
from backends.pytorch.train.draws import TrainDraws
from backends.pytorch.train.graphs import ScriptGraphs
from backends.pytorch.train.numbers import Number, TrainNumbers
from compiler.data.joined import name_fitted, qualify
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Output
from compiler.ir.modes import take_evaluation
from compiler.ir.weights import match_paths
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.data import DataSet
from compiler.program.recomputed import find_recomputed
from compiler.program.train import MetricUse, TrainedNet, TrainStep
from compiler.training.base import Penalty, ProximalStep
from compiler.training.figure import Figure
from compiler.vocabulary.clauses import TRAIN, find_said
from compiler.vocabulary.duration import NO_TIME
from compiler.vocabulary.ramps import Ramp
from compiler.writing.names import SCRIPT_GLOBALS, free_name, is_key, name_all, safe_name


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
class ScriptSpec(ScriptGraphs):
    """A train as its script sees it. `starts` are checksums of the weights to start from, `masks`
    of what says which of their zeros stay; empty where there are none. `starts_averages`: the
    weights to start from hold those of averages too, which else begin as what they follow."""

    starts: str = ""
    masks: str = ""
    starts_averages: bool = False

    @cached_property
    def extends(self) -> bool:
        """Whether more epochs are more of the same: no rate, no setting and no number follows from
        how many there are."""
        followed = [
            tuple(g.optimizer.schedule.code("steps", "steps_per_epoch")) for g in self.train.groups
        ]
        ramps = [ramp for g in self.train.groups for ramp in g.optimizer.ramps.values()]
        ramps += [
            r for n in self.followers if isinstance(r := getattr(n.average, "decay", 0), Ramp)
        ]
        followed += [tuple(ramp.code("steps", "steps_per_epoch")) for ramp in ramps]
        timed = bool(self.numbers.numbers) or any(
            getattr(g.optimizer.schedule, "warmup", NO_TIME).unit == "share"
            for g in self.train.groups
        )
        return not timed and not any(re.search(r"\bsteps\b", ln) for f in followed for ln in f)

    @property
    def data(self) -> DataSet:
        """The data whose rows it reads."""
        return self.train.data

    @cached_property
    def sets(self) -> tuple[ScriptSpec, ...]:
        """The script as its data sets see it, of which each is loaded by a function of its own;
        itself where there is one."""
        if not self.data.members:
            return (self,)
        taken = {*SCRIPT_GLOBALS, *self.functions}
        names = name_all(member.name for member in self.data.members)
        loaders = {n: free_name(f"load_{name}_rows", taken, "_") for n, name in names.items()}
        return tuple(
            MemberSpec(
                self.train,
                self.starts,
                self.masks,
                member=member,
                function=loaders[member.name],
            )
            for member in self.data.members
        )

    @property
    def loader(self) -> str:
        """The function that loads the rows."""
        return "load_splits"

    @property
    def fitted(self) -> str:
        """The file with the figures of its columns."""
        return name_fitted([part.name for part in self.train.data.parts])[self.data.name]

    def find_column(self, read: str) -> str | None:
        """What a column that the objective reads is called in the data; None where it is of
        another data set."""
        return read

    @cached_property
    def column_graph(self) -> Graph:
        """The column expressions of these columns and no others."""
        graph = self.data.columns
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
        return tuple(s.path for s in self.data.statistics if s.path in fitted)

    @cached_property
    def written(self) -> dict[tuple[str, ...], str]:
        """Functions of graphs of the script as text, by what they are of: writing one takes longer
        than all else, and where it is used asks for it again."""
        return {}

    @cached_property
    def column_of(self) -> Mapping[str, int]:
        """Outputs of the objective that are columns, and which."""
        places = {item.value.name: place for place, item in enumerate(self.graph.inputs)}
        outputs = self.measured[0].outputs
        return {o.name: places[o.value.name] for o in outputs if o.value.name in places}

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, training first."""
        return self.train.data.split.names

    @cached_property
    def monitor(self) -> Monitor:
        """What `until` watches; else the first metric of the validation split of which it is known
        which figure is better, and which changes with the training, else its loss; the training
        loss where nothing else is measured."""
        until = self.train.until
        if until is not None:
            return self._monitor(until.split, until.metric)
        loss = self.train.losses[0]
        if "val" not in self.splits:
            return Monitor("train", loss, higher=False)
        known = [use for use in self.train.metrics if use.better is not None]
        directed = [use.name for use in known if self.follows_training(use)]
        return self._monitor("val", directed[0] if directed else loss)

    def follows_training(self, use: MetricUse) -> bool:
        """Whether a figure reads what the training changes: a net that a step updates, an average,
        a buffer of the train."""
        updated = {path for step in self.train.steps for path in self.train.find_updated(step)}
        moving = tuple(
            net.prefix
            for net in self.train.nets
            if net.average is not None or any(path.startswith(net.prefix) for path in updated)
        )
        buffers = {buffer.path for buffer in self.train.buffers}
        outputs = [output for output in self.graph.outputs if output.name in use.reads]
        read = prune(self.graph, outputs).parameters
        return any(p.path.startswith(moving) or p.path in buffers for p in read)

    @cached_property
    def choice(self) -> str:
        """How the weights that are kept are chosen, for reports."""
        if not self.train.learns:
            return "they are as they were"
        if self.keeps_last:
            return "the last one is kept"
        return f"by {self.monitor.name}, {'higher' if self.monitor.higher else 'lower'} is better"

    @property
    def keeps_last(self) -> bool:
        """Whether the last weights are the best: where some are driven to zero, earlier ones have
        fewer zeros; and no loss of several steps says by itself which nets are good."""
        if self.train.until is not None:
            return False
        if self.alternates and self.monitor.metric in self.train.losses:
            return True
        return any(isinstance(r.regularizer, ProximalStep) for r in self.train.regularizers)

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
            trained = split == "train" and metric in self.train.losses
            if split not in splits and not trained:
                splits.append(split)
        return tuple(splits)

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """Splits that the weights which are kept are evaluated on."""
        return tuple(name for name in self.splits if name != "train") or ("train",)

    @cached_property
    def single(self) -> bool:
        """Whether the only net is the train itself (`train f of M`)."""
        return len(self.train.nets) == 1 and not self.train.nets[0].prefix

    def find_nets(self, graph: Graph) -> list[TrainedNet]:
        """The nets that take part in a graph."""
        if self.draws.augments(graph):
            return []
        called = {n.scope.chain[1].path for n in graph.nodes if len(n.scope.chain) > 1}
        named = {*called, *(p.path for p in graph.parameters)}
        return [
            net
            for net in self.train.nets
            if net.prefix.removesuffix(".") in called
            or any(path.startswith(net.prefix) for path in named)
        ]

    @cached_property
    def attributes(self) -> frozenset[str]:
        """What the classes of the nets call their attributes."""
        text = emit_module([net.net.graph for net in self.train.nets], title=self.train.name)
        return frozenset(re.findall(r"\bself\.(\w+)", text))

    @property
    def followers(self) -> tuple[TrainedNet, ...]:
        """The nets that follow others."""
        return tuple(net for net in self.train.nets if net.average is not None)

    def paths(self, net: TrainedNet) -> list[str]:
        """Paths of the parameters of a net, as the train calls them."""
        return [net.prefix + p.path for p in net.net.graph.parameters if p.trainable]

    def is_frozen(self, net: TrainedNet) -> bool:
        """Whether no parameter of a net is trained."""
        paths = self.paths(net)
        return len(match_paths(paths, self.train.freeze)) == len(paths)

    def find_rest(self, net: TrainedNet) -> int:
        """How many epochs a net is frozen whole at first; 0 where it is not, or always is."""
        paths = self.paths(net)
        for thaw in self.train.thaws:
            kept = match_paths(paths, (*thaw.patterns, *self.train.freeze))
            if len(kept) == len(paths) and not self.is_frozen(net):
                return thaw.epochs
        return 0

    @cached_property
    def recomputed(self) -> tuple[str, ...]:
        """The modules that keep no results for the backward pass: of blocks inside others the
        outer ones."""
        return tuple(find_recomputed(self.train.nets, self.train.recomputed))

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The variables of what a checkpoint holds the state of."""
        followed = sum(any(n in self.watched for n in o.groups) for o in self.optimizers)
        plateaus = [f"plateau_{n + 1}" if n else "plateau" for n in range(followed)]
        scaler = ["scaler"] if self.scales else []
        return ("model", *(o.name for o in self.optimizers), *scaler, *plateaus)

    @cached_property
    def optimizers(self) -> tuple[OptimizerSpec, ...]:
        """The optimizers of all steps, and the groups of parameters of each."""
        made: list[OptimizerSpec] = []
        taken = {"model", "scaler"}
        first = 0
        for step in self.train.steps:
            numbers = tuple(range(first, first + len(step.groups)))
            first += len(step.groups)
            base = f"{safe_name(step.name)}_optimizer" if step.name else "optimizer"
            shared = self._shares_optimizer(step)
            parts = [numbers] if shared else [(n,) for n in numbers]
            for place, groups in enumerate(parts, 1):
                name = free_name(base if shared else f"{base}_{place}", taken, "_")
                taken.add(name)
                made.append(OptimizerSpec(name, step.name, groups))
        return tuple(made)

    @property
    def distributed(self) -> bool:
        """Whether the script can share a training among processes."""
        return self.train.processes == "ddp"

    @property
    def averages(self) -> bool:
        """Whether gradients are averaged among processes after they are computed."""
        return self.distributed and not self.replicated

    @property
    def divides(self) -> bool:
        """Whether the gradients of a step are added up over parts of its batch."""
        return self.train.accumulate > 1

    @property
    def autocast(self) -> str:
        """The dtype of mixed precision in PyTorch; empty where there is none."""
        return {"bf16": "torch.bfloat16", "f16": "torch.float16"}.get(self.train.precision, "")

    @property
    def scales(self) -> bool:
        """Whether losses are scaled, so that f16 holds their gradients."""
        return self.train.precision == "f16"

    @cached_property
    def draws(self) -> TrainDraws:
        """The draws of the train, its own and those inside of its nets."""
        return TrainDraws(self.train)

    @property
    def numbers(self) -> TrainNumbers:
        """The numbers that change with the steps."""
        return self.draws.numbers

    @cached_property
    def stepped(self) -> tuple[Number, ...]:
        """Those that a step needs."""
        graphs = [*(step.graph for step in self.steps), *(made.graph for made in self.updates)]
        found = (number for graph in graphs for number in self.numbers.find(graph))
        return tuple({number.name: number for number in found}.values())

    @cached_property
    def judges_by_steps(self) -> bool:
        """Whether an evaluation must be told how many steps an epoch has: what it takes of the end
        of the training depends on it, and on the rows."""
        read = {name for number in self.numbers.find(self.graph) for name in number.reads}
        return bool(read - {"epoch"}) and self.train.epoch_steps is None

    @property
    def has_taken_name(self) -> bool:
        """Whether a net is called like a member of `nn.ModuleDict`, or so that it refuses the
        name."""
        return not all(is_key(net.name) and "." not in net.name for net in self.train.nets)

    @cached_property
    def draws_itself(self) -> bool:
        """Whether draws stand in the train, and so in what its figures are taken of, or in what
        the functions of these hand on to updates."""
        graphs = (self.graph, *(step.graph for step in self.steps))
        return any(self.draws.find_own(graph) for graph in graphs)

    @cached_property
    def draws_rows(self) -> bool:
        """Whether the rows of a training are changed at random."""
        made = self.augmentation
        return made is not None and bool(self.draws.find_own(made.graph))

    @property
    def draws_in_epochs(self) -> bool:
        """Whether an epoch has a generator of draws."""
        updating = any(self.draws.find_own(made.graph) for made in self.updates)
        return self.draws_itself or self.draws_rows or updating

    @cached_property
    def nets_draw(self) -> bool:
        """Whether nets draw random numbers while they train."""
        return bool(self.draws.find_inner(self.graph))

    @cached_property
    def nets_vary(self) -> bool:
        """Whether nets draw random numbers in evaluation too."""
        evaluated = take_evaluation(self.graph)
        return any(node.op.varies for node in self.draws.find_inner(evaluated))

    @cached_property
    def replicated(self) -> bool:
        """Whether several processes can share gradients through a replica of the net: the only
        loss calls it once, takes nothing else from it, not even a derivative, and needs every
        parameter that is trained."""
        if self.alternates or not self.single or self.evaluates or not self.distributed:
            return False
        if self.divides:  # a replica would average the gradients of every part
            return False
        if self.train.thaws:  # a replica would wait for the gradients that it began with
            return False
        if any(node.op.of_graph for node in self.graph.nodes):
            return False
        readers: dict[Frame | None, None] = {}
        for node in self.graph.nodes:
            if any(v is not None and v.name in self.graph.parameter for v in node.inputs):
                readers[node.scope.chain[1] if node.scope.chain[1:] else None] = None
        whole = [frame for frame in readers if frame is not None and not frame.path]
        (net,) = self.train.nets
        trained = set(self.paths(net)) - set(match_paths(self.paths(net), self.train.freeze))
        return len(whole) == len(readers) == 1 and trained <= self._find_learning()

    def _find_learning(self) -> set[str]:
        """The values that the loss has gradients to."""
        needed = {o.value.name for o in self.graph.outputs if o.name in self.train.losses}
        for node in reversed(self.graph.nodes):
            if any(v.name in needed and v.type.dtype.is_float for v in node.outputs):
                needed.update(v.name for v in node.inputs if v is not None)
        return needed

    def _shares_optimizer(self, step: TrainStep) -> bool:
        """Whether one optimizer holds all groups of parameters of a step: they have one class, and
        what acts on all groups of an optimizer is meant for all of them."""
        first, *others = (group.optimizer for group in step.groups)
        return all(
            other.kind == first.kind and (other.schedule == first.schedule or not self.watched)
            for other in others
        )

    def optimizer_of(self, number: int) -> tuple[OptimizerSpec, int]:
        """The optimizer of a group of parameters, and which of its groups that is."""
        found = next(o for o in self.optimizers if number in o.groups)
        return found, found.groups.index(number)

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
        """The values of the clauses of one value, by the fields that they fill."""
        words = [word for word in TRAIN.clauses.values() if word.setting is not None]
        return {word.field: getattr(self.train, word.field) for word in words}

    @cached_property
    def said(self) -> frozenset[str]:
        """The fields that the clauses of the train fill."""
        return frozenset(word.field for word, _ in find_said(TRAIN, self.train))


@dataclass(frozen=True)
class MemberSpec(ScriptSpec):
    """A script on several data sets as one of them sees it: its columns, and no others."""

    member: DataSet = field(kw_only=True)
    function: str = field(kw_only=True)

    @property
    def loader(self) -> str:
        """The function that loads the rows."""
        return self.function

    @property
    def data(self) -> DataSet:
        """The data whose rows it reads."""
        return self.member

    def find_column(self, read: str) -> str | None:
        """What a column that the objective reads is called in the data; None where it is of
        another data set."""
        own = qualify(self.member.name, "")
        return read.removeprefix(own) if read.startswith(own) else None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that the objective reads of it, in the order of its inputs."""
        found = (self.find_column(item.name) for item in self.graph.inputs)
        return tuple(name for name in found if name is not None)
