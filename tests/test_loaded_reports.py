"""Builds of nets that load weights: what the report says of them, and what is not made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.ir.weights import write_weights
from weft.api import Spec, loads
from weft.building.build import Build
from weft.building.report import Report

SPEC = """
model Body(width: int = 512) {
    input image: f32[n, 64]
    output y = image -> dense(width) as fc -> relu
}
net body = Body() -> load("body.safetensors")
model Net {
    input image: f32[n, 64]
    net first = body
    output logits = image -> first -> dense(10) as head
}
data digits {
    source sklearn("digits")
    image = (image / 16) -> flatten(0)
    split random(seed=0), train=80%, test=20%
}
train fit of Net on digits {
    minimize cross_entropy(logits, label) with adamw(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 64
    epochs 1
}
variant small of body {
    apply quantize(int8)
    target cpu(threads=1), n=1
}
deploy fit as onnx { dynamic n }
"""


def write_body(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = {
        "fc.weight": rng.normal(0, 0.1, (512, 64)).astype(np.float32),
        "fc.bias": np.zeros(512, np.float32),
        "embeddings.position_ids": np.arange(4),
    }
    write_weights(folder / "body.safetensors", arrays, {})


def build(spec: Spec, folder: Path) -> tuple[Report, list[str]]:
    said: list[str] = []
    return Build(spec.program, folder, echo=said.append).run(), said


def test_the_report_names_what_was_loaded(tmp_path: Path) -> None:
    write_body(tmp_path, 0)
    report, _ = build(loads(SPEC, folder=tmp_path), tmp_path / "out")
    sections = {section.title: section for section in report.sections}
    assert list(sections)[:2] == ["weights fit", "weights body"]
    for title in ("weights fit", "weights body"):
        rows = dict(sections[title].rows)
        assert rows["loaded from"] == "body.safetensors"
        assert rows["left out by rule"] == "embeddings.position_ids (places of a sequence)"
    assert "| loaded from | body.safetensors |" in report.markdown()


def test_a_training_from_large_weights_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files beyond this size are told apart by the time of their change.
    monkeypatch.setattr("weft.results.cache._HASH_LIMIT", 100_000)
    write_body(tmp_path, 0)
    spec = loads(SPEC, folder=tmp_path)
    assert "train fit: training" in build(spec, tmp_path / "out")[1]
    assert "train fit: up to date" in build(spec, tmp_path / "out")[1]
    write_body(tmp_path, 1)
    assert "train fit: training" in build(spec, tmp_path / "out")[1]
