"""What passes were asked for and did not do."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.variants import variant_spec

SHOWN = 4
"""Layers whose reasons are told."""


@final
@dataclass(frozen=True)
class PassDoesNothing(Message):
    """A compression pass leaves the net exactly as it is.

    A pass with settings does what they say or is refused: a variant that was not compressed must
    not look like one that was. Only `search`, `quantize(auto)` and what is told to choose
    (`unless_slower=true`) may find that nothing is the best.
    """

    code: ClassVar[str] = "W1350"
    bad: ClassVar[str] = variant_spec("apply low_rank(rank=32)")
    good: ClassVar[str] = variant_spec("apply low_rank(rank=1, unless_slower=true)")

    step: str
    reasons: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.step}` changes nothing"

    def label(self) -> str:
        return _list(self.reasons) or "leaves the net as it is"

    def help(self) -> str:
        return "ask for more, or leave the pass out"


@final
@dataclass(frozen=True)
class PatternWithoutEffect(Message):
    """A pass does nothing to what a pattern of its `only` names, though it acts on other layers.

    Who names a layer wants it touched: that it cannot be is an error, with the reason.
    """

    code: ClassVar[str] = "W1351"
    good: ClassVar[str] = variant_spec('apply low_rank(rank=1, only=["dense"])')

    step: str
    pattern: str
    reasons: tuple[str, ...]

    def title(self) -> str:
        return f'`{self.step}` leaves what `only` names by "{self.pattern}" as it is'

    def label(self) -> str:
        return _list(self.reasons) or "nothing was done there"

    def help(self) -> str:
        return f'take "{self.pattern}" out of `only`, or change what is asked of it'


def _list(reasons: tuple[str, ...]) -> str:
    more = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + more
