"""Initializers: how the numbers of a fresh weight are drawn."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Literal, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.layers import option_out_of_range
from compiler.vocabulary.signature import Described, Registry
from compiler.vocabulary.spelling import Attribute, Call, Leaf, Method, Term
from compiler.vocabulary.spelling import Sequence as Items

Numbers = NDArray[np.float32]
Fan = Literal["fan_in", "fan_out"]
Nonlinearity = Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


class Initializer(Described):
    """Base of initializers. Subclasses are frozen dataclasses that register with
    `@INITIALIZERS.register`."""

    least_axes: ClassVar[int] = 0
    """Number of axes that a weight must have: those that count inputs and outputs need two."""
    most_axes: ClassVar[int | None] = None
    """Number of axes that a weight may have; None where any number above is fine."""
    maker: ClassVar[str] = ""
    """PyTorch's function of a shape that makes a tensor of such numbers, where there is one."""
    by_module: ClassVar[bool] = False
    """Whether a PyTorch module that owns such a weight draws it by itself."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses options that no distribution has.

        Raises:
            Fault: what is out of range.
        """

    def refuse(self, option: str, value: float, needed: str) -> NoReturn:
        """Raises the fault of an option that is out of range."""
        name = self.name
        raise Fault(
            lambda where: option_out_of_range(where.argument(option), name, option, value, needed)
        )

    def need_positive(self, option: str, value: float) -> None:
        """Raises the fault of an option that is not above 0."""
        if not (math.isfinite(value) and value > 0):
            self.refuse(option, value, "above 0")

    @abstractmethod
    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        """Fresh numbers of the given shape.

        Raises:
            ValueError: the shape has fewer than `least_axes` axes.
        """

    @abstractmethod
    def spell(self, target: Term) -> Term:
        """The statement that initialises `target` in place (`nn.init.normal_(target, std=…)`),
        whoever owns it."""

    @property
    def is_zero(self) -> bool:
        """Whether every number is 0."""
        return self.given is not None and not np.any(self.given)

    @property
    def given(self) -> float | tuple[float, ...] | None:
        """The number everywhere, or the numbers row by row, that the spec gives; None where they
        are drawn."""
        return None

    def torch(self, target: Term) -> tuple[Term, ...]:
        """The statements that initialise `target` in place; none where the module that owns the
        weight draws from this distribution by itself."""
        return () if self.by_module else (self.spell(target),)


