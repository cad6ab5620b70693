"""Sizes at which figures are taken: fixed ones, the target's, those of rows, typical ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device, open_session
from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.sizes import choose_sizes
from compiler.ir.sizes import SizeSearch
from compiler.ir.weights import draw_weights
from compiler.program.variant import Target
from tests.checking import check_text
from tests.quantizing import make_net
from weft.cli.main import app
from weft.deployed.sizing import KnownSizes, find_known

SPEC = """
model Reader(width: int = 8) {
    input x: f32[batch, t, 3]
    output logits = x -> dense(width) as first -> relu -> mean(1) -> dense(4) as head
}
data rows {
    source npz("rows.npz")
    split in_order, train=60%, val=20%, test=20%
}
train fit of Reader on rows {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 16  epochs 1
}
variant tiny of fit {
    apply quantize(stored8)
    TARGET
    require size <= 1MiB
}
deploy fit as onnx { FIX }
deploy tiny as onnx { FIX }
"""


def spec_of(fix: str = "", target: str = "") -> str:
    return SPEC.replace("FIX", fix).replace("TARGET", target)


def typical(text: str, **pinned: int) -> dict[str, int] | None:
    return SizeSearch(make_net(text).graph, pinned).choose_typical()


def test_a_typical_input_is_one_row_of_middle_size() -> None:
    image = "model M() { input x: f32[batch, 3, h, w]  output y = x -> conv(4, kernel=5) -> relu }"
    assert typical(image) == {"batch": 1, "h": 32, "w": 32}
    assert typical(image, h=7, batch=4) == {"h": 7, "batch": 4, "w": 32}


@pytest.mark.parametrize(
    ("shape", "output", "expected"),
    [
        ("batch, t", "f32[batch, t - 40] = x[:, 40:]", {"batch": 1, "t": 41}),
        ("batch, t", "f32[batch, t] = concat([x[:, :30], x[:, 30:]], 1)", {"batch": 1, "t": 32}),
        ("batch, t", "f32[batch, 2] = x[:, -2:]", {"batch": 1, "t": 32}),
    ],
)
def test_a_size_that_is_not_possible_gives_way_to_the_nearest(
    shape: str, output: str, expected: dict[str, int]
) -> None:
    assert typical(f"model M() {{ input x: f32[{shape}]  output y: {output} }}") == expected


def test_sizes_that_bound_each_other_are_possible() -> None:
    text = """model M() {
        input x: f32[batch, s]
        input y: f32[batch, t]
        assert s >= 100 + t
        output z: f32[batch] = sum(x, 1) + sum(y, 1)
    }"""
    found = typical(text)
    assert found is not None
    assert found["s"] == found["t"] + 100
    assert found["batch"] == 1


def test_rows_are_told_from_positions() -> None:
    """The batch is 1 also where an input has none, and where another input is one sequence."""
    text = """model M() {
        input tokens: f32[batch, t, 4]
        input places: f32[t, 4]
        output y: f32[batch, t, 4] = tokens + places
    }"""
    assert typical(text) == {"batch": 1, "t": 32}


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        # Neither axis of an image counts rows, though its result has the same axes.
        (
            "input x: f32[height, width]  output y = x[none, none] -> conv(1, kernel=3,"
            ' padding="same") -> squeeze([0, 1])',
            {"height": 32, "width": 32},
        ),
        ("input x: f32[n, t]  output y = relu(x)", {"n": 32, "t": 32}),
        ("input x: i64[batch, t]  output y = x -> embedding(9, 4)", {"batch": 1, "t": 32}),
        ("input x: f32[n, t, 3]  output y = x -> dense(4)", {"n": 1, "t": 32}),
        (
            "input x: f32[n, 3, h, w]  input m: bool[n, h, w]  output y = where(m[:, none], x, 0)",
            {"n": 1, "h": 32, "w": 32},
        ),
    ],
)
def test_an_image_of_open_axes_has_no_rows(text: str, sizes: dict[str, int]) -> None:
    assert typical(f"model M() {{ {text} }}") == sizes


def test_known_sizes_come_first_and_say_where_from(folder: Path) -> None:
    program = check_text(FOUR_SOURCES, folder=str(folder))
    train = program.trains["fit"]
    known = find_known(program.deploys[0], program.variants["tiny"].target, train, "fit")
    settled = known.settle(train.nets[0].net.graph)
    assert str(settled) == "batch=2 (fix), t=6 (a row of rows)"
    other = program.variants["other"]
    assert str(find_known(None, other.target).settle(other.graph)) == (
        "batch=1 (typical), u=6 (target), v=32 (typical)"
    )


FOUR_SOURCES = """
model Reader() {
    input x: f32[batch, t, 3]
    output score: f32[batch, 4] = x -> mean(1) -> dense(4)
}
net free = Wide()
model Wide() {
    input a: f32[batch, u]
    input b: f32[batch, v]
    output y: f32[batch] = sum(a, 1) + sum(b, 1)
}
data rows {
    source npz("rows.npz")
    split in_order, train=60%, val=20%, test=20%
}
train fit of Reader on rows {
    minimize cross_entropy(score, label) with sgd(lr=0.1)
    batch 8  epochs 1
}
variant tiny of fit { apply prune(weights=50%) }
variant other of free { target cpu, u=6 }
deploy tiny as onnx { fix batch=2 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(50, 6, 3)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=x, label=draw.integers(0, 4, 50))
    return tmp_path


