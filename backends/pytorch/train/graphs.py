"""What a training script computes: the graphs of a train, and the functions that do it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from backends.pytorch.train.computed import (
    AUGMENT,
    FIGURES,
    FunctionSpec,
    StepSpec,
    UpdateSpec,
    cut_out,
    find_costly,
    prune,
    share_reads,
)
from backends.pytorch.train.handing import Handed, Plan, plan_updates
from compiler.data.holding import MAPPED
from compiler.ir.graph import Graph, Output
from compiler.program.joining import find_lead
from compiler.program.train import START_OUTPUT, MetricUse, Train
from compiler.rows.loss_parts import may_be_ignored, measure_losses
from compiler.training.weighting import LabelComparison
from compiler.writing.names import (
    SCRIPT_GLOBALS,
    SCRIPT_LOCALS,
    STREAM_LOCALS,
    free_name,
    name_all,
    safe_name,
)

EVALUATION_NAMES = SCRIPT_GLOBALS | SCRIPT_LOCALS
"""Names that the script itself uses where it also uses names of outputs and columns."""


@dataclass(frozen=True)
class ScriptGraphs:
    """What a script computes of its train, and what its functions are called."""

    train: Train

    @property
    def streams(self) -> bool:
        """Whether batches are read when they are needed, and not held in memory."""
        return self.train.data.is_lazy

    @property
    def maps(self) -> bool:
        """Whether they are read from a file with the columns of all rows."""
        return self.train.data.hold == MAPPED

    @cached_property
    def measured(self) -> tuple[Graph, tuple[MetricUse, ...]]:
        """The graph with the outputs that the losses are measured by, and these as figures."""
        return measure_losses(self.train)

    @cached_property
    def uses(self) -> tuple[MetricUse, ...]:
        """All figures of a split, the losses first."""
        return (*self.measured[1], *map(self._count_all, self.train.metrics))

    def _count_all(self, use: MetricUse) -> MetricUse:
        """A figure of labels that does not ask which of them count, where all do."""
        metric = use.metric
        if not isinstance(metric, LabelComparison) or metric.ignore_index is None:
            return use
        graph = self.measured[0]
        label = next(o.value for o in graph.outputs if o.name == use.arguments[1])
        if may_be_ignored(graph, self.train.data, label, metric.ignore_index):
            return use
        return replace(use, metric=replace(metric, ignore_index=None))  # type: ignore[type-var]

    @cached_property
    def leads(self) -> Mapping[str, tuple[MetricUse, ...]]:
        """The figures by the data set over whose rows they are taken: the first that they read."""
        outputs = {o.name: o for o in self.measured[0].outputs}
        found: dict[str, tuple[MetricUse, ...]] = {part.name: () for part in self.train.data.parts}
        for use in self.uses:
            read = cut_out(self.measured[0], [outputs[name] for name in use.reads])
            lead = find_lead(self.train.data, (item.name for item in read.inputs)).name
            found[lead] = (*found[lead], use)
        return {name: uses for name, uses in found.items() if uses}

    @cached_property
    def charts(self) -> tuple[str, ...]:
        """Names of the figures that are no numbers."""
        return tuple(use.name for use in self.train.metrics if use.metric.chart is not None)

    @cached_property
    def graph(self) -> Graph:
        """The objectives with nothing but the losses, first, and what the figures read."""
        graph, losses = self.measured[0], self.train.losses
        inputs = {item.value.name for item in graph.inputs}
        read = {name for use in self.uses for name in use.reads} - {*losses}
        outputs = {o.name: o for o in graph.outputs}
        rest = [o for o in graph.outputs if o.name in read and o.value.name not in inputs]
        return prune(graph, [*(outputs[name] for name in losses), *rest])

    @cached_property
    def steps(self) -> tuple[StepSpec, ...]:
        """The steps, each with what it computes."""
        reads: Mapping[str, Collection[str]] = dict.fromkeys(self.train.losses, ())
        if not self.apart:
            reads = share_reads(self.train, self.graph, self.uses)
        taken = {*SCRIPT_GLOBALS, *self.functions}
        found = []
        for step in self.train.steps:
            handed = tuple(
                n for made in self.updates if made.step == step.name for n in made.handed
            )
            outputs = tuple(Output(name, self.handed[name].value) for name in handed)
            graph, function = self._find_function(step.loss, reads[step.loss], taken, outputs)
            found.append(StepSpec(graph, function, step=step, handed=handed))
        return tuple(found)

    @cached_property
    def apart(self) -> bool:
        """Whether figures are computed by a function of their own, the loss among them: beside the
        only objective they need more than a few sums, which no step should compute."""
        return not self.alternates and find_costly(self.train, self.graph)

    @cached_property
    def judging(self) -> tuple[FunctionSpec, ...]:
        """The functions whose results figures read."""
        rest = (self.rest,) if self.rest is not None else ()
        return rest if self.apart else (*self.steps, *rest)

    @cached_property
    def updates(self) -> tuple[UpdateSpec, ...]:
        """What buffers are behind a step; behind all of them, where updates stand beside steps."""
        return tuple(made for made, _ in self._plan)

    @cached_property
    def beginnings(self) -> Mapping[str, FunctionSpec]:
        """What buffers start as that are computed, by their names."""
        found = [o for o in self.train.graph.outputs if o.name.startswith(START_OUTPUT)]
        wishes = {o.name: f"start_{o.name.removeprefix(START_OUTPUT)}" for o in found}
        names = name_all(wishes.values(), {*SCRIPT_GLOBALS, *self.functions})
        return {
            o.name.removeprefix(START_OUTPUT): FunctionSpec(
                replace(prune(self.train.graph, [o]), inputs=()), names[wishes[o.name]], alone=True
            )
            for o in found
        }

    @cached_property
    def updated(self) -> Graph:
        """All that buffers become, as the train says it."""
        wanted = {update.output for update in self.train.updates}
        return prune(self.train.graph, [o for o in self.train.graph.outputs if o.name in wanted])

    @cached_property
    def handed(self) -> Mapping[str, Handed]:
        """What the functions of steps hand on to updates, by its variables."""
        return {name: made for _, handed in self._plan for name, made in handed.items()}

    @cached_property
    def _plan(self) -> Plan:
        taken = {*EVALUATION_NAMES, *self.argument_names.values(), *self.functions}
        functions = {*SCRIPT_GLOBALS, *self.functions} - {"compute_updates"}
        return plan_updates(self.train, self.measured[0], functions, taken)

    @cached_property
    def rest(self) -> FunctionSpec | None:
        """What figures read and no step computes, or all that they read; None where there is
        nothing."""
        known = {o.name for step in self.steps for o in step.graph.outputs}
        outputs = [o for o in self.graph.outputs if self.apart or o.name not in known]
        return FunctionSpec(cut_out(self.graph, outputs), FIGURES) if outputs else None

    @cached_property
    def augmentation(self) -> FunctionSpec | None:
        """What the columns of a batch become while training; None where they stay. It is made for
        the rows of all processes: some become mixtures of others."""
        graph = self.train.data.augment
        if graph is None or not self.train.learns:
            return None
        read = {v.name for node in self.graph.nodes for v in node.inputs if v is not None}
        wanted = {item.name for item in self.graph.inputs if item.value.name in read}
        outputs = [output for output in graph.outputs if output.name in wanted]
        taken = {*SCRIPT_GLOBALS, *self.functions, *self.argument_names.values()}
        name = free_name(AUGMENT, taken, "_")
        return FunctionSpec(cut_out(graph, outputs), name, alone=True) if outputs else None

    @cached_property
    def samples(self) -> tuple[FunctionSpec, ...]:
        """What is computed for each sample."""
        taken = {*SCRIPT_GLOBALS, *self.functions, *(step.function for step in self.steps)}
        names = name_all((f"draw_{sample.name}" for sample in self.train.samples), taken)
        outputs = {o.name: o for o in self.train.graph.outputs}
        return tuple(
            FunctionSpec(
                cut_out(self.train.graph, [outputs[sample.output]]),
                names[f"draw_{sample.name}"],
                alone=True,
            )
            for sample in self.train.samples
        )

    def _find_function(
        self,
        loss: str,
        reads: Collection[str],
        taken: set[str],
        handed: tuple[Output, ...],
    ) -> tuple[Graph, str]:
        """What the function of a step computes, the loss first, what it hands on last, unless
        figures read that too, and its name."""
        outputs = [o for o in self.graph.outputs if o.name in (loss, *reads)]
        outputs.sort(key=lambda o: o.name != loss)
        name = "compute_loss"
        if self.alternates:
            name = free_name(f"compute_{safe_name(loss.removesuffix('.loss'))}_loss", taken, "_")
            taken.add(name)
        known = {output.value.name for output in outputs[1:]}
        others = [output for output in handed if output.value.name not in known]
        return cut_out(self.measured[0], [*outputs, *others]), name

    @property
    def alternates(self) -> bool:
        """Whether several steps take turns."""
        return any(step.name for step in self.train.steps)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that the objective reads, in the order of its inputs."""
        return tuple(item.name for item in self.graph.inputs)

    @cached_property
    def argument_names(self) -> Mapping[str, str]:
        """Python names of the outputs that figures read, by the outputs' names."""
        taken = EVALUATION_NAMES | self.functions.keys()
        taken |= STREAM_LOCALS if self.streams else set()
        names = [*self.columns, *(name for use in self.uses for name in use.reads)]
        if self.alternates:
            return name_all([*self.train.losses, *names], taken)
        return {"loss": "loss"} | name_all((n for n in names if n != "loss"), taken)

    @cached_property
    def functions(self) -> Mapping[str, str]:
        """The functions that figures call, by their names."""
        codes = (use.metric.code(use.arguments) for use in self.uses)
        texts = dict.fromkeys(text.strip() for code in codes for text in code.functions)
        return {text.removeprefix("def ").partition("(")[0]: text for text in texts}
