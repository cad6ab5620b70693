"""Stages of a build: train, compile, verify, measure; each runs when what it reads changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.run.running import read_results, run_training
from backends.pytorch.train.facts import Facts
from backends.pytorch.train.models import START
from backends.pytorch.train.settings import RESULTS
from backends.pytorch.train.write import write_training
from compiler.compression.wording import format_seconds
from compiler.ir.printer import print_graph
from compiler.loading import find_weights, read_all_weights, read_trained
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.contracts import LargeOutputError, ThreadsBeyondCores
from compiler.report.messages.verification import NotVerified
from compiler.types.units import format_size
from weft.building.artifacts import Artifact, Workshop
from weft.building.describing import (
    describe_conditions,
    describe_outcome,
    describe_unfinished,
    describe_verification,
)
from weft.building.finished import hash_data, hash_trained
from weft.building.outcomes import SPREAD_ERROR, Outcome
from weft.building.page import write_page
from weft.building.plan import Plan, plan_build
from weft.building.report import Report, Section, format_metrics
from weft.building.room import refuse_large
from weft.building.variant_stages import VariantStages
from weft.building.version import identify_weft
from weft.deployed.compiling import check_data, fit_preprocessing
from weft.deployed.measuring import (
    NetOfTrain,
    find_place,
    measure_deployed,
    measure_latency,
    sample_inputs,
)
from weft.deployed.sizing import find_known
from weft.results.cache import Cache, hash_file, hash_text
from weft.results.generated import GeneratedFiles, forget
from weft.results.links import name_outputs
from weft.results.lock import hold_folder
from weft.results.progress import follow_epochs
from weft.results.setting_aside import CODE, set_aside

TEXTS = ("results.json", "metrics.jsonl")
"""Files of a training that the record of the build holds too."""
REPORTS = ("report.md", "report.json", "report.html")

Array = NDArray[Any]
Echo = Callable[[str], None]


@dataclass
class Build:
    """One run of a build into a folder."""

    program: Program
    folder: Path
    device: Device = Device.AUTO
    force: bool = False
    echo: Echo = print
    warn: Echo | None = None  # told what was kept of files that were replaced; `echo` if None
    cache: Cache = field(init=False)
    workshop: Workshop = field(init=False)

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self.cache = Cache(self.folder, identify_weft())
        files = GeneratedFiles(self.folder, self.warn or self.echo)
        self.workshop = Workshop(self.cache, self.device, self.echo, files)

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
        variants = {**self.program.variants, **{v.name: v for v in plan.variants}}
        items = [*self.program.trains, *variants, *(d.name for d in plan.deploys)]
        with hold_folder(self.folder, [*REPORTS, *name_outputs(items)]):
            if self.force:
                forget(self.cache.path, variants)
            self._open()  # anew: another build may have ended since
            return self._make(plan)

    def _make(self, plan: Plan) -> Report:
        sections: list[Section] = []
        outcomes: list[Outcome] = []
        variants = VariantStages(self.program, self.folder, self.workshop)
        deploys = [deploy for deploy in plan.deploys if deploy.variant is None]
        items = [f"train {train.name}" for train in plan.trains]
        items += [f"variant {variant.name}" for variant in plan.variants]
        items += [f"deploy {deploy.name}" for deploy in deploys]
        try:
            for train in plan.trains:
                sections.append(self.train(train))
            for variant in plan.variants:
                outcomes.append(variants.run(variant))
            for deploy in deploys:
                sections.append(self.deploy(deploy))
        except CompileError as error:
            left = items[len(sections) + len(outcomes) :]
            report = self._report(plan, [*sections, describe_unfinished(left, error)], outcomes)
            raise CompileError([*report.failures, *error.messages]) from error
        return self._report(plan, sections, outcomes)

    def _report(
        self, plan: Plan, sections: Sequence[Section], outcomes: Sequence[Outcome]
    ) -> Report:
        """The report, which is written."""
        sections = [*sections, *map(describe_outcome, outcomes)]
        warnings: tuple[Message, ...] = tuple(
            NotVerified(deploy.span, str(self.folder / f"{deploy.name}.onnx"))
            for deploy in plan.deploys
            if not deploy.verify
        )
        warnings += tuple(
            LargeOutputError(
                outcome.variant.span, outcome.variant.name, outcome.own.plain[SPREAD_ERROR].value
            )
            for outcome in outcomes
            if outcome.judgements and not outcome.failures and outcome.has_large_error
        )
        warnings += tuple(find_crowded(outcome.variant.target for outcome in outcomes))
        name = Path(self.program.source.path).name
        report = Report(name, tuple(sections), tuple(outcomes), warnings)
        files = self.workshop.files
        texts = (report.markdown(), report.json(), write_page(report))
        for file, text in zip(REPORTS, texts, strict=True):
            files.write(self.folder / file, text)
        return report

    # --- training -------------------------------------------------------------------------

    def train(self, train: Train) -> Section:
        """Trains, or goes on with a training that was interrupted, or finds it done."""
        folder = self.folder / train.name
        code = {p.name: p.read_bytes() for p in (folder / n for n in CODE) if p.is_file()}
        write_training(train, folder, files=self.workshop.files)
        root = self.program.source.folder
        written = [folder / name for name in ("model.py", "train.py", START)]
        files = map(hash_file, filter(Path.is_file, written))
        key = hash_text(*files, *hash_data(train, self.program))
        stage = f"train {train.name}"
        self._restore_texts(stage, key, [folder / name for name in TEXTS])
        if self.cache.is_fresh(stage, key):
            self.echo(f"{stage}: up to date")
        else:
            check_data(train)
            begun = self.cache.get_facts(f"{stage} (begun)").get("key") == key
            # What a finished training left has been changed by someone: no epoch of it counts.
            resume = begun and not self.cache.has_run(stage, key)
            kept = None if resume else set_aside(folder, code)
            if kept is not None:
                self.workshop.files.warn(f"{stage}: what was trained before is kept in {kept}")
            self.cache.record(f"{stage} (begun)", key, (), {"key": key})
            self.echo(f"{stage}: {'going on' if resume else 'training'}")
            with follow_epochs(train.epochs) as on_progress:
                results = run_training(
                    folder,
                    data_root=root,
                    resume=resume,
                    overwrite=True,
                    device=self.device.value,
                    on_progress=on_progress,
                    span=train.span,
                )
            read_trained(train, folder / "best.safetensors", train.span)
            made = [path for path in (folder / name for name in RESULTS) if path.is_file()]
            texts = {p.name: p.read_text(encoding="utf-8") for p in made if p.name in TEXTS}
            facts = {"seconds": results.seconds, "texts": texts}
            facts["trained"] = hash_trained(train, self.program)
            self.cache.record(stage, key, made, facts)
        return self.describe_training(train, folder)

    def _restore_texts(self, stage: str, key: str, paths: Sequence[Path]) -> None:
        """Writes the figures of a finished training again where only their files are damaged: the
        record has them, and nothing is to be learned anew."""
        changed = self.cache.find_changed(stage) if self.cache.has_run(stage, key) else []
        if not set(changed) <= set(paths):
            return
        for path in changed:
            self.workshop.files.write(path, self.cache.get_facts(stage)["texts"][path.name])
            self.echo(f"{stage}: {path} is written again from the record of the build")

    def describe_training(self, train: Train, folder: Path) -> Section:
        """The rows of a train: figures by split, best epoch, time, files."""
        results = read_results(folder)
        names = [use.name for use in train.metrics]
        parameters = sum(p.value.type.size.known or 0 for p in train.step.parameters if p.trainable)
        rows = [("parameters", f"{parameters:,}")]
        rows += [
            (split, format_metrics(figures, names)) for split, figures in results.figures.items()
        ]
        choice = Facts(train).choice
        rows.append(("best epoch", f"{results.best_epoch} of {results.epochs}, {choice}"))
        seconds = self.cache.get_facts(f"train {train.name}")["seconds"]
        rows.append(("training time", f"{seconds:.1f} s"))
        rows.append(("code", f"{folder / 'model.py'}, {folder / 'train.py'}"))
        facts = {
            "parameters": parameters,
            "figures": results.figures,
            "best_epoch": results.best_epoch,
            "epochs": results.epochs,
            "seconds": seconds,
        }
        return Section(f"train {train.name}", tuple(rows), facts)

    # --- deployment -----------------------------------------------------------------------

    def deploy(self, deploy: Deploy) -> Section:
        """Compiles, verifies and measures one file."""
        weights = self.find_weights(deploy)
        path = self.folder / f"{deploy.name}.onnx"
        key = hash_text(
            print_graph(deploy.graph),
            repr((deploy.opset, deploy.dynamic, deploy.fixed, deploy.labels)),
            self.weights_key(deploy),
        )
        options = OnnxOptions(
            deploy.labels, hash_text(self.program.source.text)[:16], deploy.dynamic, deploy.fixed
        )
        artifact = Artifact(
            deploy.name, deploy.graph, weights, path, deploy.opset, options, deploy.verify
        )
        self.workshop.compile(artifact, key)
        self.workshop.verify(artifact, lambda: self.take_samples(deploy))
        self.measure(deploy, path)
        return self.describe_deployment(deploy, path)

    def take_samples(self, deploy: Deploy) -> Mapping[str, Array] | None:
        """Some real rows; None for a net without a train, or that its train does not apply."""
        if deploy.train is None:
            return None
        place = self.find_place(deploy)
        return sample_inputs(place, deploy.graph, dict(deploy.fixed)) if place.calls else None

    def find_place(self, deploy: Deploy) -> NetOfTrain:
        """The place of a deployed net in its train, with the trained weights of the other nets."""
        assert deploy.train is not None
        train = self.program.trains[deploy.train]
        trained = read_trained(train, self.folder / train.name / "best.safetensors", train.span)
        return find_place(deploy, self.program, trained)

    def find_weights(self, deploy: Deploy) -> dict[str, Array]:
        """Trained weights, or those the net loads or draws."""
        root = self.program.source.folder
        fitted = fit_preprocessing(deploy, root)
        if deploy.train is not None:
            path = self.folder / deploy.train / "best.safetensors"
            return read_all_weights(deploy.graph, path, fitted, whole=None)
        assert deploy.net is not None
        return find_weights(deploy.net, root) | fitted

    def weights_key(self, deploy: Deploy) -> str:
        """What tells whether the weights are still the same."""
        if deploy.train is not None:
            return hash_file(self.folder / deploy.train / "best.safetensors")
        assert deploy.net is not None
        root = self.program.source.folder
        files = [root / load.file for load in deploy.net.loads]
        return hash_text(*(hash_file(path) for path in files if path.is_file()))

    def measure(self, deploy: Deploy, path: Path) -> None:
        """Metrics of the file itself on the last split, which is `test` where there is one, and
        its latency."""
        stage = f"measure {deploy.name}"
        train = self.program.trains.get(deploy.train or "")
        known = find_known(deploy, train=train, net=deploy.trained)
        measures = self.describe_measures(train)
        key = hash_text(hash_file(path), self.device.value, repr(known), *measures)
        if self.cache.is_fresh(stage, key):
            return
        session = open_session(path, device=self.device)
        facts: dict[str, Any] = {
            "latency": asdict(measure_latency(deploy.graph, path, self.device, known))
        }
        facts["device"] = session.device.value
        if train is not None:
            facts["split"] = train.data.split.names[-1]
            place = self.find_place(deploy)
            facts["metrics"] = measure_deployed(place, session, facts["split"])
        self.cache.record(stage, key, (), facts)

    def describe_measures(self, train: Train | None) -> Iterator[str]:
        """What the metrics of a deployment follow from, besides its file."""
        if train is not None:
            yield repr([(use.name, use.metric, use.arguments) for use in train.metrics])
            yield repr(train.data.split)
            yield from (print_graph(graph) for graph in (train.step, train.data.columns))
            yield from hash_data(train, self.program)

    def describe_deployment(self, deploy: Deploy, path: Path) -> Section:
        """The rows of a deployment."""
        compiled = self.cache.get_facts(f"compile {deploy.name}")
        verified = self.cache.get_facts(f"verify {deploy.name}")
        measured = self.cache.get_facts(f"measure {deploy.name}")
        fixed = dict(deploy.fixed)
        inputs = ", ".join(
            f"{i.name}: {i.value.type.substitute(fixed)}" for i in deploy.graph.inputs
        )
        rows = [
            ("file", str(path)),
            ("size", f"{format_size(compiled['bytes'])}, {compiled['nodes']} nodes"),
            ("inputs", inputs),
            ("verified", describe_verification(verified)),
        ]
        metrics = measured.get("metrics")
        if metrics:
            rows.append((f"{measured['split']}, ONNX file", format_metrics(metrics)))
        latency = measured["latency"]
        rows.append(
            (
                "latency",
                f"{format_seconds(latency['seconds'])} at {describe_conditions(latency)}",
            )
        )
        facts = {"compiled": compiled, "verified": verified, "measured": measured}
        return Section(f"deploy {deploy.name} as {deploy.target}", tuple(rows), facts)


def find_crowded(targets: Iterable[Target]) -> Iterator[Message]:
    """Targets with more threads than this machine has cores."""
    cores = os.cpu_count() or 1
    for target in targets:
        if target.threads is not None and target.threads > cores:
            yield ThreadsBeyondCores(target.span, target.threads, cores)