def build(folder: Path, text: str) -> str:
    (folder / "spec.weft").write_text(text)
    command = ["build", str(folder / "spec.weft"), "-o", str(folder / "out"), "--device", "cpu"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return re.sub(r"\s+", " ", done.output)


def read(folder: Path) -> dict[str, Any]:
    sections = json.loads((folder / "out" / "report.json").read_text())["sections"]
    return {section["title"]: section for section in sections}


def test_every_report_names_the_sizes_and_where_they_are_from(folder: Path) -> None:
    terminal = build(folder, spec_of("", "target cpu(threads=1), batch=5"))
    found = read(folder)
    of_variant = "batch=5 (target), t=6 (a row of rows)"
    of_deployment = "batch=1 (typical), t=6 (a row of rows)"
    page = (folder / "out" / "report.html").read_text()
    markdown = (folder / "out" / "report.md").read_text()
    for text in (of_variant, of_deployment):
        for said in (terminal, page, markdown):
            assert text in said
    assert found["variant tiny of fit"]["latency"]["sizes"] == {
        "batch": {"size": 5, "source": "target"},
        "t": {"size": 6, "source": "a row of rows"},
    }
    sizes = found["deploy fit as onnx"]["measured"]["latency"]["sizes"]
    assert sizes["batch"] == {"size": 1, "source": "typical"}
    flops = found["variant tiny of fit"]["figures"]["tiny"]["flops"]
    assert flops == 2 * 5 * (6 * 3 * 8 + 8 * 4), "at the same sizes"


def test_a_file_of_fixed_rows_is_verified_and_measured(folder: Path) -> None:
    """50 rows: a test split of 10 is no multiple of 4."""
    build(folder, spec_of())
    free = read(folder)
    terminal = build(folder, spec_of("fix batch=4"))
    fixed = read(folder)
    assert "batch=4 (fix)" in terminal
    for title in ("deploy fit as onnx", "variant tiny of fit"):
        sections = (free[title], fixed[title])
        first, second = (
            s["measured"]["metrics"] if "measured" in s else s["figures"]["tiny"]["test"]
            for s in sections
        )
        assert second["accuracy"] == first["accuracy"]
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)


def test_rows_are_given_in_the_number_that_a_file_takes(tmp_path: Path) -> None:
    net = make_net("model M() { input x: f32[batch, 4]  output y = x -> dense(3) }")
    weights = draw_weights(net.graph)
    options = OnnxOptions(fixed=(("batch", 4),))
    compile_onnx(net.graph, weights, tmp_path / "net.onnx", options=options)
    session = open_session(tmp_path / "net.onnx", device=Device.CPU)
    assert session.batch == 4
    x = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    expected = x @ weights["dense.weight"].T + weights["dense.bias"]
    np.testing.assert_allclose(session.run_rows({"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


def test_passes_follow_from_the_sizes_that_are_known() -> None:
    """A pass that is timed at other sizes may choose otherwise: it is run again."""
    known = KnownSizes().add({"batch": 1}, "fix").add({"batch": 8, "t": 5}, "target")
    assert known.aim(Target("cpu", 1)) == Target("cpu", 1, (("batch", 1), ("t", 5)))


def test_a_pass_is_run_again_for_another_fixed_size(folder: Path) -> None:
    build(folder, spec_of("fix batch=1"))
    assert "variant tiny: 1 quantize: up to date" in build(folder, spec_of("fix batch=1"))
    assert "variant tiny: 1 quantize: up to date" not in build(folder, spec_of("fix batch=2"))


def test_costs_are_counted_where_latency_is_measured() -> None:
    net = make_net("model M() { input x: f32[batch, t, 16]  output y = x -> dense(16) }")
    assert choose_sizes(net.graph, Target()) == {"batch": 1, "t": 32}
    journal: list[LayerNote] = []
    LowRank(rank=2).run(net, CompressionContext(journal=journal))
    assert journal
