"""What goes wrong with pruning: nothing to judge channels by, nothing that may be cut."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.variants import variant_spec


@final
@dataclass(frozen=True)
class NoRowsToJudgeBy(Message):
    """Pruning was asked to look at what the net computes, and there are no rows to run it on.

    `importance=activation` runs calibration rows through the net, `ranking="layer"` tries each
    group of channels on the rows held out for decisions. Both come with the train that the
    variant is of; importance by weights alone (`l1`, `l2`, `batch_norm`) needs no rows.
    """

    code: ClassVar[str] = "W1110"
    good: ClassVar[str] = variant_spec("apply prune(weights=50%, importance=l2)")

    option: str

    def title(self) -> str:
        return f"`{self.option}` has no rows to look at"

    def label(self) -> str:
        return "needs data"

    def help(self) -> str:
        other = 'ranking="global"' if self.option.startswith("ranking") else "importance=l2"
        return f"make the variant of a train, or judge by weights alone: `{other}`"


@final
@dataclass(frozen=True)
class NothingToCut(Message):
    """No layer of the net can lose what `prune` was asked to take.

    Channels stay where they are inputs or outputs of the net, where an op needs all of them, and
    where `only` and `except` say so; weights go from dense layers and convolutions, and a pattern
    needs an axis that is a multiple of it.
    """

    code: ClassVar[str] = "W1111"
    bad: ClassVar[str] = variant_spec('apply prune(weights=50%, except=["hidden", "dense"])')
    good: ClassVar[str] = variant_spec("apply prune(weights=50%)")

    what: str  # "channels" or "weights"
    reasons: tuple[str, ...]  # "`fc`: an output of the net"
    unscored: bool = False  # whether the importance says nothing about layers that might be cut

    def title(self) -> str:
        return f"there are no {self.what} to prune"

    def label(self) -> str:
        return "; ".join(self.reasons[:3]) or f"the net has no layers with {self.what}"

    def help(self) -> str | None:
        if not self.reasons:
            return None
        if self.unscored:
            return "judge by weights, of which every layer has some: `importance=l2`"
        return "look at `only` and `except`"
