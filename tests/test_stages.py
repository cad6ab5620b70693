"""Stages of a build: each runs once, and again when anything that it reads has changed."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device
from compiler.ir.weights import write_weights
from compiler.report.source import Source, Span
from tests.quantizing import make_net
from tests.table_train import write_table
from weft.api import load
from weft.building.build import Build
from weft.building.build_outputs import open_context
from weft.building.stage import BuildContext, Stage, fingerprint

MODEL = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as a\n}"


@dataclass(frozen=True)
class Said:
    """What a spec says, and where."""

    rows: int
    span: Span | None = None


class Folder:
    """A build folder, and what was said and run there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.runs = 0

    def open(self) -> BuildContext:
        return open_context(self.path, Device.CPU, self.said.append, self.said.append)

    def make(self, *reads: object, files: tuple[str, ...] = ("made",), **options: Any) -> Any:
        """The result of a stage, of a build that begins anew."""
        writes = tuple(self.path / name for name in files)

        def run() -> Any:
            self.runs += 1
            for path in writes:
                path.write_text("made")
            return {"run": self.runs}

        return self.open().make(Stage("stage", reads, run, writes, **options))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_stage_runs_once(folder: Folder) -> None:
    assert folder.make("a", begins="at work") == {"run": 1}
    assert folder.make("a", begins="at work") == {"run": 1}
    assert folder.said == ["stage: at work", "stage: up to date"]
    assert folder.make("b", quiet=True) == {"run": 2}
    assert folder.make("b", quiet=True) == {"run": 2}
    assert len(folder.said) == 2


def spoil(folder: Folder) -> None:
    (folder.path / "made").write_text("other")


def lose(folder: Folder) -> None:
    (folder.path / "made").unlink()


def change_record(folder: Folder) -> None:
    path = folder.path / ".weft" / "build.json"
    record = json.loads(path.read_text())
    record["stages"]["stage"]["facts"]["run"] = 7
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("change", [spoil, lose, change_record])
def test_what_was_changed_is_made_again(change: Callable[[Folder], None], folder: Folder) -> None:
    folder.make("a")
    change(folder)
    assert folder.make("a") == {"run": 2}
    assert (folder.path / "made").read_text() == "made"


def test_a_file_of_another_name_is_made(folder: Folder) -> None:
    folder.make("a")
    folder.make("a", files=("renamed",))
    assert (folder.path / "renamed").is_file()


def test_a_result_that_cannot_be_read_is_made_again(folder: Folder) -> None:
    assert folder.make("a", recall=lambda metadata: None) == {"run": 1}
    assert folder.make("a", recall=lambda metadata: None) == {"run": 2}


def test_a_stage_that_fails_is_not_recorded(folder: Folder) -> None:
    def fail() -> Any:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        folder.open().make(Stage("stage", ("a",), fail))
    assert folder.make("a", files=()) == {"run": 1}


# --- what is read -------------------------------------------------------------------------------


def test_what_is_compared_is_read_and_where_it_is_said_is_not() -> None:
    spans = [Span(Source("a.weft", "train fit"), start, 5) for start in (0, 3)]
    first, second = (fingerprint(Said(3, span)) for span in spans)
    assert first == second != fingerprint(Said(4))
    options = OnnxOptions(spec_hash="a")
    assert fingerprint(options) == fingerprint(replace(options, spec_hash="b"))
    for changes in ({"labels": ("a",)}, {"dynamic": ()}, {"fixed": (("h", 3),)}, {"compact": True}):
        assert fingerprint(options) != fingerprint(replace(options, **changes))


