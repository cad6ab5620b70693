"""Initializers that make a certain matrix: orthogonal ones and identities."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from compiler.records import dataclass
from compiler.vocabulary.initializers.base import INITIALIZERS, Initializer, Numbers, need_axes
from compiler.vocabulary.spelling import Call, Leaf, Term


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A random orthogonal matrix times `gain`: `W @ Wᵀ = gain² * I`, or `Wᵀ @ W` where there are
    more rows than columns (Saxe et al. 2013, https://arxiv.org/abs/1312.6120).

    Axes behind the first are one axis. It is the Q of a normal matrix, with the signs that make R's
    diagonal positive, so that every orthogonal matrix is as likely.

    Example: `y = x -> dense(32, init=orthogonal())`
    Source: Saxe et al. 2013, https://arxiv.org/abs/1312.6120
    """

    name = "orthogonal"
    least_axes = 2
    gain: float = 1.0

    def check(self) -> None:
        self.need_positive("gain", self.gain)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        need_axes(shape)
        rows, columns = shape[0], math.prod(shape[1:])
        drawn = generator.normal(size=(max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(drawn)
        q *= np.where(np.diagonal(r) < 0, -1, 1)
        made = q if rows >= columns else q.T
        return (self.gain * made).reshape(shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call(
            "nn.init.orthogonal_", (target,), (("gain", Leaf(self.gain, "gain", 1.0, "gain")),)
        )


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Identity(Initializer):
    """The identity matrix: 1 on the diagonal, 0 elsewhere; a dense layer hands on its inputs.

    Example: `y = x -> dense(64, init=identity())`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.eye_
    """

    name = "identity"
    aliases = ("eye",)
    least_axes = 2
    most_axes = 2

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        need_axes(shape)
        return np.eye(*shape, dtype=np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.eye_", (target,))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Dirac(Initializer):
    """The identity of convolutions: 1 in the middle of the window from each input to the output of
    its number, 0 elsewhere; a convolution hands on its channels.

    A weight is `[outputs, inputs, window…]` with a window of one to three axes.

    Example: `y = features -> conv(16, kernel=3, padding="same", init=dirac())`
    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.dirac_
    """

    name = "dirac"
    least_axes = 3
    most_axes = 5

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        need_axes(shape)
        numbers = np.zeros(shape, np.float32)
        middle = tuple(size // 2 for size in shape[2:])
        for channel in range(min(shape[:2])):
            numbers[(channel, channel, *middle)] = 1
        return numbers

    def spell(self, target: Term) -> Term:
        return Call("nn.init.dirac_", (target,))
