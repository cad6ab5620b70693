"""Messages about searches: what they need, and what they could not reach."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message

_GOOD = """\
model M { input x: f32[batch, 64]  output y = x -> dense(32) as a -> relu -> dense(2) as head }
variant small of M {
    apply search([prune, quantize(int8)], trials=60)
    require size <= 8KiB
}
"""


@final
@dataclass(frozen=True)
class SearchOfNothing(Message):
    """A search whose list of passes is empty.

    Name what the search may do: `search([prune, low_rank, quantize(int8)])`.
    """

    code: ClassVar[str] = "W1195"
    good: ClassVar[str] = _GOOD

    def title(self) -> str:
        return "a search needs passes to choose from"

    def label(self) -> str:
        return "this list is empty"

    def help(self) -> str:
        return "write `search([prune, quantize(int8)])`"


@final
@dataclass(frozen=True)
class NotToChoose(Message):
    """A search whose list has a pass that it cannot try on one layer after the other.

    A search restricts each pass to a single layer, so it chooses among those that take `only=`:
    `prune`, `low_rank` and `quantize`. `finetune` and `distill` train the whole net; put them
    behind the search. `prune` and `low_rank` may stand without settings, which the search then
    finds; `quantize` needs to be told how: `quantize(int8)`.
    """

    code: ClassVar[str] = "W1199"
    bad: ClassVar[str] = _GOOD.replace("quantize(int8)", "finetune")
    good: ClassVar[str] = _GOOD
    name: str
    needed: str = ""
    """The option without which it is no pass; empty where it takes no `only=`."""

    def title(self) -> str:
        return f"a search cannot choose `{self.name}`"

    def label(self) -> str:
        if self.needed:
            return f"`{self.name}` needs `{self.needed}`"
        return f"`{self.name}` acts on the whole net, not on single layers"

    def help(self) -> str:
        if self.needed:
            return f"write `{self.name}({self.needed}=…)`"
        return f"put it behind: `search(…) -> {self.name}`"


@final
@dataclass(frozen=True)
class SearchNeedsGoal(Message):
    """A search in a variant that requires nothing of latency, size, params or flops.

    A search finds the least loss within bounds. Without a bound, the net as it is has the least
    loss. Requirements on metrics are held at the end of the build; they are no bound that makes a
    net smaller.
    """

    code: ClassVar[str] = "W1196"
    good: ClassVar[str] = _GOOD

    def title(self) -> str:
        return "a search needs a bound to search for"

    def label(self) -> str:
        return "nothing is required of latency, size, params or flops"

    def help(self) -> str:
        return "add `require latency <= 0.5 * fit.latency` or `require size <= 64KiB`"


@final
@dataclass(frozen=True)
class TrialsTooFew(Message):
    """A search with fewer trials than it needs at least.

    Every layer is tried alone with every family of passes; each family is tried with one strength
    for all layers, as a plain baseline; the choice is measured and mended a few times, and the
    best are tuned. Give more trials, or restrict the passes with `only=` or `except=`.
    """

    code: ClassVar[str] = "W1197"
    good: ClassVar[str] = _GOOD
    given: int
    needed: int

    def title(self) -> str:
        return f"{self.given} trials are too few"

    def label(self) -> str:
        return f"a setting for each layer and pass, baselines and choices take {self.needed}"

    def help(self) -> str:
        return f"write `trials={self.needed}` or more, or restrict the passes with `only=`"


@final
@dataclass(frozen=True)
class SearchGoalMissed(Message):
    """No choice of settings reached a bound.

    The figures are those of the nearest choice that was measured. What else would help: further
    passes in the list, stronger ones, or a looser bound.
    """

    code: ClassVar[str] = "W1198"
    good: ClassVar[str] = _GOOD
    figure: str
    bound: float
    reached: float
    before: float

    def title(self) -> str:
        return f"the search found no net with {self.figure} within its bound"

    def label(self) -> str:
        bound, reached = write_figure(self.figure, self.bound), self.describe_reached()
        return f"the bound is {bound}; the nearest choice has {reached}"

    def describe_reached(self) -> str:
        """The nearest figure, and where it started."""
        reached = write_figure(self.figure, self.reached)
        return f"{reached}, from {write_figure(self.figure, self.before)}"

    def help(self) -> str:
        reached = write_figure(self.figure, self.reached)
        return f"a bound of {reached} was reached; or let the search use more passes"


def write_figure(figure: str, value: float) -> str:
    """A figure with its unit."""
    match figure:
        case "latency":
            return f"{value * 1e6:.1f} µs"
        case "size":
            return f"{value:,.0f} bytes"
        case _:
            return f"{value:,.0f}"
