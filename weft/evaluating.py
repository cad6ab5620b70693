"""Metrics of ONNX files: of those that a build made, or of one that is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backends.onnx_runtime.session import Device, Session, open_session
from backends.pytorch.run.running import find_other_settings
from backends.pytorch.train.settings import OF_FIGURES
from compiler.data.codes import describe_codes
from compiler.data.drift import find_outside, warn_outside
from compiler.loading import read_trained
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.evaluating import built_otherwise, other_file, which_deployment
from compiler.report.messages.files import nothing_to_do, unknown_item
from compiler.report.suggestions import did_you_mean
from weft.building.build_outputs import find_other_passes
from weft.building.charts import DrawnChart, find_charts
from weft.building.report import format_metrics
from weft.deployed.exporting import hash_spec
from weft.deployed.inspecting import OnnxFile, find_difference, inspect
from weft.deployed.measuring import BoundNet, find_place, measure_deployed
from weft.deployed.trained_data import BEST, read_fitted


@dataclass(frozen=True)
class Evaluated:
    """A file, the deployment that it is one of, and its figures on a split."""

    deploy: str
    file: OnnxFile
    split: str
    figures: Mapping[str, float]
    spec_hash: str
    alone: bool = False
    """Whether no training lies beside the file whose fitted figures and words its data needs."""
    measured: tuple[str, ...] = ()
    """How what is measured differs from what the training measured."""
    charts: tuple[DrawnChart, ...] = ()
    """The figures that are no numbers."""
    warning: Message | None = None
    """Which rows lie outside of what the net was trained on, as the file tells it."""

    @property
    def title(self) -> str:
        """`fit, test: accuracy 0.9722`."""
        said = format_metrics(self.figures) or "none of its figures reads only what the file has"
        return f"{self.deploy}, {self.split}: {said}"

    def rows(self) -> Iterator[tuple[str, str]]:
        """What the file is, and what is measured of it that is no number."""
        yield from self.file.rows(self.spec_hash)
        yield from ((chart.title, chart.describe()) for chart in self.charts)
        if self.alone:
            yield "fitted on", "the data at hand: no training is next to the file"
        if self.measured:
            yield "measured otherwise", "; ".join(self.measured)

    def encode(self) -> dict[str, Any]:
        """The same as data."""
        found = {**self.file.encode(), "split": self.split, "metrics": dict(self.figures)}
        if self.charts:
            found["charts"] = {chart.name: chart.encode() for chart in self.charts}
        return {**found, "measured_otherwise": list(self.measured)} if self.measured else found


def choose_deploys(program: Program, name: str | None) -> list[Deploy]:
    """Deployments of trained nets: those have data and metrics.

    Raises:
        CompileError: there is none.
    """
    known = {d.name: d for d in program.deploys if _has_data(d, program)}
    if not known:
        raise CompileError([nothing_to_do(None, "eval", "`deploy` of a `train`")])
    if name is None:
        return list(known.values())
    if name not in known:
        names = tuple(known)
        fault = unknown_item(None, "deployment", name, names, did_you_mean(name, names))
        raise CompileError([fault])
    return [known[name]]


def _has_data(deploy: Deploy, program: Program) -> bool:
    variant = program.variants.get(deploy.variant or "")
    return deploy.train is not None or (variant is not None and variant.train is not None)


def measure_default(
    deploy: Deploy, program: Program, folder: Path, device: str, split: str | None
) -> Evaluated:
    """The figures of the file that a build has made of a deployment in its folder.

    Raises:
        CompileError: the file is not the one that the spec deploys, or there is no such split.
    """
    return measure_given([deploy], program, folder / f"{deploy.name}.onnx", device, split)


def measure_given(
    deploys: Sequence[Deploy], program: Program, path: Path, device: str, split: str | None
) -> Evaluated:
    """The figures of a file, which is that of one of these deployments.

    Raises:
        CompileError: it is none of theirs, or of several that are measured on other rows; or
            there is no such split.
    """
    session = open_session(path, device=Device(device))
    file = inspect(path, session)
    differences = {deploy.name: find_difference(file, deploy) for deploy in deploys}
    fitting = [deploy for deploy in deploys if not differences[deploy.name]]
    if not fitting:
        raise CompileError([other_file(None, str(path), tuple(differences.items()))])
    places = [find_place(deploy, program) for deploy in fitting]
    if any(not _are_alike(place, places[0]) for place in places):
        names = tuple(deploy.name for deploy in fitting)
        raise CompileError([which_deployment(None, str(path), names)])
    own = [d for d in fitting if d.name == path.stem or len(deploys) == 1]
    trained = path.parent / places[0].train.name / BEST
    place = _place_beside(places[0], trained)
    others = find_other_settings(place.train, trained) if trained.is_file() else {}
    built = [text for name, text in others.items() if name not in OF_FIGURES]
    for deploy in own:
        variant = program.variants.get(deploy.variant or "")
        built += find_other_passes(variant, path.parent) if variant is not None else ()
    if built:
        raise CompileError([built_otherwise(None, str(path), tuple(built))])
    if trained.is_file():
        place = replace(place, fitted=read_fitted(place.train, trained))
    measured = split or place.train.data.split.names[-1]
    measurement = measure_deployed(place, session, measured)
    tables = {name: table.tolist() for name, table in measurement.charts.items()}
    spec_hash = hash_spec(program.source)
    # Files of other variants of the train fit as well: what is said is about this file.
    name = own[0].name if own else path.name
    data = place.train.data
    needs = bool(data.statistics or describe_codes(data.schema))
    alone = needs and place.fitted is None
    changed = tuple(text for name, text in others.items() if name in OF_FIGURES)
    charts = tuple(find_charts(place.train, {measured: tables}))
    figures = measurement.figures
    warning = _find_outside(place, session, measured)
    return Evaluated(name, file, measured, figures, spec_hash, alone, changed, charts, warning)


def _find_outside(place: BoundNet, session: Session, split: str) -> Message | None:
    """The warning about rows of a split that lie outside of what the file knows."""
    known, loaded = session.rows, place.data
    if known is None or place.preprocess is None:
        return None
    if loaded.beside:
        loaded, _ = loaded.beside[place.preprocess.name]
    numbers = loaded.divided[split]
    rows = {column.name: loaded.raw[column.name][numbers] for column in known.columns}
    found = list(find_outside(known.columns, rows))
    return warn_outside(found, len(numbers), loaded.name_rows(numbers))


def _are_alike(place: BoundNet, other: BoundNet) -> bool:
    """Whether a file has the same figures in both places."""
    same_net = place.train is other.train and place.name == other.name
    return same_net and place.preprocess == other.preprocess


def _place_beside(place: BoundNet, trained: Path) -> BoundNet:
    """The place with what the training beside a file has learned, if one is there. Whatever else
    its weights say of it is read after this: that they are whole is then known."""
    if not trained.is_file():
        return place
    return replace(place, weights=read_trained(place.train, trained))
