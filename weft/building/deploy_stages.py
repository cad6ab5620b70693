"""A deployed net that went through no passes: its file, verified and measured, in the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backends.onnx_runtime.session import open_session
from compiler.compression.wording import format_seconds
from compiler.loading import read_trained
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.types.tensor import TensorType
from compiler.types.units import format_size
from weft.building.artifacts import compile_artifact, verify_artifact
from weft.building.describing import describe_conditions, describe_verification
from weft.building.report import Section, format_metrics
from weft.building.stage import BuildContext, Metadata, Stage
from weft.deployed.compiling import find_target, gather_weights, make_artifact
from weft.deployed.measuring import (
    BoundNet,
    find_place,
    measure_deployed,
    measure_latency,
)
from weft.deployed.sizing import KnownSizes, find_known
from weft.deployed.trained_data import BEST, find_data


@dataclass(frozen=True)
class DeployStages:
    """One file of a build; `folder` is the build's."""

    deploy: Deploy
    program: Program
    folder: Path
    context: BuildContext

    @property
    def train(self) -> Train | None:
        """The train whose net this is."""
        return self.program.trains.get(self.deploy.train or "")

    @property
    def trained(self) -> Path | None:
        """The weights of the train."""
        return self.folder / self.train.name / BEST if self.train else None

    def run(self) -> Section:
        """Compiles, verifies and measures the file."""
        target = find_target(self.deploy, self.program)
        weights, _ = gather_weights(target, self.trained, self.program, self.folder)
        artifact = make_artifact(target, weights, self.program, self.folder)
        compiled = compile_artifact(self.context, artifact)
        verified = verify_artifact(self.context, artifact, self.find_place)
        return self.describe(artifact.path, compiled, verified, self.measure(artifact.path))

    def find_place(self) -> BoundNet | None:
        """The place of the net in its train, with the trained weights of the other nets."""
        if self.train is None or self.trained is None:
            return None
        trained = read_trained(self.train, self.trained, self.train.span)
        return find_place(self.deploy, self.program, trained)

    def measure(self, path: Path) -> Metadata:
        """Metrics of the file itself on the last split, which is `test` where there is one, and
        its latency."""
        train, deploy = self.train, self.deploy
        known = find_known(deploy, train=train, net=deploy.trained)
        reads: tuple[object, ...] = (path, self.context.device.value, known)
        if train is not None:
            reads += (train, self.trained, *find_data(train, self.program.source.folder))
        name = f"measure {deploy.name}"
        return self.context.make(Stage(name, reads, lambda: self.take(path, known), quiet=True))

    def take(self, path: Path, known: KnownSizes) -> Metadata:
        """The figures of the file."""
        device = self.context.device
        session = open_session(path, device=device)
        found: dict[str, Any] = {
            "latency": asdict(measure_latency(self.deploy.graph, path, device, known)),
            "device": session.device.value,
        }
        place = self.find_place()
        if place is not None:
            found["split"] = place.train.data.split.names[-1]
            found["metrics"] = measure_deployed(place, session, found["split"]).figures
        return found

    def describe(
        self, path: Path, compiled: Metadata, verified: Metadata, measured: Metadata
    ) -> Section:
        """The rows of the file."""
        deploy = self.deploy
        fixed = dict(deploy.fixed)
        inputs = ", ".join(
            f"{item.name}: {_describe_type(item.value.type.substitute(fixed), takes_words=words)}"
            for item in deploy.graph.inputs
            for words in [item.name in deploy.words]
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
        conditions = describe_conditions(latency)
        rows.append(("latency", f"{format_seconds(latency['seconds'])} at {conditions}"))
        metadata = {"compiled": compiled, "verified": verified, "measured": measured}
        return Section(f"deploy {deploy.name} as {deploy.target}", tuple(rows), metadata)


def _describe_type(type: TensorType, *, takes_words: bool) -> str:
    """The type of an input of the file."""
    return str(type).replace(str(type.dtype), "str", 1) if takes_words else str(type)
