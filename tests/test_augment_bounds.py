"""What blocks of `std.augment` can be given: bad arguments are told where they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.driver import check
from compiler.report.diagnostics import Message, Sink
from tests.train_scripts import save_data

SPEC = """use std.augment
block stronger(x, how: float, most: int = 3) {
    y = x -> gaussian_noise(how) -> random_roll(most)
    return y
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([1, 8, 8])
    split random(seed=0), train=80%, val=20%
    augment { image = EXPRESSION }
}
"""
CALLS = [
    "random_flip(p=1.5)",
    "random_flip(p=-0.1)",
    "random_flip(axis=0)",
    "random_flip(axis=-4)",
    "center_crop(0)",
    "center_crop(9)",
    "random_crop(0)",
    "random_crop(13, padding=2)",
    "random_crop(4, padding=-1)",
    "random_resized_crop(0)",
    "random_resized_crop(8, scale=[1.0, 0.5])",
    "random_resized_crop(8, scale=[0.5])",
    "random_resized_crop(8, scale=[0.0, 1.0])",
    "random_resized_crop(8, ratio=[0.0, 1.0])",
    "random_rotation(-5.0)",
    'random_rotation(5.0, padding="black")',
    "random_affine(-1.0)",
    "random_affine(translate=[0.1])",
    "random_affine(translate=[0.1, 2.0])",
    "random_affine(scale=[2.0, 1.0])",
    "random_affine(shear=[-1.0, 0.0])",
    "random_perspective(1.5)",
    "random_perspective(p=2.0)",
    "elastic(alpha=-1.0)",
    "elastic(sigma=0.0)",
    'elastic(padding="black")',
    "color_jitter(-1.0)",
    "color_jitter(hue=0.6)",
    "color_jitter(p=1.5)",
    "random_gray(p=3.0)",
    "random_solarize(p=3.0)",
    "random_posterize(0)",
    "random_posterize(-2)",
    "random_posterize(30)",
    "random_posterize(3, p=-1.0)",
    "gaussian_blur(p=7.0)",
    "gaussian_blur(sigma=[2.0, 1.0])",
    "gaussian_blur(sigma=[0.0, 1.0])",
    "gaussian_blur(kernel=4)",
    "gaussian_blur(kernel=-1)",
    "gaussian_noise(-1.0)",
    "random_erasing(p=1.1)",
    "random_erasing(scale=[0.5, 0.1])",
    "random_erasing(ratio=[0.5])",
    "random_mask(0)",
    "random_mask(3, axis=0)",
    "random_mask(9)",
    "time_mask(-1)",
    "frequency_mask(9)",
    "random_roll(-1)",
    "random_scale(-0.5)",
    "draw_around(8, -1.0)[:, none, none, none] * image",
    "image * draw_factor(8, -1.0)[:, none, none, none]",
    "image * draw_beta(8, 0.0)[:, none, none, none]",
    "blur(image, 1 + uniform([batch]), 2)",
    'rotate(image, uniform([batch]), padding="black")',
    "blur(image, 1 + uniform([batch]), 17)",
    "gaussian_blur(kernel=17)",
    "random_gray(2)",
]
"""Each has one argument that cannot be."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("digits")
    save_data(found)
    return found


def refuse(folder: Path, call: str) -> Message:
    expression = call if "image" in call else f"image -> {call}"
    path = folder / "spec.weft"
    path.write_text(SPEC.replace("EXPRESSION", expression))
    sink = Sink()
    check(path, sink=sink)
    (message,) = sink.messages
    return message


@pytest.mark.parametrize("call", CALLS)
def test_bad_arguments_are_told_where_they_are_written(call: str, folder: Path) -> None:
    message = refuse(folder, call)
    assert message.code == "W0405"
    assert message.span is not None
    assert message.span.source.path.endswith("spec.weft")
    name = message.text.title.split()[0]
    assert f"{name} is {message.span.text.strip(chr(34))}" in message.text.label or name == "rows"
    assert message.span.text in call


@pytest.mark.parametrize(
    ("call", "place"), [("stronger(-1.0)", "-1.0"), ("stronger(1.0, most=-2)", "-2")]
)
def test_arguments_that_blocks_hand_on_are_told_in_the_spec(
    call: str, place: str, folder: Path
) -> None:
    message = refuse(folder, call)
    assert message.span is not None
    assert (message.span.text, message.span.source.path.endswith("spec.weft")) == (place, True)
    (asserted,) = message.text.labels
    assert asserted.span.source.path.endswith("augment.weft")


def test_what_just_fits_is_taken(folder: Path) -> None:
    for call in (
        "center_crop(8)",
        "random_crop(8, padding=0)",
        "random_crop(12, padding=2) -> center_crop(8)",
        "random_mask(8)",
        "gaussian_blur(kernel=15)",
        "random_flip(p=0.0) -> random_flip(p=1.0)",
        "random_affine(translate=[0.0, 1.0], scale=[2.0, 2.0])",
        "random_posterize(1) -> gaussian_noise(0.0)",
    ):
        path = folder / "spec.weft"
        path.write_text(SPEC.replace("EXPRESSION", f"image -> {call}"))
        sink = Sink()
        check(path, sink=sink)
        assert not sink.has_errors, (call, [m.text.title for m in sink.messages])
