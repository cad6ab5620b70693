"""A figure of a split, as settings name it: `val.loss`, `test.accuracy`."""

from __future__ import annotations

from compiler.records import dataclass


@dataclass(frozen=True)
class Figure:
    """`val.accuracy`; the metric may be `loss`."""

    split: str
    metric: str

    def __str__(self) -> str:
        return f"{self.split}.{self.metric}"


VALIDATION_LOSS = Figure("val", "loss")
