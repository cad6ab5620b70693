"""What a deployed file says about classes beside their scores."""

from __future__ import annotations

from compiler.records import dataclass


@dataclass(frozen=True)
class ClassNames:
    """The outputs of a file that name classes: `label` is the word of that with the largest score
    along an axis of the output `scores`, `probabilities` the softmax of these; empty where they
    are no logits."""

    scores: str
    axis: int
    label: str
    probabilities: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """What they are called, in their order."""
        return tuple(filter(None, (self.label, self.probabilities)))
