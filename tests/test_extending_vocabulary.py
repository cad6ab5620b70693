"""What `docs/extending.md` shows of training and compression: something new is one file of the
product, and then it trains, is measured, deployed and explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array

from tests.extending import extend, read_hunks

FILES = {
    "A layer": {"specs/std/transformer.weft"},
    "A pass": {"compiler/passes/double_negation.py", "compiler/passes/pipeline.py"},
    "A compression pass": {"compiler/compression/coarsen.py"},
    "A metric": {"compiler/training/logarithmic.py"},
    "An optimizer": {"compiler/training/rprop.py"},
    "A schedule of the learning rate": {"compiler/training/circular.py"},
    "An initializer": {"compiler/vocabulary/initializers/sparse.py"},
    "A data source": {"compiler/data/logfmt.py"},
    "A command": {"weft/cli/commands/count.py"},
}
"""What each addition touches: one file, and for a pass its place in the order."""


@pytest.mark.parametrize("title", FILES)
def test_each_is_one_file(title: str) -> None:
    assert {hunk.path for hunk in read_hunks(title)} == FILES[title]


SPEC = """
use std.transformer

model Net {
    input x: f32[b, 8]
    param mix: f32[8, 8] = sparse(75%)
    mixed = -(-x) @ mix
    h = mixed -> dense(16) as hidden -> relu -> gated_mlp(24) as gated
    output y: f32[b] = (h -> dense(1) as head)[:, 0]
}
data lines {
    source logfmt("rows.log")
    x = stack([a, b, c, d, e, f, g, h], axis=-1)
    split random(seed=0), train=60%, val=20%, test=20%
}
train fit of Net on lines {
    minimize mse(y, price) with rprop(etas=[0.4, 1.3], schedule=circular(minimum=0.25))
    metric ratio = msle(relu(y), price)
    batch 20  epochs 2
}
variant coarse of fit {
    apply coarsen(step=0.125, except=["head"])
    require test.ratio <= 100
}
deploy fit as onnx
deploy coarse as onnx
"""

BUILD = """
import json
import sys
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from compiler.driver import check
from compiler.manual.reference import op_reference
from compiler.report.diagnostics import Sink
from compiler.vocabulary.initializers import INITIALIZERS
from weft.cli.main import app


def weft(*words):
    done = CliRunner().invoke(app, words)
    messages = getattr(done.exception, "messages", ())
    return "".join([done.output, *(str(message.text) for message in messages)])


def check_text(text):
    Path("wrong.weft").write_text(text)
    check("wrong.weft", overrides={}, sink=(sink := Sink()))
    return [[m.text.title, m.text.label, m.text.help] for m in sink.messages]


drawn = INITIALIZERS.get("sparse")(0.75).draw((8, 4), np.random.default_rng(0))
spec = Path("spec.weft").read_text()
json.dump({
    "sound": check_text(spec),
    "zeros": (drawn == 0).sum(axis=0).tolist(),
    "build": weft("build", "spec.weft", "-o", "out", "--explain"),
    "eval": weft("eval", "spec.weft", "--onnx", "out/fit.onnx"),
    "reference": op_reference(),
    "manual": {word: weft("ops", word) for word in sys.argv[1].split()},
    "wrong": {wrong: check_text(spec.replace(right, wrong)) for right, wrong in WRONG},
    "count": weft("count", "spec.weft"),
    "help": weft("--help"),
    "command": weft("cont"),
    "pass": weft("compile", "spec.weft", "-o", "made", "--onnx", "--explain", "double_negaton"),
}, sys.stdout)
"""
WORDS = ("sparse", "logfmt", "rprop", "circular", "msle", "coarsen", "gated_mlp")
MISSPELT = [
    ("sparse", "spars"),
    ("logfmt(", "logfnt("),
    ("rprop(", "rporp("),
    ("circular(", "circlar("),
    ("msle(", "mslee("),
    ("coarsen(", "coarsn("),
    ("gated_mlp(", "gated_mpl("),
]
REFUSED = [
    ("step=0.125", "step=-1", "`step` of `coarsen` must be above 0"),
    ("=0.25", "=2", "`minimum` of `circular` must be at least 0 and below 1"),
    ("[0.4,", "[4,", "`etas` of `rprop` must be one number below 1 and one above"),
    ('"head"', '"haed"', 'no layer matches "haed"'),
]


def test_all_of_it_works(tmp_path: Path) -> None:
    first, *others = FILES
    extended = extend(first, tmp_path, *others)
    (tmp_path / "spec.weft").write_text(SPEC)
    numbers = np.random.default_rng(0).uniform(size=(100, 9)).round(3).tolist()
    names = [*"abcdefgh", "price"]
    lines = [" ".join(f"{n}={x}" for n, x in zip(names, row, strict=True)) for row in numbers]
    (tmp_path / "rows.log").write_text("\n".join(lines))
    wrong = [*MISSPELT, *(case[:2] for case in REFUSED), ("use std.transformer", "")]
    done = extended.run(f"WRONG = {wrong!r}\n{BUILD}", " ".join(WORDS))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["sound"] == []
    check_what_is_built(tmp_path / "out", said)
    check_what_is_told(said)


def check_what_is_built(out: Path, said: dict[str, Any]) -> None:
    """The source is read, the weights drawn, the optimizer run at the schedule's rates, the metric
    measured twice; the pass on the net and the pass on the graph have done their work."""
    assert (out / "coarse.onnx").exists(), said["build"]
    script = (out / "fit" / "train.py").read_text()
    assert 'dict(pair.split("=") for pair in line.split())' in script
    assert "torch.optim.Rprop(model.parameters(), lr=LEARNING_RATE, etas=(0.4, 1.3))" in script
    assert "return 0.25 + 0.75 * math.sqrt(1 - (step / steps) ** 2)" in script
    assert "log1p()" in script
    model = (out / "fit" / "model.py").read_text()
    assert "nn.init.sparse_(self.mix, 0.75)" in model
    assert said["zeros"] == [6] * 4
    assert "class GatedMlp(nn.Module):" in model
    trained = json.loads((out / "fit" / "results.json").read_text())
    ratio = f"ratio {trained['test']['ratio']:.4f}"
    assert f"fit, test: {ratio}" in said["eval"]
    assert 'coarsen(step=0.125, except=["head"])' in said["build"]
    assert "weight in steps of 0.125" in said["build"]
    graph = onnx.load(out / "coarse.onnx").graph
    assert not [node for node in graph.node if node.op_type == "Neg"]
    weights = [to_array(w) for w in graph.initializer]
    coarse = [w for w in weights if w.ndim == 2 and not (w % np.float32(0.125)).any()]
    assert len(coarse) == 5, "all matrices but that of the head"


def check_what_is_told(said: dict[str, Any]) -> None:
    """The manual has entries, misspelt words are recognised, settings that mean nothing refused."""
    for word in WORDS:
        assert said["manual"][word].startswith(f"{word}(")
        assert f"| `{word}` |" in said["reference"]
    for right, wrong in MISSPELT:
        advice = f"did you mean `{right.rstrip('(')}`?"
        assert advice in [label for _, label, _ in said["wrong"][wrong]], wrong
    for _, wrong, title in REFUSED:
        assert [title] == [found for found, *_ in said["wrong"][wrong]]
    ((*_, advice),) = said["wrong"][""]
    assert "write `use std.transformer`" in advice
    assert said["count"] == "Net: 8 parameters\n"
    assert "  count    Print how many parameters each model of a spec has.\n" in said["help"]
    assert "Did you mean 'count'?" in said["command"]
    assert "did you mean `double_negation`?" in said["pass"]
