"""What goes wrong with low rank: goals that exclude each other, budgets out of reach."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.diagnostics import Message
from compiler.records import dataclass


@final
@dataclass(frozen=True)
class OneGoalOnly(Message):
    """`low_rank` got more than one of `rank`, `energy` and `budget`.

    Each of them alone decides how large the factors of a layer are: `rank` for all layers alike,
    `energy` by what each layer loses, `budget` by what the whole net may keep.
    """

    code: ClassVar[str] = "W1130"

    goals: tuple[str, ...]

    def title(self) -> str:
        return f"{' and '.join(f'`{g}`' for g in self.goals)} say two things about one rank"

    def label(self) -> str:
        return "needs only one of them"

    def help(self) -> str | None:
        return "keep one; `energy=95%` is a good start"


@final
@dataclass(frozen=True)
class BudgetOutOfReach(Message):
    """No ranks bring a net down to the budget of `low_rank`.

    Layers that may not be touched, or that cannot be factored, keep their parameters, and no
    factor has a rank below a fiftieth of its layer's.
    """

    code: ClassVar[str] = "W1131"

    budget: float
    before: int
    most: int

    def title(self) -> str:
        return f"low rank cannot bring the net down to {self.budget:.3g} of its parameters"

    def label(self) -> str:
        return f"{self.most:,} of {self.before:,} parameters"

    def help(self) -> str | None:
        return "ask for a larger share, or prune channels first"
