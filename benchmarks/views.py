"""Views of images as one would write them in PyTorch, with draws from a generator: crops through an
affine grid, and colours, for the loops by hand of SimCLR and DINO."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

Generator = torch.Generator


def make_view(
    image: Tensor,
    draws: Generator,
    size: int = 32,
    scale: tuple[float, float] = (0.2, 1.0),
) -> Tensor:
    """A part of each image, flipped or not, in other colours; numbers go from 0 to 1."""
    image = flip(crop(image, draws, size, scale), draws)
    return make_gray(jitter(image, draws), draws)


def spread(count: int, low: float, high: float, draws: Generator) -> Tensor:
    """Uniform draws."""
    return torch.empty(count).uniform_(low, high, generator=draws)


def choose(chosen: Tensor, images: Tensor, others: Tensor) -> Tensor:
    """The images that are chosen, and the others."""
    return torch.where(chosen[:, None, None, None], images, others)


def crop(image: Tensor, draws: Generator, size: int, scale: tuple[float, float]) -> Tensor:
    """A box with a share of the area from `scale` and a ratio of the sides from 3 : 4 to 4 : 3."""
    count = len(image)
    area = spread(count, *scale, draws)
    ratio = spread(count, math.log(3 / 4), math.log(4 / 3), draws).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x = (1 - width) * spread(count, -1, 1, draws)
    y = (1 - height) * spread(count, -1, 1, draws)
    zero = torch.zeros(count)
    theta = torch.stack([width, zero, x, zero, height, y], 1).view(count, 2, 3)
    grid = functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=False)


def flip(image: Tensor, draws: Generator) -> Tensor:
    """Half of the images with left and right changed."""
    return choose(torch.rand(len(image), generator=draws) < 0.5, image.flip(-1), image)


def jitter(image: Tensor, draws: Generator) -> Tensor:
    """Brightness, contrast, saturation and hue of four in five images."""
    count = len(image)
    bright, contrast, colour = (
        spread(count, 0.6, 1.4, draws)[:, None, None, None] for _ in range(3)
    )
    hue = spread(count, -0.1, 0.1, draws)
    changed = (image * bright).clamp(0, 1)
    mean = gray(changed).mean((1, 2, 3), keepdim=True)
    changed = (contrast * changed + (1 - contrast) * mean).clamp(0, 1)
    changed = (colour * changed + (1 - colour) * gray(changed)).clamp(0, 1)
    changed = turn_hue(changed, hue)
    return choose(torch.rand(count, generator=draws) < 0.8, changed, image)


def make_gray(image: Tensor, draws: Generator) -> Tensor:
    """A fifth of the images without colours."""
    return choose(
        torch.rand(len(image), generator=draws) < 0.2, gray(image).expand_as(image), image
    )


def gray(image: Tensor) -> Tensor:
    """The brightness of the colours."""
    weights = torch.tensor([0.2989, 0.587, 0.114])[:, None, None]
    return (image * weights).sum(1, keepdim=True)


def turn_hue(image: Tensor, shift: Tensor) -> Tensor:
    """Colours with another hue: from RGB to HSV and back, as torchvision does it."""
    value, low = image.amax(1), image.amin(1)
    span = value - low
    safe = torch.where(span == 0, 1, span)
    red, green, blue = ((value[:, None] - image) / safe[:, None]).unbind(1)
    hue = torch.where(image[:, 0] == value, blue - green, 4 + green - red)
    second = (image[:, 1] == value) & (image[:, 0] != value)
    hue = torch.where(second, 2 + red - blue, hue)
    hue = (hue / 6 + shift[:, None, None]) % 1
    part = torch.stack([(hue * 6 + n) % 6 for n in (5, 3, 1)], 1)
    return value[:, None] - span[:, None] * torch.minimum(part, 4 - part).clamp(0, 1)
