"""The figures that a `require` can speak of besides the metrics of a split."""

from __future__ import annotations

from enum import StrEnum

from compiler.records import dataclass


class Kind(StrEnum):
    """What a number counts; only numbers of one kind can be compared."""

    BYTES = "a number of bytes"
    SECONDS = "a time"
    PLAIN = "a plain number"
    OPEN = "a number without a unit"
    """A parameter or a product of them: it takes the kind of what it meets."""


@dataclass(frozen=True)
class FigureWord:
    """One figure: its word, what it counts, an example of a bound, and what it is. All of them are
    costs, of which the lower one is better; none is below 0, and some are `positive` in any net."""

    word: str
    kind: Kind
    example: str
    doc: str
    positive: bool = False


WORDS = (
    FigureWord("size", Kind.BYTES, "24KiB", "bytes of the deployed ONNX file", positive=True),
    FigureWord("params", Kind.PLAIN, "10000", "numbers in the weights of the net"),
    FigureWord("flops", Kind.PLAIN, "1e6", "floating-point operations of one call"),
    FigureWord(
        "latency", Kind.SECONDS, "0.5ms", "median time of one call, at `target`", positive=True
    ),
    FigureWord(
        "memory",
        Kind.BYTES,
        "2MiB",
        "bytes of the weights and of the largest set of tensors alive at once, at `target`",
        positive=True,
    ),
    FigureWord(
        "error",
        Kind.PLAIN,
        "5%",
        "relative output error against the net before any pass: the norm of the difference over"
        " the norm of the outputs",
    ),
)
FIGURES = {word.word: word for word in WORDS}
"""Every such figure by its word."""
