"""What `docs/extending.md` shows: something new is one file of the product, and then it is known
everywhere: to the checker, the manual, PyTorch, ONNX, training and verification."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.extending import Extended, extend

SPEC = """
model Net {
    input x: f32[b, 4]
    h = x -> dense(8) as hidden -> ACTIVATION
    output y: f32[b, 1] = h -> dense(1) as head
}
data line {
    source npz("line.npz")
    split random(seed=0), train=80%, val=20%
}
train fit of Net(x=features) on line {
    minimize LOSS(y, side) with sgd(lr=0.1)
    batch 40  epochs 2
    CLAUSE
}
deploy fit as onnx
"""

BUILD = """
import sys
import weft
from compiler.manual.reference import op_reference

name = sys.argv[1]
assert f"`{name}`" in op_reference(), "the manual has no entry"
assert weft.check("spec.weft") == ()
report = weft.load("spec.weft").build("out")
assert not report.failures
print(report.json())
"""


def build(extended: Extended, name: str, **parts: str) -> tuple[str, str]:
    """The model and the training script that a build with something new writes and runs, beside a
    file that is verified."""
    text = SPEC
    for part, usual in (("ACTIVATION", "relu"), ("LOSS", "mse"), ("CLAUSE", "")):
        text = text.replace(part, parts.get(part, usual))
    (extended.folder / "spec.weft").write_text(text)
    rows = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    side = np.sign(rows[:, :1]).astype(np.float32)
    np.savez(extended.folder / "line.npz", features=rows, side=side)
    done = extended.run(BUILD, name)
    assert done.returncode == 0, done.stdout + done.stderr
    trained = extended.folder / "out" / "fit"
    deployed = json.loads(done.stdout)["sections"][-1]
    assert deployed["verified"]["cases"]
    return (trained / "model.py").read_text(), (trained / "train.py").read_text()


def test_an_op_takes_one_file(tmp_path: Path) -> None:
    extended = extend("A primitive op", tmp_path)
    assert extended.touched == {"compiler/ops/activation.py"}
    model, _ = build(extended, "logit", ACTIVATION="logit(0.1)")
    assert "torch.logit(self.hidden(x), 0.1)" in model
    laws = extended.hold_laws("logit")
    assert laws.returncode == 0, laws.stdout


def test_a_loss_takes_one_file(tmp_path: Path) -> None:
    extended = extend("A loss", tmp_path)
    assert extended.touched == {"compiler/ops/probability_losses.py"}
    _, script = build(extended, "soft_margin", LOSS="soft_margin")
    assert "F.soft_margin_loss(model(features), side)" in script
    laws = extended.hold_laws("soft_margin")
    assert laws.returncode == 0, laws.stdout


def test_a_regularizer_takes_one_file(tmp_path: Path) -> None:
    extended = extend("A regularizer", tmp_path)
    assert extended.touched == {"compiler/training/regularizers.py"}
    both = 'regularize ridge(0.1)  regularize group_lasso(1e-3) over "hidden"'
    _, script = build(extended, "ridge", CLAUSE=both)
    assert "RIDGE = 0.1  # strength of the penalty on squares" in script
    assert "def shrink_weights(parts: list[Tensor], amount: float) -> None:" in script
    assert 'shrink_weights(layer, RIDGE * optimizer.param_groups[0]["lr"])' in script
    assert "def shrink_groups" in script
