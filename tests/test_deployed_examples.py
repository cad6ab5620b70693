"""Every deployment of an example, run by plain ONNX Runtime on raw rows in a process of its own,
gives the figures that `weft eval` says, and names the classes that its scores say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest

from backends.onnx_runtime.session import Device, open_session
from benchmarks.examples import EXAMPLES
from compiler.data.base import Column, DataSource, LoadingCode
from compiler.data.splitting import Split
from compiler.driver import check
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.records import dataclass
from compiler.report.diagnostics import Sink
from compiler.rows.preprocess import prefix_parameters
from tests.plain_runtime import run_in_process
from weft.deployed.exporting import make_export_spec, open_preprocessing
from weft.deployed.inspecting import find_difference, inspect
from weft.deployed.measuring import BoundNet, find_place, measure_deployed, score_rows

SHARED = EXAMPLES.parents[2] / "shared" / "data"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.weft"))
ROWS = 400
"""Rows of a source, of each split that it brings, that are taken; fewer of images."""
IMAGES = 24


@final
@dataclass(frozen=True, eq=False)
class Few(DataSource):
    """Some rows of a source."""

    name: ClassVar[str] = "few"
    source: DataSource
    parts: tuple[int, ...]

    def schema(self, folder: Path) -> tuple[Column, ...]:
        return self.source.schema(folder)

    def describe_reading(self) -> Mapping[str, object]:
        return self.source.describe_reading()

    def load(self, folder: Path) -> Mapping[str, Any]:
        return self.take(self.source.load(folder))

    def load_alone(self, folder: Path) -> Mapping[str, Any]:
        return self.take(self.source.load_alone(folder))

    def take(self, rows: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first rows of each part."""
        starts = np.cumsum([0, *self.parts[:-1]])
        sizes = [count_rows(rows, part) for part in self.parts]
        chosen = np.concatenate([np.arange(s, s + n) for s, n in zip(starts, sizes, strict=True)])
        return {name: np.array(array[chosen]) for name, array in rows.items()}

    def imports(self) -> Sequence[str]:
        raise NotImplementedError

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        raise NotImplementedError


def count_rows(rows: Mapping[str, Any], part: int) -> int:
    large = any(array.ndim > 2 for array in rows.values())
    return min(part, IMAGES if large else ROWS)


def take_few(data: DataSet, folder: Path) -> DataSet:
    """The data set with some of its rows, unless its split asks for a number of them."""
    if data.members:
        return replace(data, members=tuple(take_few(part, folder) for part in data.members))
    if data.source_rows is not None:
        return replace(data, source_rows=take_few(data.source_rows, folder))
    if any(isinstance(share, int) for _, share in data.split.shares):
        return data
    rows = data.source.load(folder)
    total = len(next(iter(rows.values())))
    given = data.split.given or (("all", total),)
    few = Few(data.source, tuple(count for _, count in given))
    split: Split = data.split
    if split.given:
        cut = tuple((name, count_rows(rows, count)) for name, count in split.given)
        split = replace(split, given=cut)
    return replace(data, source=few, split=split)


def open_deployments(name: str) -> list[tuple[Deploy, BoundNet, dict[str, Any]]]:
    """The deployments of trained nets of an example, on few rows, with drawn weights."""
    sink = Sink()
    program = check(EXAMPLES / f"{name}.weft", sink=sink)
    assert program is not None
    found = []
    for deploy in program.deploys:
        variant = program.variants.get(deploy.variant or "")
        owner = deploy.train or (variant.train if variant is not None else None)
        if owner is not None:
            found.append(open_deployment(deploy, program, owner))
    return found


def open_deployment(
    deploy: Deploy, program: Program, owner: str
) -> tuple[Deploy, BoundNet, dict[str, Any]]:
    folder = program.source.folder
    train = program.trains[owner]
    cut = replace(train, data=take_few(train.data, folder))
    program = replace(program, trains={**program.trains, owner: cut})
    if deploy.preprocess is not None:
        deploy = replace(deploy, preprocess=take_few(deploy.preprocess, folder))
    weights: dict[str, Any] = {}
    for part in train.nets:
        weights |= draw_weights(prefix_parameters(part.net.graph, part.prefix), seed=5)
    weights = {**draw_weights(deploy.graph, seed=5), **weights}
    return deploy, find_place(deploy, program, weights), weights


@pytest.mark.parametrize("name", NAMES)
def test_a_file_alone_gives_the_figures_of_eval(name: str, tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent")
    for number, opened in enumerate(open_deployments(name)):
        compare(*opened, tmp_path / str(number))


def compare(deploy: Deploy, place: BoundNet, weights: Mapping[str, Any], folder: Path) -> None:
    """The figures of a deployed file by Weft, and of what it puts out elsewhere."""
    folder.mkdir()
    path = folder / "net.onnx"
    opened = open_preprocessing(deploy, place.folder)
    assert place.train.span is not None
    exporting = replace(make_export_spec(deploy, place.train.span.source), rows=opened.rows)
    known = {p.path: weights[p.path] for p in deploy.graph.parameters if p.path in weights}
    exporting.write(WeightedNet(deploy.graph, {**known, **opened.fitted}), path)
    session = open_session(path, device=Device.CPU)
    assert find_difference(inspect(path, session), deploy) == ""
    split = place.train.data.split.names[-1]

    def run(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the file makes of words, in a process that has nothing but these."""
        given = {n: spell(deploy, n, a) for n, a in session.cast_inputs(inputs).items()}
        found = run_in_process(path, folder, given)
        check_names(deploy, found)
        return found

    said = measure_deployed(place, session, split).figures
    found = {n: score.total() for n, score in score_rows(place, split, run).items()}
    assert said.keys() >= found.keys()
    for figure, value in found.items():
        assert said[figure] == pytest.approx(value, rel=1e-5, abs=1e-7, nan_ok=True), figure
    assert found or not session.labels, "classes are held against something"


def spell(deploy: Deploy, name: str, array: Any) -> Any:
    """An input as a table has it."""
    if array.dtype == object:
        array = array.astype(str)
        assert set(array.flat) <= set(deploy.words[name])
    return array


def check_names(deploy: Deploy, found: Mapping[str, Any]) -> None:
    names = deploy.classes
    if names is None:
        return
    best = found[names.scores].argmax(names.axis)
    assert found[names.label].tolist() == np.array(deploy.labels)[best].tolist()
    if names.probabilities:
        shares = found[names.probabilities]
        np.testing.assert_allclose(shares.sum(names.axis), 1, rtol=1e-4)
        assert (shares.argmax(names.axis) == best).all()
