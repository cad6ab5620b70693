"""Spectra and correlation of the library against PyTorch, NumPy and the formulas of torchaudio."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.elaborating import codes
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(7)
X, Y = (DRAWN.normal(size=(2, 50)).astype(np.float32) for _ in range(2))


def spectrum(x: Any, n_fft: int, hop: int, window: Any, *, center: bool = True) -> Any:
    window = window(n_fft, dtype=x.dtype)
    made = torch.stft(x, n_fft, hop, window=window, center=center, return_complex=True)
    return torch.view_as_real(made)


def mel_filters(bins: int, mels: int, rate: float, low: float, high: float, **kind: Any) -> Any:
    """One triangle after the other (torchaudio's `melscale_fbanks` with the scale of HTK)."""

    def to_mel(f: float) -> float:
        return 2595 * math.log10(1 + f / 700)

    mel = [to_mel(low) + (to_mel(high) - to_mel(low)) * i / (mels + 1) for i in range(mels + 2)]
    edges = [700 * (10 ** (m / 2595) - 1) for m in mel]
    made = torch.zeros(bins, mels, **kind)
    for i in range(bins):
        f = i * rate / 2 / (bins - 1)
        for j, (left, top, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
            made[i, j] = max(0.0, min((f - left) / (top - left), (right - f) / (right - top)))
    return made


def log_mel(x: Any) -> Any:
    power = spectrum(x, 16, 4, torch.hann_window).square().sum(-1)
    filters = mel_filters(9, 3, 800.0, 20.0, 390.0, dtype=x.dtype)
    return (power.transpose(1, 2) @ filters).clamp(min=1e-10).log().transpose(1, 2)


def correlate(a: Any, b: Any) -> Any:
    rows = []
    for x, y in zip(a, b, strict=True):
        rows.append(F.conv1d(F.pad(x, (len(x) - 1,) * 2)[None, None], y[None, None])[0, 0])
    return torch.stack(rows)


def autocorrelate(x: Any, lags: int) -> Any:
    t = x.shape[-1]
    return torch.stack([(x[:, k:] * x[:, : t - k]).sum(-1) for k in range(lags + 1)], dim=-1)


CASES: list[tuple[str, str, Callable[..., Any]]] = [
    (
        "x",
        "stft(x, hann_window(16), n_fft=16, hop_length=5)",
        lambda x: spectrum(x, 16, 5, torch.hann_window),
    ),
    (
        "x",
        "stft(x, hamming_window(9), n_fft=9, hop_length=4, center=false)",
        lambda x: spectrum(x, 9, 4, torch.hamming_window, center=False),
    ),
    (
        "x",
        "stft(x, hann_window(12), n_fft=12)",
        lambda x: spectrum(x, 12, 3, torch.hann_window),
    ),
    (
        "x",
        "log_mel(x, mels=3, n_fft=16, hop_length=4, rate=800.0, low=20.0, high=390.0)",
        log_mel,
    ),
    ("x y", "cross_correlation(x, y)", correlate),
    ("x", "autocorrelation(x, 7)", lambda x: autocorrelate(x, 7)),
    (
        "x",
        "autocorrelation(x, 3, normalized=true)",
        lambda x: autocorrelate(x, 3) / x.square().sum(-1, keepdim=True),
    ),
]


@pytest.mark.parametrize(("names", "call", "oracle"), CASES, ids=[c[1] for c in CASES])
def test_numbers_and_gradients(names: str, call: str, oracle: Callable[..., Any]) -> None:
    compare_block("signals", call, {n: {"x": X, "y": Y}[n] for n in names.split()}, oracle)


def test_the_oracle_of_correlation_is_numpys() -> None:
    found = correlate(torch.tensor(X), torch.tensor(Y)).numpy()
    expected = [np.correlate(x, y, "full") for x, y in zip(X, Y, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


WRONG = [
    ("stft(x, hann_window(8), n_fft=9)", "W0392"),
    ("stft(x, hann_window(200), n_fft=200)", "W0392"),
    ("stft(x, hann_window(60), n_fft=60, center=false)", "W0392"),
    ("stft(x[0], hann_window(8), n_fft=8)", "W0380"),
    ("stft(x, ones([8, 1]), n_fft=8)", "W0380"),
    ("stft(cast(x, f16), cast(hann_window(8), f16), n_fft=8)", "W0382"),
    ("stft(x, hann_window(8), n_fft=8, hop_length=0)", "W0353"),
    ("stft(cast(x, f64), hann_window(8), n_fft=8)", "W0397"),
]


@pytest.mark.parametrize(("call", "code"), WRONG)
def test_what_is_refused(call: str, code: str) -> None:
    text = f"use std.signals\nmodel M {{\n    input x: f32[n, 50]\n    output y = {call}\n}}"
    assert codes(text) == [code]
