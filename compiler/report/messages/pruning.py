"""What goes wrong with pruning: nothing to judge channels by, nothing that may be cut."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.variants import variant_spec
from compiler.report.source import Span


@message(
    "W1110",
    bad=variant_spec('apply prune(channels=50%, ranking="layer")').replace("of fit {", "of Net {"),
    good=variant_spec('apply prune(channels=50%, ranking="layer")'),
)
def no_rows_to_judge_by(span: Span | None, option: str) -> Text:
    """Pruning was asked to look at what the net computes, and there are no rows to run it on.

    `importance=activation` runs calibration rows through the net, `ranking="layer"` tries each
    group of channels on the rows held out for decisions. Both come with the train that the
    variant is of; importance by weights alone (`l1`, `l2`, `batch_norm`) needs no rows.
    """
    other = 'ranking="global"' if option.startswith("ranking") else "importance=l2"
    return Text(
        f"`{option}` has no rows to look at",
        label="needs data",
        help=f"make the variant of a train, or judge by weights alone: `{other}`",
    )


@message(
    "W1111",
    bad=variant_spec('apply prune(weights=50%, except=["hidden", "dense"])'),
    good=variant_spec("apply prune(weights=50%)"),
)
def nothing_to_cut(
    span: Span | None,
    what: str,  # "channels" or "weights"
    reasons: tuple[str, ...],  # "`fc`: an output of the net"
    *,
    unscored: bool = False,  # whether the importance says nothing about layers that might be cut
) -> Text:
    """No layer of the net can lose what `prune` was asked to take.

    Channels stay where they are inputs or outputs of the net, where an op needs all of them, and
    where `only` and `except` say so; weights go from dense layers and convolutions, and a pattern
    needs an axis that is a multiple of it.
    """
    if not reasons:
        advice = None
    elif unscored:
        advice = "judge by weights, of which every layer has some: `importance=l2`"
    else:
        advice = "look at `only` and `except`"
    return Text(
        f"there are no {what} to prune",
        label="; ".join(reasons[:3]) or f"the net has no layers with {what}",
        help=advice,
    )
