"""Blocks of `std.augment` against the formulas of their pages, on the same draws: a net that only
draws makes the numbers that the block draws, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from compiler.ir.evaluate import evaluate
from tests.elaborating import build
from tests.formulas import augmentations as formulas

Array = Any
DRAWN = np.random.default_rng(5)
GIVEN: Mapping[str, Array] = {
    "image": DRAWN.random((5, 3, 6, 7)).astype(np.float32),
    "other": DRAWN.random((5, 3, 6, 7)).astype(np.float32),
    "grey": DRAWN.random((5, 1, 6, 7)).astype(np.float32),
    "factor": (2 * DRAWN.random(5)).astype(np.float32),
    "chosen": np.array([True, False, True, True, False]),
    "label": np.eye(5, dtype=np.float32),
    "signal": DRAWN.normal(size=(5, 2, 9)).astype(np.float32),
}
TYPES = {"float32": "f32", "bool": "bool"}
G = GIVEN
CASES: dict[str, tuple[list[str], Callable[..., Array]]] = {
    "choose_rows(chosen, image, other)": (
        [],
        lambda: formulas.choose_rows(G["chosen"], G["image"], G["other"]),
    ),
    "luminance(image)": ([], lambda: formulas.luminance(G["image"])),
    "blend(image, grey, factor)": (
        [],
        lambda: formulas.blend(G["image"], G["grey"], G["factor"]),
    ),
    **{
        f"adjust_{what}(image, factor)": (
            [],
            lambda what=what: getattr(formulas, f"adjust_{what}")(G["image"], G["factor"]),
        )
        for what in ("brightness", "contrast", "saturation")
    },
    "random_solarize(image, 0.3, p=1.0)": (
        [],
        lambda: formulas.random_solarize(G["image"], 0.3),
    ),
    "random_posterize(image, 3, p=1.0)": ([], lambda: formulas.random_posterize(G["image"], 3)),
    "blur_matrix(factor, 6, 2)": ([], lambda: formulas.blur_matrix(G["factor"], 6, 2)),
    "blur_matrix(factor, 4, 3)": ([], lambda: formulas.blur_matrix(G["factor"], 4, 3)),
    "factor * 0 + draw_factor(5, 0.3)": (
        ["uniform([5])"],
        lambda u: formulas.draw_factor(u, 0.3),
    ),
    "factor * 0 + draw_factor(5, 1.7)": (
        ["uniform([5])"],
        lambda u: formulas.draw_factor(u, 1.7),
    ),
    "color_jitter(image, 0.4)": (
        ["uniform([5])"],
        lambda u: formulas.adjust_brightness(G["image"], formulas.draw_factor(u, 0.4)),
    ),
    **{
        f"factor * 0 + draw_beta(5, {alpha})": (
            ["uniform([5])", "uniform([5])"],
            lambda u, v, alpha=alpha: formulas.draw_beta(u, v, alpha),
        )
        for alpha in (0.4, 1.0, 3.0)
    },
    "gaussian_noise(image, std=0.2)": (
        ["normal([5, 3, 6, 7])"],
        lambda z: formulas.gaussian_noise(G["image"], z, 0.2),
    ),
    "mixup(image, label, alpha=0.8)": (
        ["uniform([5])", "uniform([5])", "permutation(5)"],
        lambda u, v, j: formulas.mixup(G["image"], formulas.draw_beta(u, v, 0.8), j),
    ),
    "random_roll(signal, 4)": (
        ["randint(-4, 5, [5])"],
        lambda k: formulas.random_roll(G["signal"], k),
    ),
    "random_scale(signal, 0.3)": (
        ["uniform([5])"],
        lambda u: formulas.random_scale(G["signal"], u, 0.3),
    ),
}


@pytest.mark.parametrize("call", CASES)
def test_a_block_follows_the_formula(call: str) -> None:
    draws, formula = CASES[call]
    made = next(iter(run([call]).values()))
    expected = formula(*run(draws).values())
    np.testing.assert_allclose(made, expected, rtol=2e-5, atol=1e-5)


def run(calls: list[str]) -> dict[str, Array]:
    """What calls make in one net, one after the other."""
    if not calls:
        return {}
    inputs = {n: a for n, a in GIVEN.items() if n in "".join(calls)} or {"factor": G["factor"]}
    lines = [
        f"    input {n}: {TYPES[str(a.dtype)]}[{', '.join(map(str, a.shape))}]"
        for n, a in inputs.items()
    ]
    outputs = []
    for number, call in enumerate(calls):
        names = f"y{number}, rest" if call.startswith("mixup") else f"y{number}"
        lines.append(f"    {names} = {call}")
        outputs.append(f"    output y{number} = y{number}")
    outputs += [f"    output {n}_too = {n}" for n in inputs]
    text = "\n".join(["use std.augment", "model M {", *lines, *outputs, "}"])
    found = evaluate(build(text).graph, {}, inputs)
    return {name: array for name, array in found.items() if name.startswith("y")}
