"""`fix batch=3`: the file takes so many rows at a time, and is verified and measured with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backends.onnx_runtime.session import Device, open_session
from tests.checking import check_text
from tests.random_trains.harness import build
from tests.train_scripts import save_data
from weft.deployed.measuring import find_place, measure_deployed

SPEC = """
model Net {
    input features: f32[batch, 4]
    output logits: f32[batch, 3] = features -> dense(8) as hidden -> tanh -> dense(3) as head
    output total = mean(logits)
    output fixed = tensor([1.5, 2.5, 3.5])
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=26
}
train fit of Net on iris {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    metric nll = perplexity(logits, label)
    batch 24  epochs 1  seed 0
}
"""
VARIANT = """
variant small of fit { apply quantize(stored8)  require size <= 1MiB }
deploy small as onnx { fix batch=7 }
"""


@pytest.mark.parametrize("fixed", [1, 7, 40])
def test_a_deployment(fixed: int, tmp_path: Path) -> None:
    save_data(tmp_path)
    text = SPEC + f"deploy fit as onnx {{ fix batch={fixed} }}\ndeploy fit as onnx {{ }}\n"
    program = check_text(text, folder=str(tmp_path))
    assert build(program, tmp_path / "out") == []
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    measured = [s["measured"] for s in report["sections"] if "measured" in s]
    assert measured[0]["metrics"] == pytest.approx(measured[1]["metrics"], rel=1e-5)
    assert measured[0]["latency"]["sizes"]["batch"]["size"] == fixed
    (deploy, _) = program.deploys
    session = open_session(tmp_path / "out" / f"{deploy.name}.onnx", device=Device.CPU)
    assert session.batch == fixed
    place = find_place(deploy, program)
    assert set(measure_deployed(place, session, "val").figures) == {"accuracy", "nll", "loss"}
    rows = np.random.default_rng(0).normal(size=(26, 4)).astype(np.float32)
    made = session.run_rows({"features": rows})["logits"]
    assert made.shape == (26, 3)
    alone = session.run({"features": np.repeat(rows[20:21], fixed, axis=0)})["logits"][0]
    assert made[20] == pytest.approx(alone, rel=1e-5)


def test_a_variant(tmp_path: Path) -> None:
    save_data(tmp_path)
    program = check_text(SPEC + VARIANT, folder=str(tmp_path))
    assert build(program, tmp_path / "out") == []
    assert open_session(tmp_path / "out" / "small.onnx", device=Device.CPU).batch == 7
