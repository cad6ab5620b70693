"""What goes wrong with low rank: goals that exclude each other, budgets out of reach."""

from __future__ import annotations

import math
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity

_SMALL = (
    "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(8) as fc\n}\nnet m = M()\n"
)


@final
@dataclass(frozen=True)
class OneGoalOnly(Message):
    """`low_rank` got more than one of `rank`, `energy` and `budget`.

    Each of them alone decides how large the factors of a layer are: `rank` for all layers alike,
    `energy` by what each layer loses, `budget` by what the whole net may keep.
    """

    code: ClassVar[str] = "W1130"
    bad: ClassVar[str] = _SMALL + "variant small of m { apply low_rank(rank=2, energy=90%) }\n"
    good: ClassVar[str] = _SMALL + "variant small of m { apply low_rank(energy=90%) }\n"

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

    Layers that may not be touched, or that cannot be factored, keep their parameters. So do those
    whose factors take as many multiply-adds as the layer. No layer is left with less than a
    fiftieth of its weights.
    """

    code: ClassVar[str] = "W1131"

    budget: float
    before: int
    most: int
    least: int

    def title(self) -> str:
        return f"low rank cannot bring the net down to {100 * self.budget:.3g}% of its parameters"

    def label(self) -> str:
        reach = f"factors with fewer multiply-adds leave {self.least:,} at least"
        return f"{self.most:,} of {self.before:,} parameters; {reach}"

    def help(self) -> str | None:
        share = math.ceil(100 * self.least / self.before)
        if share >= 100:
            return "no layer has factors with fewer multiply-adds; prune channels"
        return f"ask for `budget={share}%`, or prune channels first"


@final
@dataclass(frozen=True)
class NothingToAdapt(Message):
    """`lora` adapts no layer of the net.

    Adapters stand beside dense layers that have weights of their own and do not run in the body
    of a `scan`; the patterns of `only` and `except` are paths of such layers.
    """

    code: ClassVar[str] = "W1132"
    bad: ClassVar[str] = _SMALL + 'net tuned = M() -> lora(rank=2, only=["attention.*"])\n'
    good: ClassVar[str] = _SMALL + 'net tuned = M() -> lora(rank=2, only=["fc"])\n'

    layers: tuple[str, ...]

    def title(self) -> str:
        return "`lora` adapts no layer of this net"

    def label(self) -> str:
        if not self.layers:
            return "it has no dense layer that could be adapted"
        shown = ", ".join(f"`{path}`" for path in self.layers[:6])
        more = f" and {len(self.layers) - 6} more" if len(self.layers) > 6 else ""
        return f"its dense layers are {shown}{more}"

    def help(self) -> str | None:
        return '`only=["*.attention.*"]` names layers by path' if self.layers else None


_TIED = """
model T() {
    input tokens: i64[batch, t]
    net embed = embedding(20, 8)
    x = tokens -> embed -> dense(8) as fc
    output y = x -> dense(20, weight=embed.weight, bias=false) as head
}
"""


@final
@dataclass(frozen=True)
class PatternNotAdapted(Message):
    """A pattern of `lora`'s `only` names no layer that can have an adapter.

    A tied weight is another layer's parameter: the product of an adapter could not be added to it
    without changing that layer too. A layer in the body of a `scan` runs many times.
    """

    code: ClassVar[str] = "W1352"
    bad: ClassVar[str] = _TIED + 'net tuned = T() -> lora(rank=2, only=["fc", "head"])\n'
    good: ClassVar[str] = _TIED + 'net tuned = T() -> lora(rank=2, only=["fc"])\n'

    pattern: str
    named: bool  # whether it names layers; they get none
    places: tuple[Label, ...]  # of these layers, or of others that get none

    def title(self) -> str:
        return f'`lora` gives no adapter to what `only` names by "{self.pattern}"'

    def label(self) -> str:
        return "" if self.named else "no dense layer with a weight of its own has that path"

    def labels(self) -> tuple[Label, ...]:
        return self.places

    def help(self) -> str:
        return f'take "{self.pattern}" out of `only`'


@final
@dataclass(frozen=True)
class LayersNotAdapted(Message):
    """Some of the dense layers that `lora` would adapt get no adapter, because their weight is
    tied to another layer or they run in the body of a `scan`. They stay frozen."""

    code: ClassVar[str] = "W1353"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = _TIED + "net tuned = T() -> lora(rank=2)\n"
    good: ClassVar[str] = _TIED + 'net tuned = T() -> lora(rank=2, except=["dense"])\n'

    paths: tuple[str, ...]
    places: tuple[Label, ...]

    def title(self) -> str:
        count = "a dense layer" if len(self.paths) == 1 else f"{len(self.paths)} dense layers"
        return f"`lora` gives {count} no adapter"

    def labels(self) -> tuple[Label, ...]:
        return self.places

    def help(self) -> str:
        names = ", ".join(f'"{path}"' for path in self.paths[:4])
        return f"`except=[{names}]` says that this is meant"
