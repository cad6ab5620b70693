"""What an initializer is: how the numbers of a fresh weight are drawn, and their registry."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from compiler.report.diagnostics import Fault
from compiler.report.messages.layers import option_out_of_range
from compiler.vocabulary.signature import Described, Registry
from compiler.vocabulary.spelling import Term

Numbers = NDArray[np.float32]


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


def need_axes(shape: tuple[int, ...]) -> None:
    """Raises ValueError for a weight of fewer than two axes, which has no inputs and outputs."""
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {shape} has no inputs and outputs")
