"""What goes wrong with low rank: goals that exclude each other, budgets out of reach."""

from __future__ import annotations

import math

from compiler.report.diagnostics import Label, Text, lint, message
from compiler.report.sessions import tiny
from compiler.report.source import Span

_SMALL = (
    "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(8) as fc\n}\nnet m = M()\n"
)


@message(
    "W1130",
    bad=_SMALL + "variant small of m { apply low_rank(rank=2, energy=90%) }\n",
    good=_SMALL + "variant small of m { apply low_rank(energy=90%) }\n",
)
def one_goal_only(span: Span | None, goals: tuple[str, ...]) -> Text:
    """`low_rank` got more than one of `rank`, `energy` and `budget`.

    Each of them alone decides how large the factors of a layer are: `rank` for all layers alike,
    `energy` by what each layer loses, `budget` by what the whole net may keep.
    """
    return Text(
        f"{' and '.join(f'`{g}`' for g in goals)} say two things about one rank",
        label="needs only one of them",
        help="keep one; `energy=95%` is a good start",
    )


@message(
    "W1131",
    console=tiny(
        "low_rank(budget=1%)", "size <= 8KiB", layer="dense(32) as a -> relu -> dense(32) as b"
    )
    + """\
$ weft build net.weft -o out
""",
    mended=tiny(
        "low_rank(budget=60%)", "error <= 100%", layer="dense(32) as a -> relu -> dense(32) as b"
    )
    + """\
$ weft build net.weft -o out
""",
)
def budget_out_of_reach(
    span: Span | None, budget: float, before: int, most: int, least: int
) -> Text:
    """No ranks bring a net down to the budget of `low_rank`.

    Layers that may not be touched, or that cannot be factored, keep their parameters. So do those
    whose factors take as many multiply-adds as the layer. No layer is left with less than a
    fiftieth of its weights.
    """
    reach = f"factors with fewer multiply-adds leave {least:,} at least"
    share = math.ceil(100 * least / before)
    if share >= 100:
        advice = "no layer has factors with fewer multiply-adds; prune channels"
    else:
        advice = f"ask for `budget={share}%`, or prune channels first"
    return Text(
        f"low rank cannot bring the net down to {100 * budget:.3g}% of its parameters",
        label=f"{most:,} of {before:,} parameters; {reach}",
        help=advice,
    )


@message(
    "W1132",
    bad=_SMALL + 'net tuned = M() -> lora(rank=2, only=["attention.*"])\n',
    good=_SMALL + 'net tuned = M() -> lora(rank=2, only=["fc"])\n',
)
def nothing_to_adapt(span: Span | None, layers: tuple[str, ...]) -> Text:
    """`lora` adapts no layer of the net.

    Adapters go next to dense layers that have weights of their own and do not run in the body of a
    `scan`; the patterns of `only` and `except` are paths of such layers.
    """
    if not layers:
        label = "it has no dense layer that could be adapted"
    else:
        shown = ", ".join(f"`{path}`" for path in layers[:6])
        more = f" and {len(layers) - 6} more" if len(layers) > 6 else ""
        label = f"its dense layers are {shown}{more}"
    return Text(
        "`lora` adapts no layer of this net",
        label=label,
        help='`only=["*.attention.*"]` names layers by path' if layers else None,
    )


_TIED = """
model T() {
    input tokens: i64[batch, t]
    net embed = embedding(20, 8)
    x = tokens -> embed -> dense(8) as fc
    output y = x -> dense(20, weight=embed.weight, bias=false) as head
}
"""


@message(
    "W1352",
    bad=_TIED + 'net tuned = T() -> lora(rank=2, only=["fc", "head"])\n',
    good=_TIED + 'net tuned = T() -> lora(rank=2, only=["fc"])\n',
)
def pattern_not_adapted(
    span: Span | None,
    pattern: str,
    named: bool,  # whether it names layers; they get none
    places: tuple[Label, ...],  # of these layers, or of others that get none
) -> Text:
    """A pattern of `lora`'s `only` names no layer that can have an adapter.

    A tied weight is another layer's parameter: the product of an adapter could not be added to it
    without changing that layer too. A layer in the body of a `scan` runs many times.
    """
    return Text(
        f'`lora` gives no adapter to what `only` names by "{pattern}"',
        label="" if named else "no dense layer with a weight of its own has that path",
        labels=places,
        help=f'take "{pattern}" out of `only`',
    )


@lint(
    "W1353",
    bad=_TIED + "net tuned = T() -> lora(rank=2)\n",
    good=_TIED + 'net tuned = T() -> lora(rank=2, except=["dense"])\n',
)
def layers_not_adapted(
    span: Span | None, paths: tuple[str, ...], places: tuple[Label, ...]
) -> Text:
    """Some of the dense layers that `lora` would adapt get no adapter, because their weight is
    tied to another layer or they run in the body of a `scan`. They stay frozen."""
    count = "a dense layer" if len(paths) == 1 else f"{len(paths)} dense layers"
    names = ", ".join(f'"{path}"' for path in paths[:4])
    return Text(
        f"`lora` gives {count} no adapter",
        labels=places,
        help=f"`except=[{names}]` says that this is meant",
    )
