"""Metrics of images against what they should be: PSNR and SSIM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import METRICS, Direction, Metric, MetricCode
from compiler.training.comparing import refuse, require_same_shape
from compiler.training.settings import require_positive
from compiler.training.weighting import Names
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand

Array = NDArray[Any]
IMAGES = (Operand("prediction"), Operand("target"))


@METRICS.register
@final
@dataclass(frozen=True)
class Psnr(Metric):
    """Peak signal-to-noise ratio in decibels.

        10 log10(data_range² / mse)

    mse is the mean squared error over the whole split; where nothing differs, the figure is
    infinite.

    - `data_range`: the greatest difference that two values may have: 1 for images from 0 to 1.

    Example: `metric psnr = psnr(painted, image, data_range=1)`
    Source: https://lightning.ai/docs/torchmetrics/stable/image/peak_signal_noise_ratio.html
    """

    name: ClassVar[str] = "psnr"
    better: ClassVar[Direction | None] = "higher"
    operands: ClassVar[tuple[Operand, ...]] = IMAGES
    data_range: float

    def check(self, types: Sequence[TensorType]) -> None:
        require_positive(self.name, "data_range", self.data_range)
        require_same_shape(self.name, types[:2])

    def evaluate(self, *arrays: Array | None) -> float:
        prediction, target = (np.asarray(a, np.float64) for a in arrays[:2])
        error = float(np.square(prediction - target).mean())
        if not error:
            return math.inf
        return 10 * math.log10(self.data_range**2 / error)

    def code(self, arguments: Names) -> MetricCode:
        prediction, target = arguments[:2]
        squares = f"({prediction}.double() - {target}).square().sum()"
        sums = (("squares", squares), ("count", f"{target}.numel()"))
        ratio = f"10 * math.log10({self.data_range**2!r} * count / squares)"
        return MetricCode(sums, f"{ratio} if squares else math.inf")


@METRICS.register
@final
@dataclass(frozen=True)
class Ssim(Metric):
    """Structural similarity of images `[n, channels, h, w]` (Wang et al. 2004), averaged.

        (2 μ_x μ_y + C_1) (2 σ_xy + C_2) / ((μ_x² + μ_y² + C_1) (σ_x² + σ_y² + C_2))
        C_1 = (0.01 L)²,   C_2 = (0.03 L)²

    Means μ, variances σ² and the covariance σ_xy are those of windows of 11 x 11 pixels, weighted
    by a Gaussian of standard deviation 1.5, around every pixel of the image, reflected at its
    borders; L is `data_range`.

    - `data_range`: the greatest difference that two values may have: 1 for images from 0 to 1.

    Example: `metric ssim = ssim(painted, image, data_range=1)`
    Source: Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861
    """

    name: ClassVar[str] = "ssim"
    better: ClassVar[Direction | None] = "higher"
    best: ClassVar[float | None] = 1.0
    operands: ClassVar[tuple[Operand, ...]] = IMAGES
    data_range: float

    def check(self, types: Sequence[TensorType]) -> None:
        require_positive(self.name, "data_range", self.data_range)
        require_same_shape(self.name, types[:2])
        images = types[0]
        if images.rank != 4 or not images.dtype.is_float:
            advice = "images are `[n, channels, h, w]`"
            raise refuse(self.name, f"{images} are no images", advice)
        for size in images.shape[2:]:
            if size.known is not None and size.known <= SIZE // 2:
                advice = f"an image has more than {SIZE // 2} pixels along each axis"
                raise refuse(self.name, f"{images} is too small to be reflected", advice)

    def evaluate(self, *arrays: Array | None) -> float:
        edge = SIZE // 2
        widths = ((0, 0), (0, 0), (edge, edge), (edge, edge))
        x, y = (np.pad(np.asarray(a, np.float64), widths, "reflect") for a in arrays[:2])
        means = [_blur(image) for image in (x, y, x * x, y * y, x * y)]
        mean_x, mean_y, square_x, square_y, product = means
        c1, c2 = (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2
        spread = square_x - mean_x**2 + square_y - mean_y**2
        covariance = product - mean_x * mean_y
        upper = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        return float((upper / ((mean_x**2 + mean_y**2 + c1) * (spread + c2))).mean())

    def code(self, arguments: Names) -> MetricCode:
        prediction, target = arguments[:2]
        call = f"similarity({prediction}.double(), {target}.double(), {self.data_range!r})"
        sums = (("total", f"{call}.mean((1, 2, 3)).sum()"), ("count", f"len({target})"))
        return MetricCode(sums, "total / count", functions=(_SIMILARITY,))


SIZE = 11
"""Pixels of a window along each axis."""


def _window() -> Array:
    places = np.arange(SIZE) - SIZE // 2
    weights = np.exp(-np.square(places / 1.5) / 2)
    return np.asarray(weights / weights.sum())


def _blur(images: Array) -> Array:
    """The weighted means of all windows."""
    for axis in (2, 3):
        views = np.lib.stride_tricks.sliding_window_view(images, SIZE, axis)
        images = views @ _window()
    return images


_SIMILARITY = '''
def similarity(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """The structural similarity of every window of 11 x 11 pixels (Wang et al. 2004)."""
    places = torch.arange(-5, 6, dtype=x.dtype, device=x.device)
    weights = (-((places / 1.5) ** 2) / 2).exp()
    window = torch.outer(weights, weights).div(weights.sum() ** 2)
    window = window.expand(x.shape[1], 1, -1, -1)
    x, y = F.pad(torch.stack([x, y]).flatten(0, 1), (5, 5, 5, 5), "reflect").chunk(2)
    images = torch.cat([x, y, x * x, y * y, x * y])
    means = F.conv2d(images, window, groups=x.shape[1]).chunk(5)
    mean_x, mean_y, square_x, square_y, product = means
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    spread = square_x - mean_x**2 + square_y - mean_y**2
    upper = (2 * mean_x * mean_y + c1) * (2 * (product - mean_x * mean_y) + c2)
    return upper / ((mean_x**2 + mean_y**2 + c1) * (spread + c2))
'''
