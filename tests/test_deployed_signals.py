"""Spectra of sound inside a deployed file, which takes waves as they were recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compiler.ir.evaluate import evaluate
from compiler.rows.loading import load_data
from tests.test_deployed_words import run_plainly, write_file

SPEC = """
use std.signals
data sounds {
    source npz("sounds.npz")
    sound = (wave / 32768) -> standardize(axis=[])
    split in_order, train=60%, val=40%
}
model Net() {
    input sound: f32[batch, t]
    power = sound -> log_mel(mels=8, n_fft=64, hop_length=32, rate=8000.0)
    output y = power -> mean(axis=2)
}
net plain = Net()
deploy plain as onnx { preprocess sounds }
"""


def test_log_mel_bands_are_computed_in_the_file(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    times = np.arange(800) / 8000
    pitches = draws.uniform(100, 3000, 20)
    wave = np.sin(2 * np.pi * pitches[:, None] * times) + draws.normal(size=(20, 800)) / 10
    np.savez(tmp_path / "sounds.npz", wave=(3000 * wave).astype(np.int64))
    deploy, weights, path = write_file(tmp_path, spec=SPEC)
    assert deploy.preprocess is not None
    loaded = load_data(deploy.preprocess, tmp_path)
    given = {"wave": loaded.raw["wave"]}
    found = run_plainly(path, **given)["y"]
    expected = evaluate(deploy.graph, weights, given)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    training = loaded.split("train")["sound"]
    assert abs(training.mean()) < 1e-4
    assert abs(training.std() - 1) < 1e-3
    mean, scale = (float(array.reshape(-1)[0]) for array in loaded.statistics.values())
    by_hand = (loaded.raw["wave"] / 32768 - mean) / scale
    np.testing.assert_allclose(loaded.columns["sound"], by_hand, rtol=1e-3, atol=1e-4)
