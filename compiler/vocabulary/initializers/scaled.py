"""Initializers that scale what they draw by a weight's counts of inputs and outputs."""

from __future__ import annotations

import math
from typing import Literal, final

import numpy as np

from compiler.records import dataclass
from compiler.vocabulary.initializers.base import INITIALIZERS, Initializer, Numbers, need_axes
from compiler.vocabulary.spelling import Call, Leaf, Term

Fan = Literal["fan_in", "fan_out"]
Nonlinearity = Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


class Xavier(Initializer):
    """Base of the initializers of Glorot and Bengio 2010."""

    least_axes = 2
    gain: float

    def check(self) -> None:
        self.need_positive("gain", self.gain)

    def settings(self) -> tuple[tuple[str, Term], ...]:
        """Keyword arguments of PyTorch's function."""
        return (("gain", Leaf(self.gain, "gain", 1.0, "gain")),)


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class XavierUniform(Xavier):
    """Uniform within ±gain * √(6 / (inputs + outputs)) (Glorot and Bengio 2010).

    A weight is `[outputs, inputs, window…]`; the window multiplies both counts.

    Example: `y = x -> dense(32, init=xavier_uniform())`
    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html
    """

    name = "xavier_uniform"
    aliases = ("glorot_uniform",)
    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        bound = self.gain * math.sqrt(6 / sum(count_fans(shape)))
        return generator.uniform(-bound, bound, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.xavier_uniform_", (target,), self.settings())


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class XavierNormal(Xavier):
    """Normal with standard deviation gain * √(2 / (inputs + outputs)) (Glorot and Bengio 2010).

    A weight is `[outputs, inputs, window…]`; the window multiplies both counts.

    Example: `y = x -> dense(32, init=xavier_normal(gain=0.5))`
    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html
    """

    name = "xavier_normal"
    aliases = ("glorot_normal",)
    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        std = self.gain * math.sqrt(2 / sum(count_fans(shape)))
        return generator.normal(0, std, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.xavier_normal_", (target,), self.settings())


class Kaiming(Initializer):
    """Base of the initializers of He et al. 2015, https://arxiv.org/abs/1502.01852."""

    least_axes = 2
    a: float
    mode: Fan
    nonlinearity: Nonlinearity

    def check(self) -> None:
        if not math.isfinite(self.a):
            self.refuse("a", self.a, "a finite number")

    def find_deviation(self, shape: tuple[int, ...]) -> float:
        """gain(nonlinearity) / √fan."""
        fan = count_fans(shape)[self.mode == "fan_out"]
        return find_gain(self.nonlinearity, self.a) / math.sqrt(fan)

    def settings(self) -> tuple[tuple[str, Term], ...]:
        """Keyword arguments of PyTorch's function."""
        return (
            ("a", Leaf(self.a, "a", 0.0, "a")),
            ("mode", Leaf(self.mode, "mode", "fan_in", "mode")),
            ("nonlinearity", Leaf(self.nonlinearity, "nonlinearity", "leaky_relu", "nonlinearity")),
        )


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class KaimingUniform(Kaiming):
    """Uniform within ±gain * √(3 / fan) (He et al. 2015).

    `mode` says whether the fan counts inputs or outputs of a weight `[outputs, inputs,
    window…]`; `nonlinearity` and, for `leaky_relu`, the slope `a` set the gain: √(2 / (1 + a²)).

    Example: `y = x -> dense(32, init=kaiming_uniform(nonlinearity="relu")) -> relu`
    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    name = "kaiming_uniform"
    aliases = ("he_uniform",)
    a: float = 0.0
    mode: Fan = "fan_in"
    nonlinearity: Nonlinearity = "leaky_relu"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        bound = math.sqrt(3) * self.find_deviation(shape)
        return generator.uniform(-bound, bound, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.kaiming_uniform_", (target,), self.settings())


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class KaimingNormal(Kaiming):
    """Normal with standard deviation gain / √fan (He et al. 2015).

    `mode` says whether the fan counts inputs or outputs of a weight `[outputs, inputs,
    window…]`; `nonlinearity` and, for `leaky_relu`, the slope `a` set the gain: √(2 / (1 + a²)).

    Example: `y = x -> dense(32, init=kaiming_normal(mode="fan_out", nonlinearity="relu")) -> relu`
    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    name = "kaiming_normal"
    aliases = ("he_normal",)
    a: float = 0.0
    mode: Fan = "fan_in"
    nonlinearity: Nonlinearity = "leaky_relu"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return generator.normal(0, self.find_deviation(shape), shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.kaiming_normal_", (target,), self.settings())


class Lecun(Initializer):
    """Base of the initializers of LeCun et al. 1998: He's with a gain of 1."""

    least_axes = 2

    def settings(self) -> tuple[tuple[str, Term], ...]:
        """Keyword arguments of PyTorch's function."""
        return (("nonlinearity", Leaf("linear")),)


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class LecunUniform(Lecun):
    """Uniform within ±√(3 / inputs), so that a layer keeps the variance (LeCun et al. 1998,
    Efficient BackProp).

    A weight is `[outputs, inputs, window…]`; the window multiplies the count.

    Example: `y = x -> dense(32, init=lecun_uniform())`
    Source: LeCun et al. 1998, https://doi.org/10.1007/3-540-49430-8_2
    """

    name = "lecun_uniform"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        bound = math.sqrt(3 / count_fans(shape)[0])
        return generator.uniform(-bound, bound, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.kaiming_uniform_", (target,), self.settings())


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class LecunNormal(Lecun):
    """Normal with standard deviation √(1 / inputs), so that a layer keeps the variance (LeCun et
    al. 1998, Efficient BackProp; what self-normalizing nets need, Klambauer et al. 2017).

    A weight is `[outputs, inputs, window…]`; the window multiplies the count.

    Example: `y = x -> dense(32, init=lecun_normal()) -> selu`
    Source: LeCun et al. 1998, https://doi.org/10.1007/3-540-49430-8_2
    """

    name = "lecun_normal"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        std = math.sqrt(1 / count_fans(shape)[0])
        return generator.normal(0, std, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.kaiming_normal_", (target,), self.settings())


def count_fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs that a weight `[outputs, inputs, window…]` connects.

    Raises:
        ValueError: it has fewer than two axes.
    """
    need_axes(shape)
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def find_gain(nonlinearity: Nonlinearity, slope: float) -> float:
    """By how much weights must exceed 1 / √fan so that an activation keeps the variance, after
    `torch.nn.init.calculate_gain`."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + slope**2))
    return {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}.get(nonlinearity, 1.0)
