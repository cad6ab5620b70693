"""Initializers: how the numbers of a fresh weight are drawn."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from compiler.ops.spelling import Term
from compiler.signature import Described, Registry


class Initializer(Described):
    """Base of initializers. Subclasses are frozen dataclasses that register with
    `@INITIALIZERS.register`."""

    @abstractmethod
    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Fresh numbers of the given shape."""

    @abstractmethod
    def torch(self, target: Term) -> Term | None:
        """The statement that initialises `target` in place (`nn.init.normal_(target, std=…)`);
        None where the module that owns the weight draws from this distribution by itself."""


INITIALIZERS: Registry[Initializer] = Registry("initializer")
"""Every initializer by name."""
