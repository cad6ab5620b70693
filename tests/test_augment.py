"""The blocks of `std.augment`: torchvision's numbers, what they draw, and masks that go along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.elaborate.scopes.library import find_blocks
from compiler.ir.evaluate import evaluate
from tests.elaborating import build, elaborate
from tests.std_blocks import type_text
from tests.torchvision_models import import_models

Array = NDArray[Any]
H, W = 20, 28
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.random((4, 3, H, W)).astype(np.float32)
GREY = np.repeat(IMAGE[:, :1], 3, axis=1)
FACTOR = np.array([0.0, 0.7, 1.3, 1.9], np.float32)


def functional() -> Any:
    import_models()
    from torchvision.transforms.v2 import functional as found

    return found


def numbers(*values: float) -> Array:
    return np.array(values, np.float32)


def run(call: str, **inputs: Array) -> list[Array]:
    """What the generated module gives."""
    names = ", ".join(f"y{k}" for k in range(1 + call.startswith("2:")))
    text = write_model(call.removeprefix("2:"), names, inputs)
    graph = build(text).graph
    module = load_module(emit_module([graph], title="M"), graph)
    torch.manual_seed(len(call))
    made = module(*(torch.tensor(array) for array in inputs.values()))
    return [y.numpy() for y in (made if isinstance(made, tuple) else (made,))]


def write_model(call: str, names: str, inputs: Mapping[str, Array]) -> str:
    lines = [f"    input {name}: {type_text(array)}" for name, array in inputs.items()]
    outputs = [f"    output {name} = {name}" for name in names.split(", ")]
    uses = ["use std.augment", "use std.vision"]
    return "\n".join([*uses, "model M {", *lines, f"    {names} = {call}", *outputs, "}"])


def each(function: Callable[..., torch.Tensor]) -> Callable[..., Array]:
    """torchvision changes one image at a time where the numbers differ."""

    def apply(image: Array, *values: Array) -> Array:
        rows = [
            function(torch.tensor(image[row]), *(float(column[row]) for column in values))
            for row in range(len(image))
        ]
        return torch.stack(rows).numpy()

    return apply


def bilinear() -> Any:
    return functional().InterpolationMode.BILINEAR


ORACLES: dict[str, tuple[dict[str, Array], Callable[..., Any]]] = {
    "adjust_brightness(image, f)": (
        {"image": IMAGE, "f": FACTOR},
        lambda i, f: functional().adjust_brightness(i, f),
    ),
    "adjust_contrast(image, f)": (
        {"image": IMAGE, "f": FACTOR},
        lambda i, f: functional().adjust_contrast(i, f),
    ),
    "adjust_contrast(one, f)": (
        {"one": IMAGE[:, :1], "f": FACTOR},
        lambda i, f: functional().adjust_contrast(i, f),
    ),
    "adjust_saturation(image, f)": (
        {"image": IMAGE, "f": FACTOR},
        lambda i, f: functional().adjust_saturation(i, f),
    ),
    "adjust_hue(image, f)": (
        {"image": IMAGE, "f": numbers(-0.5, -0.1, 0, 0.33)},
        lambda i, f: functional().adjust_hue(i, f),
    ),
    "adjust_hue(grey, f)": (
        {"grey": GREY, "f": numbers(-0.5, -0.1, 0, 0.33)},
        lambda i, f: functional().adjust_hue(i, f),
    ),
    "rotate(image, f)": (
        {"image": IMAGE, "f": numbers(0, 30, -75, 160)},
        lambda i, f: functional().rotate(i, f, interpolation=bilinear()),
    ),
    "affine(image, a, x, y, s, p, q)": (
        {
            "image": IMAGE,
            "a": numbers(0, 30, -75, 160),
            "x": numbers(0, 3, -4, 2),
            "y": numbers(1, -2, 5, 0),
            "s": numbers(1, 1.3, 0.7, 1),
            "p": numbers(0, 10, -20, 30),
            "q": numbers(0, 5, 0, -15),
        },
        lambda i, a, x, y, s, p, q: functional().affine(
            i, a, [int(x), int(y)], s, [p, q], interpolation=bilinear()
        ),
    ),
    "blur(image, s, 3)": (
        {"image": IMAGE, "s": numbers(0.1, 0.5, 1, 2)},
        lambda i, s: functional().gaussian_blur(i, [3, 3], [s, s]),
    ),
    "blur(image, s, 9)": (
        {"image": IMAGE, "s": numbers(0.1, 0.5, 1, 2)},
        lambda i, s: functional().gaussian_blur(i, [9, 9], [s, s]),
    ),
    "luminance(image)": ({"image": IMAGE}, lambda i: functional().rgb_to_grayscale(i)),
    "random_gray(image, 1.0)": ({"image": IMAGE}, lambda i: functional().rgb_to_grayscale(i, 3)),
    "center_crop(image, 11, 8)": ({"image": IMAGE}, lambda i: functional().center_crop(i, [11, 8])),
    "center_crop(image, 20)": ({"image": IMAGE}, lambda i: functional().center_crop(i, [20, 20])),
    "random_solarize(image, 0.4, 1.0)": (
        {"image": IMAGE},
        lambda i: functional().solarize(i, 0.4),
    ),
    "random_posterize(image, 3, 1.0)": ({"image": IMAGE}, lambda i: functional().posterize(i, 3)),
    "random_flip(image, 1.0)": ({"image": IMAGE}, lambda i: functional().horizontal_flip(i)),
    "random_flip(image, 1.0, axis=-2)": (
        {"image": IMAGE},
        lambda i: functional().vertical_flip(i),
    ),
}


@pytest.mark.parametrize("call", ORACLES)
def test_torchvision_agrees(call: str) -> None:
    inputs, oracle = ORACLES[call]
    expected = each(oracle)(*inputs.values())
    graph = build(write_model(call, "y", inputs)).graph
    (meant,) = evaluate(graph, {}, dict(inputs)).values()
    (found,) = run(call, **inputs)
    np.testing.assert_allclose(meant, expected, atol=2e-5)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_box_of_whole_pixels_is_a_resized_crop() -> None:
    """But for the outer two pixels, where torchvision sees no neighbours beyond the box."""
    left, top = numbers(0, 3, 5, 10), numbers(0, 2, 4, 1)
    width, height = numbers(28, 10, 12, 16), numbers(20, 11, 16, 9)
    call = (
        f"grid_sample(image, box_grid((2 * l + w) / {W} - 1, (2 * t + h) / {H} - 1, w / {W}, "
        f'h / {H}, 15, 13), padding="border")'
    )
    (found,) = run(call, image=IMAGE, l=left, t=top, w=width, h=height)
    crop = each(
        lambda i, x, y, w, h: functional().resized_crop(
            i, int(y), int(x), int(h), int(w), [15, 13], antialias=False
        )
    )
    expected = crop(IMAGE, left, top, width, height)
    inner = np.s_[..., 2:-2, 2:-2]
    np.testing.assert_allclose(found[inner], expected[inner], atol=2e-5)


def test_perspective_is_that_of_four_points() -> None:
    """Corners of pixels, where torchvision names their centres."""
    ends = numbers(-0.9, 0.8, 1, -0.7, -1, -0.6, 0.9, 0.7).reshape(1, 2, 4)
    grid = run(f"perspective_grid(corner, {H}, {W})", corner=ends)[0][0]
    x, y = (np.array([-1, 1, 1, -1]), np.array([-1, -1, 1, 1]))
    rows, targets = [], []
    for k in range(4):  # the map from a point of the result to one of the image
        u, v = ends[0, :, k]
        rows += [[u, v, 1, 0, 0, 0, -x[k] * u, -x[k] * v], [0, 0, 0, u, v, 1, -y[k] * u, -y[k] * v]]
        targets += [x[k], y[k]]
    a, b, c, d, e, f, g, h = np.linalg.solve(rows, targets)
    u = ((2 * np.arange(W) + 1) / W - 1)[None]
    v = ((2 * np.arange(H) + 1) / H - 1)[:, None]
    below = g * u + h * v + 1
    np.testing.assert_allclose(grid[..., 0], (a * u + b * v + c) / below, atol=1e-5)
    np.testing.assert_allclose(grid[..., 1], (d * u + e * v + f) / below, atol=1e-5)


# --- what is drawn --------------------------------------------------------------------------------

MANY = 4000


def test_crops_are_pieces_of_the_padded_image_at_places_as_likely() -> None:
    image = np.arange(1, 26, dtype=np.float32).reshape(1, 1, 5, 5).repeat(MANY, axis=0)
    (found,) = run("random_crop(image, 4, width=3, padding=1)", image=image)
    padded = np.pad(image[0, 0], 1)
    pieces = {
        padded[top : top + 4, left : left + 3].tobytes(): (top, left)
        for top in range(4)
        for left in range(5)
    }
    places = [pieces[piece[0].tobytes()] for piece in found]
    counts = np.unique(places, axis=0, return_counts=True)[1]
    assert len(counts) == 20
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_rows_are_flipped_with_their_probability(share: float) -> None:
    x = np.tile(np.arange(3, dtype=np.float32), (MANY, 1))
    (found,) = run(f"random_flip(x, {share})", x=x)
    turned = found[:, 0] == 2
    assert np.array_equal(found[turned], x[turned][:, ::-1])
    assert np.array_equal(found[~turned], x[~turned])
    assert abs(turned.mean() - share) < 4 * np.sqrt(share * (1 - share) / MANY) + 1e-9


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 4.0])
def test_draws_of_beta(alpha: float) -> None:
    (found,) = run(f"x[:, 0] * 0 + draw_beta(n, {alpha})".replace("n,", f"{MANY},"), x=ones(MANY))
    assert np.isfinite(found).all()
    at = np.linspace(0.001, 0.999, 500)  # f32 has 1 where it is nearer than 6e-8
    known = stats.beta(alpha, alpha).cdf(at)
    assert np.abs((found[:, None] <= at).mean(0) - known).max() < 0.03


def ones(rows: int) -> Array:
    return np.ones((rows, 1), np.float32)


def test_resized_crops_have_shares_and_ratios_that_were_asked_for() -> None:
    """Read off two ramps: their slopes are the size of the piece."""
    across = np.broadcast_to(np.arange(64, dtype=np.float32), (64, 64))
    image = np.stack([across, across.T])[None].repeat(MANY, axis=0)
    (found,) = run(
        "random_resized_crop(image, 16, scale=[0.1, 0.4], ratio=[0.5, 2.0])", image=image
    )
    width = (found[:, 0, 8, 10] - found[:, 0, 8, 6]) / 4 * 16 / 64
    height = (found[:, 1, 10, 8] - found[:, 1, 6, 8]) / 4 * 16 / 64
    free = (width < 0.999) & (height < 0.999)
    assert free.mean() > 0.95
    area, ratio = (width * height)[free], np.log(width / height)[free] / np.log(2)
    assert stats.kstest(area, stats.uniform(0.1, 0.3).cdf).statistic < 0.04
    assert stats.kstest(ratio, stats.uniform(-1, 2).cdf).statistic < 0.04
    assert found.min() >= 0
    assert found.max() <= 63


def test_erased_boxes_are_rectangles_of_their_share() -> None:
    image = np.ones((MANY, 2, 40, 30), np.float32)
    (found,) = run("random_erasing(image, 0.7, scale=[0.1, 0.2], value=-1.0)", image=image)
    gone = found[:, 0] == -1
    assert np.array_equal(gone, found[:, 1] == -1)
    rows, columns = gone.any(2), gone.any(1)
    assert np.array_equal(gone, rows[:, :, None] & columns[:, None, :])
    hit = gone.any((1, 2))
    assert abs(hit.mean() - 0.7) < 0.03
    share = gone[hit].mean((1, 2))
    assert share.min() > 0.05
    assert share.max() < 0.23
    assert abs(share.mean() - 0.15) < 0.01
    for covered in (rows[hit], columns[hit]):  # in one piece, and the edges as often
        assert ((np.diff(covered.astype(int), axis=1) == 1).sum(1) + covered[:, 0] == 1).all()
        assert abs(covered[:, 0].mean() - covered[:, -1].mean()) < 0.05


@pytest.mark.parametrize(("call", "axis"), [("time_mask", 2), ("frequency_mask", 1)])
def test_masks_of_spectra_cover_up_to_so_many(call: str, axis: int) -> None:
    (found,) = run(f"{call}(x, 3, value=9.0)", x=np.zeros((MANY, 6, 7), np.float32))
    hit = found == 9
    along = hit.any(3 - axis)
    assert np.array_equal(hit.all(3 - axis), along)
    lengths = along.sum(1)
    assert stats.chisquare(np.bincount(lengths, minlength=4)).pvalue > 1e-3


def test_series_are_rolled_and_scaled() -> None:
    x = np.tile(np.arange(5, dtype=np.float32), (MANY, 2, 1))
    (found,) = run("random_roll(x, 2)", x=x)
    moved = found.argmin(2)
    assert np.array_equal(moved[:, 0], moved[:, 1])
    assert np.array_equal(found, np.stack([np.roll(x[0], k, 1) for k in moved[:, 0]]))
    assert stats.chisquare(np.bincount(moved[:, 0], minlength=5)).pvalue > 1e-3
    (found,) = run("random_scale(x, 0.3)", x=x)
    factor = found[:, 0, 1]
    np.testing.assert_allclose(found, x * factor[:, None, None], rtol=1e-6)
    assert stats.kstest(factor, stats.uniform(0.7, 0.6).cdf).pvalue > 1e-3


def test_mixtures_are_convex_and_labels_go_along() -> None:
    label = np.eye(8, dtype=np.float32)
    image = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None, None], (8, 3, 6, 5))
    rows = np.arange(8, dtype=np.float32)
    y, soft = run("2:mixup(image, label, alpha=0.4)", image=image.copy(), label=label)
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-6)
    assert soft.min() >= 0
    assert (soft.argmax(1) != np.arange(8)).any() or (soft.max(1) < 1).any()
    expected = np.broadcast_to((soft @ rows)[:, None, None, None], y.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    y, soft = run("2:cutmix(image, label)", image=image.copy(), label=label)
    shares = np.stack([(y[:, 0] == row).mean((1, 2)) for row in rows], axis=1)
    np.testing.assert_allclose(soft, shares, atol=1e-6)
    assert np.array_equal(y[:, 0], y[:, 2])


def test_integer_labels_are_mixed_as_probabilities() -> None:
    label = np.eye(4, dtype=np.int64)
    _, soft = run("2:mixup(image, label)", image=IMAGE, label=label)
    assert soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-6)


# --- masks ----------------------------------------------------------------------------------------

JOINT = (
    "random_flip(image, 0.5, mask=mask)",
    "random_flip(image, 1.0, axis=-2, mask=mask)",
    "random_crop(image, 16, width=20, padding=3, mask=mask)",
    "random_resized_crop(image, 16, mask=mask)",
    "random_rotation(image, 40.0, mask=mask)",
    'random_affine(image, 20.0, scale=[0.8, 1.2], shear=[5.0, 5.0], mask=mask, padding="border")',
    "random_perspective(image, 0.4, 0.9, mask=mask)",
    "elastic(image, mask, alpha=8.0, sigma=3.0)",
)


@pytest.mark.parametrize("call", JOINT)
def test_masks_go_where_their_images_go(call: str) -> None:
    """The mask is where the image is bright: so it is afterwards, but for pixels at an edge."""
    big = np.kron(RANDOM.random((8, 1, 2, 2)) > 0.5, np.ones((1, 1, H // 2, W // 2)))
    image = big.astype(np.float32)
    y, mask = run(f"2:{call}", image=image, mask=big[:, 0].astype(np.int64) * 7)
    assert mask.dtype == np.int64
    assert set(np.unique(mask)) <= {0, 7}
    assert ((y[:, 0] > 0.5) == (mask == 7)).mean() > 0.97
    assert not np.array_equal(y, image)


@pytest.mark.parametrize("kind", [np.bool_, np.float32])
def test_masks_of_layers_and_other_dtypes(kind: type) -> None:
    mask = (IMAGE[:, :2] > 0.5).astype(kind)
    y, moved = run("2:random_flip(image, 1.0, mask=mask)", image=IMAGE, mask=mask)
    assert moved.dtype == kind
    assert np.array_equal(moved, mask[..., ::-1])
    y, moved = run("2:random_crop(image, 20, width=28, mask=mask)", image=IMAGE, mask=mask)
    assert np.array_equal(moved, mask)
    assert np.array_equal(y, IMAGE)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("luminance(image[:, :2])", "W0405"),
        ("gaussian_blur(image, kernel=4)", "W0405"),
        ("random_crop(image, 40)", ""),
        ("adjust_hue(image[:, :1], image[:, 0, 0, 0])", ""),
        ("gaussian_blur(image, 50%, sigma=[2.0, 0.1])", "W0405"),
    ],
)
def test_what_does_not_fit_is_refused(call: str, code: str) -> None:
    _, messages = elaborate(write_model(call, "y", {"image": IMAGE}))
    codes = {message.code for message in messages}
    assert codes
    assert not code or code in codes


def test_no_block_is_called_as_an_op() -> None:
    names = [block.name for block in find_blocks() if block.file == "std.augment"]
    assert len(names) == len(set(names))
    assert len(names) > 30
