"""Messages about the form in which weights are kept."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.diagnostics import Message
from compiler.records import dataclass


@final
@dataclass(frozen=True)
class NoDenseLayer(Message):
    """A scheme that quantizes dense layers finds none that it may touch.

    `dynamic`, `weights8` and `weights4` compute dense layers (`dense`) with weights of few bits.
    Convolutions and everything else they leave in fractions. A net without dense layers, or one
    of which `only` and `except` leave none, gains nothing by them: `stored8` and `stored4` keep
    every weight in few bits, and `int8` computes convolutions in integers.
    """

    code: ClassVar[str] = "W1155"
    net: str
    scheme: str

    def title(self) -> str:
        return f"`{self.net}` has no dense layer for `{self.scheme}`"

    def label(self) -> str:
        return "needs a dense layer in f32 that it may touch, with a weight of its own"

    def help(self) -> str:
        return "look at `only` and `except`, or store all weights: `quantize(stored8)`"
