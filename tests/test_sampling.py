"""`grid_sample` and the grids of affine maps beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compiler.ops.sampling import GridSample
from compiler.types.tensor import TensorType
from tests.elaborating import build
from tests.faults import fault_of
from tests.pytorch_compare import assert_means_the_same
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(23)
IMAGES = DRAWN.normal(size=(3, 2, 5, 6)).astype(np.float32)
THETA = DRAWN.normal(0, 0.4, size=(3, 2, 3)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:Since version 1.3.0")  # of grids with a size of 1
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(("height", "width"), [(4, 7), (5, 2), (3, 1)])
def test_grids_are_pytorchs(height: int, width: int, corners: bool) -> None:
    def oracle(theta: Tensor) -> Tensor:
        return functional.affine_grid(theta, [3, 1, height, width], align_corners=corners)

    call = f"affine_grid(theta, {height}, {width}, align_corners={str(corners).lower()})"
    compare_block("vision", call, {"theta": THETA}, oracle)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_a_spatial_transformer_is_pytorchs(mode: str, padding: str) -> None:
    def oracle(image: Tensor, theta: Tensor) -> Tensor:
        grid = functional.affine_grid(theta, [3, 2, 4, 4], align_corners=False)
        return functional.grid_sample(image, grid, mode, padding, align_corners=False)

    options = f'mode="{mode}", padding="{padding}"'
    call = f"grid_sample(image, affine_grid(theta, 4, 4), {options})"
    compare_block("vision", call, {"image": IMAGES, "theta": THETA}, oracle)


def test_places_far_away_and_between_pixels() -> None:
    at = np.array([-9.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.5], np.float32)
    grid = np.stack(np.meshgrid(at, at), axis=-1)[None].repeat(3, 0)
    for mode in ("bilinear", "nearest", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (False, True):
                op = GridSample(mode, padding, corners)  # type: ignore[arg-type]
                expected = functional.grid_sample(
                    torch.tensor(IMAGES), torch.tensor(grid), mode, padding, align_corners=corners
                )
                (found,) = op.evaluate(IMAGES, grid)
                np.testing.assert_allclose(found, expected.numpy(), atol=2e-5, err_msg=str(op))


@pytest.mark.parametrize(
    ("image", "grid", "code"),
    [
        ("f32[3, 5, 5]", "f32[3, 4, 4, 2]", "W0380"),
        ("f32[3, 2, 5, 5]", "f32[4, 4, 2]", "W0380"),
        ("f32[3, 2, 5, 5]", "f32[3, 4, 4, 3]", "W0387"),
        ("f32[3, 2, 5, 5]", "f32[2, 4, 4, 2]", "W0387"),
        ("f32[3, 2, 5, 5]", "f16[3, 4, 4, 2]", "W0397"),
        ("i64[3, 2, 5, 5]", "f32[3, 4, 4, 2]", "W0382"),
    ],
)
def test_what_does_not_fit_is_refused(image: str, grid: str, code: str) -> None:
    types = [TensorType.of(t[:3], [int(n) for n in t[4:-1].split(", ")]) for t in (image, grid)]
    message = fault_of(lambda: GridSample().infer(lambda *_: None, *types))
    assert message.code == code
    assert message.text.label


def test_a_net_that_turns_its_images() -> None:
    text = """
use std.vision
model M {
    input image: f32[n, 1, h, w]
    theta = image -> global_avg_pool -> dense(6) as locate -> reshape([n, 2, 3])
    output y = image -> grid_sample(affine_grid(theta, h, w), padding="border")
}
"""
    graph = build(text).graph
    for sizes in ({"n": 1, "h": 6, "w": 5}, {"n": 2, "h": 3, "w": 9}):
        code = assert_means_the_same(graph, sizes)
    assert 'padding_mode="border", align_corners=False)' in code