INITIALIZERS: Registry[Initializer] = Registry("initializer")
"""Every initializer by name."""


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0. Example: `param token: f32[1, 1, d] = zeros`"""

    name = "zeros"
    maker = "torch.zeros"

    @property
    def is_zero(self) -> bool:
        return True

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.zeros(shape, np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.zeros_", (target,))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Ones(Initializer):
    """All 1. Example: `param scale: f32[d] = ones`"""

    name = "ones"
    maker = "torch.ones"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.ones(shape, np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.ones_", (target,))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Constant(Initializer):
    """One number everywhere. Example: `param temperature: f32[] = constant(0.07)`"""

    name = "constant"
    value: float

    @property
    def given(self) -> float:
        """The number."""
        return self.value

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.full(shape, self.value, np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.constant_", (target, Leaf(self.value, "value", field="value")))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Values(Initializer):
    """Given numbers, row by row: what a list stands for.

    Example: `buffer mean: f32[3] = [0.485, 0.456, 0.406]`
    """

    name = "values"
    written = False
    numbers: tuple[float, ...]

    @property
    def given(self) -> tuple[float, ...]:
        """The numbers."""
        return self.numbers

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return np.array(self.numbers, np.float32).reshape(shape)

    def spell(self, target: Term) -> Term:
        numbers = Call("torch.tensor", (Items(tuple(Leaf(n) for n in self.numbers), "[]"),))
        return Method(Attribute(target, "data"), "copy_", (Method(numbers, "view_as", (target,)),))


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Normal(Initializer):
    """The normal distribution with standard deviation `std` around `mean`.

    Example: `param position: f32[1, t, d] = normal(0.02)`
    """

    name = "normal"
    std: float = 1.0
    mean: float = 0.0

    def check(self) -> None:
        self.need_positive("std", self.std)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return generator.normal(self.mean, self.std, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        options = (
            ("mean", Leaf(self.mean, "mean", 0.0, "mean")),
            ("std", Leaf(self.std, "std", 1.0, "std")),
        )
        return Call("nn.init.normal_", (target,), options)


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Uniform(Initializer):
    """The uniform distribution from `low` to `high`.

    Example: `param shift: f32[d] = uniform(-0.1, 0.1)`
    """

    name = "uniform"
    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        if self.high < self.low:
            self.refuse("high", self.high, f"at least `low`, {self.low:g}")

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        return generator.uniform(self.low, self.high, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call(
            "nn.init.uniform_",
            (target, Leaf(self.low, "low", field="low"), Leaf(self.high, "high", field="high")),
        )


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class TruncNormal(Initializer):
    """The normal distribution around `mean`, drawn anew wherever it falls outside `low` to
    `high`. As in PyTorch the bounds are values, not multiples of `std`.

    Example: `param prototypes: f32[k, 256] = trunc_normal(0.02)`
    """

    name = "trunc_normal"
    aliases = ("truncated_normal",)
    std: float = 1.0
    mean: float = 0.0
    low: float = -2.0
    high: float = 2.0

    def check(self) -> None:
        self.need_positive("std", self.std)
        if self.high <= self.low:
            self.refuse("high", self.high, f"above `low`, {self.low:g}")

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        numbers = np.full(shape, min(max(self.mean, self.low), self.high))
        missing = np.ones(shape, bool)
        while missing.any():
            drawn, kept = self._propose(int(missing.sum()), generator)
            places = np.flatnonzero(missing)[kept]
            numbers.flat[places] = drawn[kept]
            missing.flat[places] = False
        return numbers.astype(np.float32)

    def _propose(
        self, count: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Candidates, and which of them to keep (rejection sampling). Candidates are normal
        where the bounds leave room for a standard deviation, else uniform between the bounds."""
        if self.low <= self.mean <= self.high and self.high - self.low >= self.std:
            drawn = generator.normal(self.mean, self.std, count)
            return drawn, (drawn >= self.low) & (drawn <= self.high)
        drawn = generator.uniform(self.low, self.high, count)
        nearest = min(max(self.mean, self.low), self.high)
        exponent = ((nearest - self.mean) ** 2 - (drawn - self.mean) ** 2) / (2 * self.std**2)
        return drawn, generator.uniform(size=count) < np.exp(exponent)

    def spell(self, target: Term) -> Term:
        options = (
            ("mean", Leaf(self.mean, "mean", 0.0, "mean")),
            ("std", Leaf(self.std, "std", 1.0, "std")),
            ("a", Leaf(self.low, "low", -2.0, "low")),
            ("b", Leaf(self.high, "high", 2.0, "high")),
        )
        return Call("nn.init.trunc_normal_", (target,), options)


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

    Example: `param w: f32[64, d] = xavier_uniform`
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

    Example: `param w: f32[64, d] = xavier_normal(gain=0.5)`
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

    Example: `param w: f32[64, d] = kaiming_uniform(nonlinearity="relu")`
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

    Example: `param w: f32[64, d] = kaiming_normal(mode="fan_out", nonlinearity="relu")`
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

    Example: `y = x -> dense(64, init=lecun_uniform())`
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

    Example: `y = x -> dense(64, init=lecun_normal()) -> selu`
    """

    name = "lecun_normal"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Numbers:
        std = math.sqrt(1 / count_fans(shape)[0])
        return generator.normal(0, std, shape).astype(np.float32)

    def spell(self, target: Term) -> Term:
        return Call("nn.init.kaiming_normal_", (target,), self.settings())


@INITIALIZERS.register
@final
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A random orthogonal matrix times `gain`: `W @ Wᵀ = gain² * I`, or `Wᵀ @ W` where there are
    more rows than columns (Saxe et al. 2013, https://arxiv.org/abs/1312.6120).

    Axes behind the first are one axis. It is the Q of a normal matrix, with the signs that make R's
    diagonal positive, so that every orthogonal matrix is as likely.

    Example: `param w: f32[d, d] = orthogonal`
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

    Example: `param w: f32[d, d] = identity`
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

    Example: `y = x -> conv(64, kernel=3, padding="same", init=dirac())`
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


def need_axes(shape: tuple[int, ...]) -> None:
    """Raises ValueError for a weight of fewer than two axes, which has no inputs and outputs."""
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {shape} has no inputs and outputs")


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
