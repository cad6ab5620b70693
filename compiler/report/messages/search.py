"""Messages about searches: what they need, and what they could not reach."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.sessions import tiny
from compiler.report.source import Span

_GOOD = """\
model M { input x: f32[batch, 64]  output y = x -> dense(32) as a -> relu -> dense(2) as head }
variant small of M {
    apply search([prune, quantize(int8)], trials=60)
    require size <= 8KiB
}
"""


@message(
    "W1195",
    bad=_GOOD.replace("[prune, quantize(int8)]", "[]"),
    good=_GOOD,
)
def search_of_nothing(span: Span | None) -> Text:
    """A search whose list of passes is empty.

    Name what the search may do: `search([prune, low_rank, quantize(int8)])`.
    """
    return Text(
        "a search needs passes to choose from",
        label="this list is empty",
        help="write `search([prune, quantize(int8)])`",
    )


@message("W1199", bad=_GOOD.replace("quantize(int8)", "finetune"), good=_GOOD)
def not_to_choose(
    span: Span | None,
    name: str,
    # The option without which it is no pass; empty where it takes no `only=`.
    needed: str = "",
) -> Text:
    """A search whose list has a pass that it cannot try on one layer after the other.

    A search restricts each pass to a single layer, so it chooses among those that take `only=`:
    `prune`, `low_rank` and `quantize`. `finetune` and `distill` train the whole net; put them
    behind the search. `prune` and `low_rank` may be written without settings, which the search then
    finds; `quantize` needs to be told how: `quantize(int8)`.
    """
    if needed:
        label = f"`{name}` needs `{needed}`"
    else:
        label = f"`{name}` acts on the whole net, not on single layers"
    return Text(
        f"a search cannot choose `{name}`",
        label=label,
        help=f"write `{name}({needed}=…)`" if needed else f"put it behind: `search(…) -> {name}`",
    )


@message(
    "W1196",
    bad=_GOOD.replace("    require size <= 8KiB\n", ""),
    good=_GOOD,
)
def search_needs_goal(span: Span | None) -> Text:
    """A search in a variant that requires nothing of latency, size, params or flops.

    A search finds the least loss within bounds. Without a bound, the net as it is has the least
    loss. Requirements on metrics are held at the end of the build; they are not a bound that makes
    a net smaller.
    """
    return Text(
        "a search needs a bound to search for",
        label="nothing is required of latency, size, params or flops",
        help="add `require latency <= 0.5 * fit.latency` or `require size <= 64KiB`",
    )


@message(
    "W1197",
    bad=_GOOD.replace("trials=60", "trials=5"),
    good=_GOOD,
)
def trials_too_few(span: Span | None, given: int, needed: int) -> Text:
    """A search with fewer trials than it needs at least.

    Every layer is tried alone with every family of passes; each family is tried with one strength
    for all layers, as a plain baseline; the choice is measured and mended a few times, and the
    best are tuned. Give more trials, or restrict the passes with `only=` or `except=`.
    """
    return Text(
        f"{given} trials are too few",
        label=f"a setting for each layer and pass, baselines and choices take {needed}",
        help=f"write `trials={needed}` or more, or restrict the passes with `only=`",
    )


@message(
    "W1198",
    console=tiny("search([quantize(stored8)], trials=60)", "size <= 300B")
    + """\
$ weft build net.weft -o out
""",
    mended=tiny("search([quantize(stored8)], trials=60)", "size <= 1100B")
    + """\
$ weft build net.weft -o out
""",
)
def search_goal_missed(
    span: Span | None, figure: str, bound: float, reached: float, before: float
) -> Text:
    """No choice of settings reached a bound.

    The figures are those of the nearest choice that was measured. What else would help: further
    passes in the list, stronger ones, or a looser bound.
    """
    asked, found, start = (write_figure(figure, value) for value in (bound, reached, before))
    return Text(
        f"the search found no net with {figure} within its bound",
        label=f"the bound is {asked}; the nearest choice has {found}, from {start}",
        help=f"a bound of {found} was reached; or let the search use more passes",
    )


def write_figure(figure: str, value: float) -> str:
    """A figure with its unit."""
    match figure:
        case "latency":
            return f"{value * 1e6:.1f} µs"
        case "size":
            return f"{value:,.0f} bytes"
        case _:
            return f"{value:,.0f}"
