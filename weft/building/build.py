"""A build: trainings, variants and deployed files in order, and the report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backends.onnx_runtime.session import Device
from backends.verification.cases import need_memory
from compiler.ir.memory import need_weights
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.contracts import large_output_error, threads_beyond_cores
from compiler.report.messages.deployments import train_left_out
from compiler.report.messages.verification import not_verified
from weft.building.build_outputs import open_context
from weft.building.deploy_stages import DeployStages
from weft.building.describing import (
    describe_outcome,
    describe_unfinished,
    describe_weights,
)
from weft.building.outcomes import SPREAD_ERROR, Outcome
from weft.building.page import write_page
from weft.building.plan import Plan, plan_build
from weft.building.report import Report, Section
from weft.building.stage import BuildContext, Echo
from weft.building.sweep_stages import Recheck, SweepRunner, Workers, forget_trials
from weft.building.variant_stages import VariantStages
from weft.results.cache import forget
from weft.results.generated import GeneratedFiles
from weft.results.links import name_outputs
from weft.results.lock import hold_folder

REPORTS = ("report.md", "report.json", "report.html")


@dataclass
class Build:
    """One run of a build into a folder."""

    program: Program
    folder: Path
    device: Device = Device.AUTO
    force: bool = False
    echo: Echo = print
    warn: Echo | None = None  # told what was kept of files that were replaced; `echo` if None
    recheck: Recheck | None = None  # checks the spec again with values for its sweeps
    workers: Workers = field(default_factory=Workers)

    def run(self) -> Report:
        """Makes everything the program asks for, and the report.

        Raises:
            CompileError: a stage failed, and what earlier stages made is kept; or a contract does
                not hold, after the report was written.
        """
        report = self.make()
        if report.failures:
            raise CompileError(report.failures)
        return report

    def make(self) -> Report:
        """The same, where what contracts do not hold is in the report.

        Raises:
            CompileError: a stage failed; what earlier stages made is kept, and the report has
                what is finished. Another process writes into the folder.
        """
        plan = plan_build(self.program)
        refuse_large(plan)
        variants = self.program.variants
        items = [*self.program.trains, *variants, *(d.name for d in plan.deploys)]
        with hold_folder(self.folder, [*REPORTS, *name_outputs(items)]):
            if self.force:
                forget(self.folder, variants)
                for name in self.program.sweeps:
                    forget_trials(self.folder, name)
            context = open_context(self.folder, self.device, self.echo, self.warn or self.echo)
            runner = SweepRunner(self.program, context, self.recheck, self.workers)
            return self._make(plan, context, runner)

    def _make(self, plan: Plan, context: BuildContext, runner: SweepRunner) -> Report:
        sections: list[Section] = []
        outcomes: list[Outcome] = []
        sweeps = [f"sweep {name}" for name in self.program.sweeps]
        items = [*sweeps, *list_items(plan)]
        try:
            for name in self.program.sweeps:
                sections.append(runner.settle(name).describe(self.folder))
            if sweeps:  # what is built on them is known now
                plan = plan_build(runner.program)
                refuse_large(plan)
                items = [*sweeps, *list_items(plan)]
            for train in plan.trains:
                sections.append(runner.make_train(train.name))
            variants = VariantStages(runner.program, context)
            for variant in plan.variants:
                outcomes.append(variants.run(variant))
            for deploy in find_plain(plan):
                stages = DeployStages(deploy, runner.program, self.folder, context)
                sections.append(stages.run())
        except CompileError as error:
            left = items[len(sections) + len(outcomes) :]
            sections.append(describe_unfinished(left, error))
            report = self._report(plan, sections, outcomes, context.files)
            raise CompileError([*report.failures, *error.messages]) from error
        weights = describe_weights(plan, self.program.source.folder, self.folder)
        return self._report(plan, [*weights, *sections], outcomes, context.files)

    def _report(
        self,
        plan: Plan,
        sections: Sequence[Section],
        outcomes: Sequence[Outcome],
        files: GeneratedFiles,
    ) -> Report:
        """The report, which is written."""
        sections = [*sections, *map(describe_outcome, outcomes)]
        warnings: tuple[Message, ...] = tuple(
            not_verified(deploy.span, str(self.folder / f"{deploy.name}.onnx"))
            for deploy in plan.deploys
            if not deploy.verify
        )
        warnings += tuple(
            large_output_error(
                outcome.variant.span, outcome.variant.name, outcome.own.plain[SPREAD_ERROR].value
            )
            for outcome in outcomes
            if outcome.judgements and not outcome.failures and outcome.has_large_error
        )
        warnings += tuple(find_crowded(outcome.variant.target for outcome in outcomes))
        warnings += tuple(train_left_out(train.span, train.name) for train in plan.left_out)
        name = Path(self.program.source.path).name
        report = Report(name, tuple(sections), tuple(outcomes), warnings)
        texts = (report.markdown(), report.json(), write_page(report))
        for file, text in zip(REPORTS, texts, strict=True):
            files.write(self.folder / file, text)
        return report


def find_plain(plan: Plan) -> list[Deploy]:
    """The deployments of nets that go through no passes."""
    return [deploy for deploy in plan.deploys if deploy.variant is None]


def list_items(plan: Plan) -> Iterator[str]:
    """What a plan makes, in order."""
    yield from (f"train {train.name}" for train in plan.trains)
    yield from (f"variant {variant.name}" for variant in plan.variants)
    yield from (f"deploy {deploy.name}" for deploy in find_plain(plan))


def refuse_large(plan: Plan) -> None:
    """Refuses a build of nets that are too large to be trained, verified or measured here.

    Raises:
        CompileError: weights, or tensors at the sizes of `fix` and `target`, do not fit.
    """
    for train in plan.trains:
        need_weights(train.graph)
    deployed = {deploy.variant for deploy in plan.deploys}
    for variant in plan.variants:
        need_memory(variant.graph, {}, verified=variant.name not in deployed)
        need_memory(variant.graph, dict(variant.target.sizes), verified=False)
    for deploy in plan.deploys:
        need_memory(deploy.graph, dict(deploy.fixed), verified=deploy.verify)


def find_crowded(targets: Iterable[Target]) -> Iterator[Message]:
    """Targets with more threads than this machine has cores."""
    cores = os.cpu_count() or 1
    for target in targets:
        if target.threads is not None and target.threads > cores:
            yield threads_beyond_cores(target.span, target.threads, cores)
