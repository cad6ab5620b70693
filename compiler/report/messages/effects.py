"""What passes were asked for and did not do."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.variants import variant_spec
from compiler.report.source import Span

SHOWN = 4
"""Layers whose reasons are told."""


@message(
    "W1350",
    bad=variant_spec("apply low_rank(rank=32)"),
    good=variant_spec("apply low_rank(rank=1, unless_slower=true)"),
)
def pass_does_nothing(span: Span | None, step: str, reasons: tuple[str, ...]) -> Text:
    """A compression pass leaves the net exactly as it is.

    A pass with settings does what they say or is refused: a variant that was not compressed must
    not look like one that was. Only `search`, `quantize(auto)` and what is told to choose
    (`unless_slower=true`) may find that nothing is the best.
    """
    return Text(
        f"`{step}` changes nothing",
        label=_list(reasons) or "leaves the net as it is",
        help="ask for more, or leave the pass out",
    )


@message(
    "W1351",
    bad=variant_spec('apply prune(channels=50%, only=["hidden", "dense"])'),
    good=variant_spec('apply prune(channels=50%, only=["hidden"])'),
)
def pattern_without_effect(
    span: Span | None, step: str, pattern: str, reasons: tuple[str, ...]
) -> Text:
    """A pass does nothing to what a pattern of its `only` names, though it acts on other layers.

    Who names a layer wants it touched: that it cannot be is an error, with the reason.
    """
    return Text(
        f'`{step}` leaves what `only` names by "{pattern}" as it is',
        label=_list(reasons) or "nothing was done there",
        help=f'take "{pattern}" out of `only`, or change what is asked of it',
    )


def _list(reasons: tuple[str, ...]) -> str:
    more = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + more
