"""A variant from its net to its verdicts: file, verification, figures, contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from compiler.report.messages.deployments import figure_of_dropped_output
from weft.building.artifacts import compile_artifact, verify_artifact
from weft.building.figures import (
    Candidate,
    OutputError,
    count_figures,
    measure_error,
    measure_split,
    read_rows,
    time_candidates,
)
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
from weft.building.stage import BuildContext, Metadata, Stage
from weft.building.timing import draw_inputs, settle_sizes
from weft.building.variants import VariantBuild
from weft.deployed.exporting import OnnxArtifact, find_beside


@dataclass
class VariantStages:
    """The variants of a build. `done` are those that were made so far, by name."""

    program: Program
    context: BuildContext
    done: dict[str, tuple[Candidate, Outcome]] = field(default_factory=dict)
    splits: tuple[str, ...] = ()  # those that are measured whatever contracts name

    def run(self, variant: Variant) -> Outcome:
        """Makes, verifies and measures a variant, and judges its contract.

        Raises:
            CompileError: a pass cannot do what is asked, or the file differs from the graph. A
                contract that does not hold is in the outcome.
        """
        build = self.open(variant)
        net = build.run()
        own, verified = self.make_own(build)
        others = tuple(self.make_others(build))
        base = self.make_base(build)
        candidates = [own, base, *self.find_others(variant, own, base)]
        figures, conditions = self.measure(build, candidates)
        judgements = [
            judge(r, lambda f: self.look_up(f, variant, figures)) for r in variant.requires
        ]
        samples = build.make_context(None).samples
        metrics = build.train.metrics if build.train is not None else ()
        outcome = Outcome(
            variant,
            own.path,
            base.name,
            figures,
            conditions,
            verified,
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

    def open(self, variant: Variant) -> VariantBuild:
        """The passes of a variant."""
        build = VariantBuild(self.program, variant, self.context)
        build.find_goals = lambda: find_goals(build, self.done)
        return build

    # --- files ------------------------------------------------------------------------------

    def make_own(self, build: VariantBuild) -> tuple[Candidate, Metadata]:
        """The variant's file, verified and read back, and what was compared; its code."""
        file = build.deploy.name if build.deploy is not None else build.name
        own = self.make_file(build, build.name, build.net, build.name, f"{file}.onnx")
        verified = verify_artifact(self.context, own.artifact, lambda: own.place)
        self.read_back(build.variant, own)
        self.write_module(build)
        return own, verified

    def make_base(self, build: VariantBuild) -> Candidate:
        """The file of the net before any pass, in the form of the variant's."""
        name, variant = build.name, build.variant
        stage = f"{name} before compression"
        base = variant.train or variant.net
        return self.make_file(build, base, build.base, stage, f"{name}/base.onnx")

    def make_trained(self, variant: Variant, name: str) -> Candidate:
        """The net of another train, as a file of its own."""
        train = self.program.trains[name]
        net, span = train.nets[0], train.span
        alone = Variant(name, name, net.name, net.net.graph, prefix=net.prefix, span=span)
        build, stage = self.open(alone), f"{name} beside {variant.name}"
        return self.make_file(build, name, build.base, stage, f"{variant.name}/{name}.onnx")

    def make_file(
        self, build: VariantBuild, name: str, net: WeightedNet, stage: str, path: str
    ) -> Candidate:
        """The file of a net of this variant, which is called `name` among the figures."""
        spec, place = build.spec, build.place
        own = build.deploy if name == build.name else None
        beside = find_beside(own, build.program) if own is not None else {}
        artifact = OnnxArtifact(stage, spec.wrap(net), build.folder / path, spec, beside)
        compile_artifact(self.context, artifact)
        if place is not None and spec.preprocess is not None:
            place = replace(place, preprocess=spec.preprocess)
        return Candidate(name, net, artifact, place)

    def make_others(self, build: VariantBuild) -> Iterator[OtherFile]:
        """The files of further deployments of a variant, verified."""
        for deploy in self.program.deploys:
            if deploy.variant != build.name or deploy is build.deploy:
                continue
            spec = build.make_spec(deploy)
            path = build.folder / f"{deploy.name}.onnx"
            beside = find_beside(deploy, build.program)
            artifact = OnnxArtifact(deploy.name, spec.wrap(build.net), path, spec, beside)
            size = compile_artifact(self.context, artifact)["bytes"]
            verified = verify_artifact(self.context, artifact)
            yield OtherFile(deploy.name, path, size, verified)

    def write_module(self, build: VariantBuild) -> None:
        """Writes the PyTorch code of a variant's net, and its weights."""
        net, files = build.net, self.context.files
        folder = build.folder / build.name
        code, weights = folder / "model.py", folder / "weights.safetensors"

        def write() -> Metadata:
            files.write(code, emit_module([net.graph], title=build.name))
            with files.replacing(weights):
                write_weights(weights, dict(net.weights), {})
            return {}

        name = f"code of {build.name}"
        self.context.make(Stage(name, (net,), write, (code, weights), quiet=True))

    def read_back(self, variant: Variant, own: Candidate) -> None:
        """Reads ONNX Runtime's optimized graph back.

        Raises:
            CompileError: a node that was planned in integers runs in floats.
        """
        if variant.target.device != "cpu":
            return

        def read() -> Metadata:
            faults = check_integers(own.graph, own.path)
            if faults:
                raise CompileError(faults)
            return {}

        name = f"read back {variant.name}"
        self.context.make(Stage(name, (own.path,), read, quiet=True))

    def find_others(self, variant: Variant, own: Candidate, base: Candidate) -> Iterator[Candidate]:
        """The other variants and trains that the contract speaks of. They were made before."""
        owners = dict.fromkeys(f.owner for r in variant.requires for f in find_all(r))
        for owner in owners:
            if owner is None or owner in (own.name, base.name):
                continue
            yield self.done[owner][0] if owner in self.done else self.make_trained(variant, owner)

    # --- figures ----------------------------------------------------------------------------

    def measure(
        self, build: VariantBuild, candidates: Sequence[Candidate]
    ) -> tuple[dict[str, Figures], Mapping[str, Any]]:
        """The figures of all candidates, measured in turns; remembered."""
        splits = find_splits(build.variant, build.train, self.splits)
        path = build.steps_folder / "figures.json"

        def measure() -> tuple[dict[str, Figures], Mapping[str, Any]]:
            target = settle_sizes([c.graph for c in candidates], build.target)
            seconds, conditions = time_candidates(candidates, target)
            own, base, *_ = candidates
            conditions["sizes"] = build.known.settle(own.graph, target).encode()
            figures = {
                c.name: self.take_figures(build, c, base, splits, seconds[c.name], target)
                for c in candidates
            }
            write_figures(path, figures, conditions)
            return figures, conditions

        stage = Stage(
            f"measure {build.name}",
            (*(c.path for c in candidates), build.target, splits, build.figure_reads),
            measure,
            (path,),
            lambda _: read_figures(path),
            begins=f"{', '.join(c.name for c in candidates)} in turns",
            quiet=True,
        )
        return self.context.make(stage)

    def describe(self, build: VariantBuild, own: Candidate, base: Candidate) -> list[LayerRow]:
        """The layers of the variant; remembered, because their noise and latency are measured."""
        path = build.steps_folder / "layers.json"

        def describe() -> list[LayerRow]:
            rows = describe_layers(build, own, base)
            write_layers(path, rows)
            return rows

        name = f"layers of {build.name}"
        reads = (own.path, base.path, build.key, build.target, build.figure_reads)
        return self.context.make(
            Stage(name, reads, describe, (path,), lambda _: read_layers(path), quiet=True)
        )

    def take_figures(
        self,
        build: VariantBuild,
        candidate: Candidate,
        base: Candidate,
        splits: Sequence[str],
        seconds: Any,
        target: Target,
    ) -> Figures:
        """The figures of one candidate, whose rounds took `seconds`."""
        sizes = choose_sizes(candidate.graph, target)
        counted = count_figures(candidate, sizes)
        plain = {name: Measured(value) for name, value in counted.items()}
        middle = sorted(seconds)[len(seconds) // 2]
        plain["latency"] = Measured(float(middle), Spread.ROUNDS, seconds)
        if candidate.name in self.done:
            known = self.done[candidate.name][1].own.plain
            plain |= {name: known[name] for name in ("error", SPREAD_ERROR)}
        else:
            found = OutputError(0.0, 0.0)
            if candidate is not base and candidate.name == build.variant.name:
                found = self.find_error(candidate, base, splits, target)
            plain |= {"error": Measured(found.error), SPREAD_ERROR: Measured(found.of_spread)}
        metrics = {}
        if candidate.place is not None:
            session = open_session(candidate.path, device=self.context.device, spinning=False)
            metrics = {split: measure_split(candidate, session, split) for split in splits}
        return Figures(plain, metrics)

    def find_error(
        self, own: Candidate, base: Candidate, splits: Sequence[str], target: Target
    ) -> OutputError:
        """The output error of a variant, on all rows of the last split, or on synthetic inputs."""
        first = open_session(own.path, device=self.context.device)
        second = open_session(base.path, device=self.context.device)
        if own.place is not None and splits:
            return measure_error(first, second, read_rows(own.place, splits[-1]))
        batches = (draw_inputs(own.graph, target, seed) for seed in range(8))
        return measure_error(first, second, batches)

    def look_up(self, figure: Figure, variant: Variant, figures: Mapping[str, Figures]) -> Measured:
        """The figure that a contract names."""
        owner = figure.owner or variant.name
        found = figures[owner].find(figure)
        if found is None:  # `outputs` of its deployment left out what the metric reads
            raise CompileError([figure_of_dropped_output(figure.span, figure.name, owner)])
        return found


def find_splits(variant: Variant, train: Train | None, others: Sequence[str] = ()) -> list[str]:
    """The splits that a contract names, the last one, which is `test` where there is one, and
    others that are asked for."""
    if train is None:
        return []
    named = [*others]
    named += [f.split for r in variant.requires for f in find_all(r) if f.split is not None]
    return [s for s in train.data.split.names if s in named or s == train.data.split.names[-1]]


def explain_failures(build: VariantBuild, net: WeightedNet, outcome: Outcome) -> Iterator[Any]:
    """The messages about requirements that do not hold."""
    for judgement in outcome.judgements:
        if judgement.verdict is Verdict.FAIL:
            yield explain_failure(build, net, outcome, judgement)
