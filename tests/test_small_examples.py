"""Examples that take minutes on real data, built whole on a few rows that are drawn: nets are
narrow, trainings have a step or two, and figures say nothing but that they are there."""

from __future__ import annotations

import gzip
import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest

import weft
from benchmarks.examples import EXAMPLES, read_figures
from tests.train_scripts import lint

RULES = {
    r"\bepochs [1-9]\d*": "epochs 1",
    r"\bepoch \d+steps": "epoch 1steps",
    r"\bbatch (64|100|128|200|500)\b": "batch 10",
}
"""What is made smaller in every example."""


def write_mnist(folder: Path) -> None:
    """The four files, with a few images of noise."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 40), ("t10k", 20)):
        image = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        label = np.arange(count).astype(np.uint8) % 10
        for kind, array in (("images-idx3", image), ("labels-idx1", label)):
            head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            with gzip.open(folder / f"{name}-{kind}-ubyte.gz", "wb") as file:
                file.write(head + array.tobytes())


def write_text(folder: Path) -> None:
    """Letters in an order that has something to learn."""
    letters = np.random.default_rng(0).choice(list("abcde \n"), 24 * 40)
    (folder / "input.txt").write_text("".join(letters) + "end")


class Small(NamedTuple):
    """An example made small: its data, the files that it uses, what is made smaller in them, and
    the figures that its report has."""

    data: str
    write: Callable[[Path], None]
    uses: tuple[str, ...]
    rules: Mapping[str, str]
    figures: tuple[str, ...]


CASES = {
    "ddpm_mnist": Small(
        "mnist",
        write_mnist,
        ("lenet_mnist",),
        {"c: int = 64": "c: int = 8", "steps: int = 50": "steps: int = 3", "=500": "=20"},
        ("judged.sure", "judged.rarest"),
    ),
    "gan_mnist": Small(
        "mnist",
        write_mnist,
        ("lenet_mnist",),
        {"c: int = (32|16)": "c: int = 4"},
        ("judged.sure", "judged.rarest"),
    ),
    "char_gpt": Small(
        "tinyshakespeare",
        write_text,
        (),
        {
            r"context: int = 128, d: int = 128, depth: int = 4, heads: int = 4": (
                "context: int = 24, d: int = 8, depth: int = 2, heads: int = 2"
            ),
            "context=128": "context=24",
        },
        ("fit.likelihood", "judged.agrees"),
    ),
}


def write_small(name: str, folder: Path) -> Path:
    """The spec of a small example, with its data."""
    case = CASES[name]
    specs = folder / "weft" / "specs" / "examples"
    data = folder / "shared" / "data" / case.data
    specs.mkdir(parents=True)
    data.mkdir(parents=True)
    case.write(data)
    for used in (name, *case.uses):
        text = (EXAMPLES / f"{used}.weft").read_text(encoding="utf-8")
        for rule, small in (RULES | dict(case.rules)).items():
            text = re.sub(rule, small, text)
        (specs / f"{used}.weft").write_text(text, encoding="utf-8")
    return specs / f"{name}.weft"


@pytest.fixture(scope="module", params=CASES)
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """The name of an example and the folder of its build."""
    folder = tmp_path_factory.mktemp(request.param)
    out = folder / "out"
    weft.load(write_small(request.param, folder)).build(out, device="cpu")
    return request.param, out


def test_it_builds_and_measures(built: tuple[str, Path]) -> None:
    name, out = built
    figures = read_figures(json.loads((out / "report.json").read_text(encoding="utf-8")))
    for figure in CASES[name].figures:
        assert math.isfinite(figures[figure]), figure
    for script in sorted(out.glob("*/train.py")):
        lint(script.parent)
    if name == "char_gpt":
        assert figures["judged.agrees"] > 0.99, "what is kept is not what the whole net computes"


def test_what_is_deployed_runs(built: tuple[str, Path]) -> None:
    name, out = built
    (path,) = out.rglob("*.onnx")
    session = onnxruntime.InferenceSession(str(path))
    types = {node.op_type for node in onnx.load(path).graph.node}
    rng = np.random.default_rng(0)
    if name == "gan_mnist":
        noise = rng.normal(size=(3, 64)).astype(np.float32)
        (image,) = session.run(None, {"noise": noise})
        assert image.shape == (3, 1, 28, 28)
        assert 0 <= image.min() <= image.max() <= 1
    if name == "ddpm_mnist":
        assert types & {"Loop", "Scan"}, "the steps are a loop"
        (image,) = session.run(None, {"x": rng.normal(size=(3, 1, 28, 28)).astype(np.float32)})
        assert image.shape == (3, 1, 28, 28)
        assert 0 <= image.min() <= image.max() <= 1
    if name == "char_gpt":
        assert types & {"Loop", "Scan"}, "characters are drawn one by one"
        prompt = rng.integers(0, 8, (2, 5))
        (text,) = session.run(None, {"prompt": prompt})
        assert text.shape == (2, 24)
        assert np.array_equal(text[:, :5], prompt)


def test_samples_of_digits_are_pictures(built: tuple[str, Path]) -> None:
    name, out = built
    if name == "char_gpt":
        pytest.skip("it draws nothing")
    assert list(out.glob("*/samples/*.png"))
