"""Names of raw columns, columns, inputs, locals and outputs that are alike, in every pairing."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import open_session
from compiler.driver import check_source
from compiler.ir.evaluate import evaluate
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.rows.loading import load_data
from tests.checking import check_text

SPEC = """
model Net {{
    input {input}: f32[batch, 3]
    {local} = {input} -> dense(4) as {layer}
    output {output} = {local} -> dense(2)
}}
data table {{
    source csv("t.csv")
    {column} = stack([{raw}, b, c]) -> standardize
    split in_order, train=50%, test=50%
}}
train fit of Net({input}={column}) on table {{
    {mine} = {output} * 2
    minimize cross_entropy({mine}, label) with sgd(lr=0.1)
    batch 2  epochs 1
}}
deploy fit as onnx {{ preprocess table }}
"""
PLACES = ("input", "local", "layer", "output", "column", "raw", "mine")


def write_table(folder: Path, raw: str) -> None:
    rows = "".join(f"{i},{i * i},{7 - i},{i % 2}\n" for i in range(8))
    (folder / "t.csv").write_text(f"{raw},b,c,label\n{rows}")


@pytest.mark.parametrize(("first", "second"), product(PLACES, PLACES))
def test_one_name_in_two_places(first: str, second: str, tmp_path: Path) -> None:
    """Each spec is refused with a message, or every graph of it is sound."""
    names = {place: place for place in PLACES} | {first: "a", second: "a"}
    write_table(tmp_path, names["raw"])
    text = SPEC.format(**names)
    sink = Sink()
    check_source(Source(str(tmp_path / "spec.weft"), text), sink=sink)
    if not sink.has_errors:
        program = check_text(text, folder=str(tmp_path))
        graph = program.deploys[0].graph
        assert {i.name for i in graph.inputs} == {names["raw"], "b", "c"}
    else:
        assert {first, second} & {"column", "output", "mine", "local", "input", "layer"}


def test_a_local_named_like_a_raw_column_computes_the_same(tmp_path: Path) -> None:
    names = {place: place for place in PLACES} | {"local": "b", "raw": "a"}
    write_table(tmp_path, "a")
    program = check_text(SPEC.format(**names), folder=str(tmp_path))
    deploy = program.deploys[0]
    assert deploy.preprocess is not None
    data = load_data(deploy.preprocess)
    fitted = {f"preprocess.{path}": array for path, array in data.statistics.items()}
    weights = draw_weights(deploy.graph) | fitted
    compile_onnx(deploy.graph, weights, tmp_path / "fit.onnx")
    raw = {name: data.raw[name] for name in ("a", "b", "c")}
    session = open_session(tmp_path / "fit.onnx")
    (found,) = session.run(session.cast_inputs(raw)).values()
    net = program.trains["fit"].nets[0].net.graph
    expected = evaluate(net, weights, {"input": data.columns["column"]})["output"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def codes_of(text: str, folder: Path) -> list[str]:
    sink = Sink()
    check_source(Source(str(folder / "spec.weft"), text), sink=sink)
    return [m.code for m in sink.messages]


def test_a_column_named_like_a_weight_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, "scale")
    names = {place: place for place in PLACES} | {"raw": "scale"}
    text = SPEC.format(**names)
    text = text.replace("local -> dense(2)", "(local -> dense(2)) * scale")
    text = text.replace("    output o", "    param scale: f32[2] = zeros\n    output o")
    assert codes_of(text, tmp_path) == ["W1230"]
    inside = text.replace("fit of Net(input=column) on", "fit on")
    inside = inside.replace("mine = output * 2", "net m = Net()\n    mine = m(column) * 2")
    assert codes_of(inside[: inside.index("deploy")], tmp_path) == []


def test_a_column_named_like_an_output_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, "raw")
    names = {place: place for place in PLACES} | {"column": "input", "raw": "other"}
    text = SPEC.format(**names).replace("Net(input=input)", "Net")
    other = text[text.index("data table") : text.index("train fit")]
    other = other.replace("table", "later").replace("t.csv", "u.csv").replace("other", "output")
    (tmp_path / "t.csv").write_text("other,b,c,label\n1,2,3,0\n3,4,5,1\n")
    (tmp_path / "u.csv").write_text("output,b,c\n1,2,3\n3,4,5\n")
    text = text.replace("preprocess table", "preprocess later")
    assert codes_of(text + other, tmp_path) == ["W1229"]
