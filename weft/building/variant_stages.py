"""A variant from its net to its verdicts: file, verification, figures, contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backends.onnx_runtime.session import open_session
from backends.pytorch.modules import emit_module
from backends.verification.readback import check_integers
from compiler.compression.contracts import Measured, Spread, Verdict, judge
from compiler.compression.requirements import find_all
from compiler.compression.sizes import choose_sizes
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import write_weights
from compiler.program.program import Program
from compiler.program.requirement import Figure
from compiler.program.train import Train
from compiler.program.variant import Target, Variant
from compiler.report.diagnostics import CompileError
from compiler.report.messages.deployments import FigureOfDroppedOutput
from weft.building.artifacts import Artifact, Workshop
from weft.building.figures import (
    Contender,
    OutputError,
    count_figures,
    measure_error,
    measure_split,
    read_rows,
    time_contenders,
)
from weft.building.finished import open_variant
from weft.building.forms import make_form
from weft.building.goals import find_goals
from weft.building.layers import describe_layers
from weft.building.nearest import explain_failure
from weft.building.outcomes import (
    SPREAD_ERROR,
    Figures,
    LayerRow,
    OtherFile,
    Outcome,
    read_figures,
    read_layers,
    write_figures,
    write_layers,
)
from weft.building.timing import draw_inputs, settle_sizes
from weft.building.variants import VariantBuild
from weft.deployed.measuring import sample_inputs
from weft.results.cache import hash_file, hash_text


@dataclass
class VariantStages:
    """The variants of a build. `done` are those that were made so far, by name."""

    program: Program
    folder: Path
    workshop: Workshop
    done: dict[str, tuple[Contender, Outcome]] = field(default_factory=dict)

    def run(self, variant: Variant) -> Outcome:
        """Makes, verifies and measures a variant, and judges its contract.

        Raises:
            CompileError: a pass cannot do what is asked, or the file differs from the graph. A
                contract that does not hold is in the outcome.
        """
        build = self.open(variant)
        net = build.run()
        own = self.make_own(build, net)
        others = tuple(self.write_others(build, net))
        base = self.make_base(build)
        contenders = [own, base, *self.find_others(variant, own, base)]
        figures, conditions = self.measure(build, contenders)
        judgements = [
            judge(r, lambda f: self.look_up(f, variant, figures)) for r in variant.requires
        ]
        samples = build.make_world(None).samples
        metrics = build.train.metrics if build.train is not None else ()
        outcome = Outcome(
            variant,
            own.path,
            base.name,
            figures,
            conditions,
            self.workshop.cache.get_facts(f"verify {own.name}"),
            tuple(build.journal),
            self.describe(build, own, base),
            judgements,
            samples is None or samples.synthetic,
            others=others,
            directions={u.name: u.better for u in metrics if u.better is not None},
        )
        failures = explain_failures(build, net, outcome)
        outcome = replace(outcome, failures=tuple(failures))
        self.done[variant.name] = (own, outcome)
        return outcome

    def make_own(self, build: VariantBuild, net: WeightedNet) -> Contender:
        """The variant's file, verified and read back; its other files and its code."""
        own = self.make_contender(build, build.variant.name, net, self.choose_path(build))
        artifact = self.write(build, own, own.name, hash_text(build.key, build.form.describe()))
        self.workshop.verify(artifact, lambda: self.take_samples(build, own))
        self.read_back(build.variant, own)
        self.write_module(build, net)
        return own

    def make_base(self, build: VariantBuild) -> Contender:
        """The file of the net before any pass, in the form of the variant's."""
        name = build.variant.name
        path = self.folder / name / "base.onnx"
        base = self.make_contender(build, self.name_base(build.variant), build.base, path)
        key = hash_text(build.base_key, build.form.describe())
        self.write(build, base, f"{name} before compression", key)
        return base

    def open(self, variant: Variant) -> VariantBuild:
        """The passes of a variant."""
        build = open_variant(self.program, variant, self.folder, self.workshop)
        build.find_goals = lambda: find_goals(build, self.done)
        return build

    def choose_path(self, build: VariantBuild) -> Path:
        """Where the file of a variant lies."""
        name = build.deploy.name if build.deploy is not None else build.variant.name
        return self.folder / f"{name}.onnx"

    def name_base(self, variant: Variant) -> str:
        """What the net before any pass is called among the figures."""
        return variant.train or variant.net

    def make_contender(
        self, build: VariantBuild, name: str, net: WeightedNet, path: Path
    ) -> Contender:
        """A net of this variant as something to be measured."""
        place = build.place
        if place is not None and build.form.preprocess is not None:
            place = replace(place, preprocess=build.form.preprocess)
        return Contender(name, net, build.form.wrap(net).graph, path, place)

    def write(self, build: VariantBuild, contender: Contender, name: str, key: str) -> Artifact:
        """Writes the file of a contender where it has changed; `name` is that of the stage."""
        form = build.form
        wrapped = form.wrap(contender.net)
        artifact = Artifact(
            name, wrapped.graph, wrapped.weights, contender.path, form.opset, form.options
        )
        if build.deploy is not None:
            artifact = replace(artifact, verify=build.deploy.verify)
        self.workshop.compile(artifact, key)
        return artifact

    def take_samples(self, build: VariantBuild, contender: Contender) -> Mapping[str, Any] | None:
        """Some real rows; None for a net without data."""
        if contender.place is None:
            return None
        fixed = dict(build.form.options.fixed)
        return sample_inputs(contender.place, contender.wrapped, fixed)

    def write_others(self, build: VariantBuild, net: WeightedNet) -> Iterator[OtherFile]:
        """Writes and verifies the files of further deployments of a variant."""
        for deploy in self.program.deploys:
            if deploy.variant != build.variant.name or deploy is build.deploy:
                continue
            form = make_form(build.variant, deploy, self.program.source)
            wrapped = form.wrap(net)
            path = self.folder / f"{deploy.name}.onnx"
            artifact = Artifact(
                deploy.name, wrapped.graph, wrapped.weights, path, form.opset, form.options
            )
            artifact = replace(artifact, verify=deploy.verify)
            self.workshop.compile(artifact, hash_text(build.key, form.describe()))
            self.workshop.verify(artifact, lambda: None)
            size = self.workshop.cache.get_facts(f"compile {deploy.name}")["bytes"]
            verified = self.workshop.cache.get_facts(f"verify {deploy.name}")
            yield OtherFile(deploy.name, path, size, verified)

    def write_module(self, build: VariantBuild, net: WeightedNet) -> None:
        """Writes the PyTorch code of a variant's net, and its weights."""
        stage, cache = f"code of {build.variant.name}", self.workshop.cache
        if cache.is_fresh(stage, build.key):
            return
        folder = self.folder / build.variant.name
        paths = [folder / "model.py", folder / "weights.safetensors"]
        code = emit_module([net.graph], title=build.variant.name)
        self.workshop.files.write(paths[0], code)
        with self.workshop.files.replacing(paths[1]):
            write_weights(paths[1], dict(net.weights), {})
        cache.record(stage, build.key, paths)

    def read_back(self, variant: Variant, own: Contender) -> None:
        """Reads ONNX Runtime's optimized graph back.

        Raises:
            CompileError: a node that was planned in integers runs in floats.
        """
        stage, cache = f"read back {variant.name}", self.workshop.cache
        key = hash_file(own.path)
        if variant.target.device != "cpu" or cache.is_fresh(stage, key):
            return
        faults = check_integers(own.wrapped, own.path)
        if faults:
            raise CompileError(faults)
        cache.record(stage, key, ())

    def find_others(self, variant: Variant, own: Contender, base: Contender) -> Iterator[Contender]:
        """The other variants and trains that the contract speaks of. They were made before."""
        owners = dict.fromkeys(f.owner for r in variant.requires for f in find_all(r))
        for owner in owners:
            if owner is None or owner in (own.name, base.name):
                continue
            yield self.done[owner][0] if owner in self.done else self.make_trained(variant, owner)

    def make_trained(self, variant: Variant, name: str) -> Contender:
        """The net of another train, as a file of its own."""
        train = self.program.trains[name]
        trained = train.nets[0]
        alone = Variant(
            name, name, trained.name, trained.net.graph, prefix=trained.prefix, span=train.span
        )
        build = self.open(alone)
        path = self.folder / variant.name / f"{name}.onnx"
        contender = self.make_contender(build, name, build.base, path)
        key = hash_text(build.key, build.form.describe())
        self.write(build, contender, f"{name} beside {variant.name}", key)
        return contender

    # --- figures ----------------------------------------------------------------------------

    def measure(
        self, build: VariantBuild, contenders: Sequence[Contender]
    ) -> tuple[dict[str, Figures], Mapping[str, Any]]:
        """The figures of all contenders, measured in turns; remembered."""
        variant, cache = build.variant, self.workshop.cache
        splits = find_splits(variant, build.train)
        target = replace(build.target, span=None)
        key = hash_text(
            *(hash_file(contender.path) for contender in contenders),
            repr((target, splits)),
            build.measure_key,
        )
        stage, path = f"measure {variant.name}", build.steps_folder / "figures.json"
        if cache.is_fresh(stage, key) and (known := read_figures(path)) is not None:
            return known
        self.workshop.echo(f"{stage}: {', '.join(c.name for c in contenders)} in turns")
        target = settle_sizes([c.wrapped for c in contenders], build.target)
        seconds, conditions = time_contenders(contenders, target)
        own, base, *_ = contenders
        conditions["sizes"] = build.known.settle(own.wrapped, target).encode()
        figures = {
            c.name: self.take_figures(build, c, base, splits, seconds[c.name], target)
            for c in contenders
        }
        write_figures(path, figures, conditions)
        cache.record(stage, key, [path])
        return figures, conditions

    def describe(self, build: VariantBuild, own: Contender, base: Contender) -> list[LayerRow]:
        """The layers of the variant; remembered, because their noise and latency are measured."""
        stage, cache = f"layers of {build.variant.name}", self.workshop.cache
        target = replace(build.target, span=None)
        key = hash_text(hash_file(own.path), build.key, repr(target), build.measure_key)
        path = build.steps_folder / "layers.json"
        if cache.is_fresh(stage, key) and (known := read_layers(path)) is not None:
            return known
        rows = describe_layers(build, own, base)
        write_layers(path, rows)
        cache.record(stage, key, [path])
        return rows

    def take_figures(
        self,
        build: VariantBuild,
        contender: Contender,
        base: Contender,
        splits: Sequence[str],
        seconds: Any,
        target: Target,
    ) -> Figures:
        """The figures of one contender, whose rounds took `seconds`."""
        sizes = choose_sizes(contender.wrapped, target)
        counted = count_figures(contender, sizes)
        plain = {name: Measured(value) for name, value in counted.items()}
        middle = sorted(seconds)[len(seconds) // 2]
        plain["latency"] = Measured(float(middle), Spread.ROUNDS, seconds)
        if contender.name in self.done:
            known = self.done[contender.name][1].own.plain
            plain |= {name: known[name] for name in ("error", SPREAD_ERROR)}
        else:
            found = OutputError(0.0, 0.0)
            if contender is not base and contender.name == build.variant.name:
                found = self.find_error(contender, base, splits, target)
            plain |= {"error": Measured(found.error), SPREAD_ERROR: Measured(found.of_spread)}
        metrics = {}
        if contender.place is not None:
            session = open_session(contender.path, device=self.workshop.device, spinning=False)
            metrics = {split: measure_split(contender, session, split) for split in splits}
        return Figures(plain, metrics)

    def find_error(
        self, own: Contender, base: Contender, splits: Sequence[str], target: Target
    ) -> OutputError:
        """The output error of a variant, on all rows of the last split, or on synthetic inputs."""
        first = open_session(own.path, device=self.workshop.device)
        second = open_session(base.path, device=self.workshop.device)
        if own.place is not None and splits:
            return measure_error(first, second, read_rows(own.place, splits[-1]))
        batches = (draw_inputs(own.wrapped, target, seed) for seed in range(8))
        return measure_error(first, second, batches)

    def look_up(self, figure: Figure, variant: Variant, figures: Mapping[str, Figures]) -> Measured:
        """The figure that a contract names."""
        owner = figure.owner or variant.name
        found = figures[owner].find(figure)
        if found is None:  # `outputs` of its deployment left out what the metric reads
            raise CompileError([FigureOfDroppedOutput(figure.span, figure.name, owner)])
        return found


def find_splits(variant: Variant, train: Train | None) -> list[str]:
    """The splits that a contract names, and the last one, which is `test` where there is one."""
    if train is None:
        return []
    named = [f.split for r in variant.requires for f in find_all(r) if f.split is not None]
    return [s for s in train.data.split.names if s in named or s == train.data.split.names[-1]]


def explain_failures(build: VariantBuild, net: WeightedNet, outcome: Outcome) -> Iterator[Any]:
    """The messages about requirements that do not hold."""
    for judgement in outcome.judgements:
        if judgement.verdict is Verdict.FAIL:
            yield explain_failure(build, net, outcome, judgement)