def test_content_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    found = [fingerprint(path)]
    for text in ("1,2", "1,3", ""):
        path.write_text(text)
        found.append(fingerprint(path))
    assert len(set(found)) == 4
    path.rename(tmp_path / "other.csv")
    assert fingerprint(tmp_path / "other.csv") == found[-1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        ((("a",), "b"), (("a", "b"),)),
        (({"a": 1},), ({"a": 2},)),
        (({"a": 1},), ({"b": 1},)),
        ((np.zeros(3, np.float32),), (np.zeros(3, np.float64),)),
        ((np.zeros(3, np.float32),), (np.zeros((3, 1), np.float32),)),
        ((np.zeros(3, np.float32),), (np.float32([0, 0, -0.0]),)),
        ((Said(1),), ((1, None),)),
        ((1,), ("1",)),
    ],
)
def test_what_differs_is_told_apart(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert fingerprint(*one) != fingerprint(*other)


def test_a_net_is_read_by_its_graph_and_the_numbers_of_it() -> None:
    net = make_net(MODEL)
    known = fingerprint(net)
    wider = {path: array.astype(np.float64) for path, array in net.weights.items()}
    more = {**net.weights, "of no layer": np.ones(3, np.float32)}
    assert fingerprint(replace(net, weights=wider)) == known
    assert fingerprint(replace(net, weights=more)) == known
    moved = {path: array + np.float32(1e-3) for path, array in net.weights.items()}
    assert fingerprint(replace(net, weights=moved)) != known
    assert fingerprint(make_net(MODEL.replace("dense(4)", "dense(5)"))) != known


# --- in builds ----------------------------------------------------------------------------------


def build(folder: Path, spec: str = "net.weft") -> str:
    said: list[str] = []
    Build(load(folder / spec).program, folder / "out", Device.CPU, echo=said.append).run()
    return "\n".join(said)


NET = """
model Net() {
    input a: f32[batch, 1]
    output y = a -> dense(64) as hidden -> relu -> dense(40) as head
}
data table {
    source csv("table.csv")
    a = reshape(standardize(a), [1])
    split in_order, train=60%, val=20%, test=20%
}
net base = Net() -> load("w.safetensors")
variant tiny of base { apply quantize(stored8) }
deploy base as onnx { preprocess table }
deploy tiny as onnx { preprocess table }
"""


def write_net(folder: Path) -> None:
    write_table(folder, NET)
    draw = np.random.default_rng(0)
    shapes = {"hidden": (64, 1), "head": (40, 64)}
    arrays = {f"{name}.weight": draw.normal(size=shape) for name, shape in shapes.items()}
    arrays |= {f"{name}.bias": draw.normal(size=shape[:1]) for name, shape in shapes.items()}
    narrow = {path: array.astype(np.float32) for path, array in arrays.items()}
    write_weights(folder / "w.safetensors", narrow, {})


def test_a_second_build_records_nothing(tmp_path: Path) -> None:
    """Stages that say nothing are not made twice either."""
    write_net(tmp_path)
    build(tmp_path)
    record = tmp_path / "out" / ".weft" / "build.json"
    before = record.stat().st_mtime_ns
    said = build(tmp_path)
    assert record.stat().st_mtime_ns == before
    assert set(json.loads(record.read_text())["stages"]) == {
        "compile base",
        "verify base",
        "measure base",
        "variant tiny: 1 quantize",
        "compile tiny",
        "verify tiny",
        "read back tiny",
        "code of tiny",
        "compile tiny before compression",
        "measure tiny",
        "layers of tiny",
    }
    assert all(line.endswith("up to date") for line in said.splitlines())


def test_files_follow_from_the_rows_that_their_columns_were_fitted_on(tmp_path: Path) -> None:
    write_net(tmp_path)
    build(tmp_path)
    names = ("base.onnx", "tiny.onnx")
    before = [(tmp_path / "out" / name).read_bytes() for name in names]
    table = tmp_path / "table.csv"
    table.write_text(table.read_text().replace("0.125,", "1.5,"))
    build(tmp_path)
    for name, content in zip(names, before, strict=True):
        assert (tmp_path / "out" / name).read_bytes() != content, name


def test_a_command_writes_the_file_that_a_build_writes(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tests.table_train import TABLE
    from weft.cli.main import app

    labels = 'deploy fit as onnx { labels ["no", "yes"]  opset 20 }\n'
    path = write_table(tmp_path, TABLE + labels)
    build(tmp_path)
    words = ["compile", str(path), "-o", str(tmp_path / "other"), "--build", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--onnx", "--no-verify"])
    assert done.exit_code == 0, done.output
    own, other = tmp_path / "out" / "fit.onnx", tmp_path / "other" / "fit.onnx"
    assert own.read_bytes() == other.read_bytes()


def test_one_function_decides_what_is_made() -> None:
    """Nobody but the context of a build writes its record, or asks whether a stage has run."""
    root = Path(__file__).parents[1] / "weft"
    callers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("record", "has_run")
    }
    assert callers <= {"building/stage.py", "building/train_stages.py", "results/cache.py"}
