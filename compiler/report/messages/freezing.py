"""Messages about parameters that are frozen in the first epochs of a training."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.items import train_spec
from compiler.report.source import Span

_UNTIL = 'freeze "dense.bias", until=3epochs'


@message(
    "W1545",
    bad=train_spec(f'{_UNTIL}\n    freeze "dense.bias"'),
    good=train_spec(_UNTIL),
)
def frozen_twice(span: Span | None, path: str) -> Text:
    """Two clauses freeze a parameter, and at least one of them for some epochs only. A parameter is
    frozen for the whole training, or until one epoch."""
    return Text(
        f"`{path}` is frozen twice",
        label="frozen by another clause too",
        help="leave it to one of them",
    )


@message(
    "W1546",
    bad=train_spec('freeze "dense.bias", until=10epochs', sizes="batch 64  epochs 10"),
    good=train_spec('freeze "dense.bias", until=9epochs', sizes="batch 64  epochs 10"),
)
def frozen_throughout(span: Span | None, until: int, epochs: int) -> Text:
    """`freeze …, until=10epochs` ends behind the last epoch, so that the parameters are never
    trained. What stays as it is has no `until`."""
    return Text(
        f"frozen until epoch {until} of {epochs}",
        label="never trained",
        help="leave `until` out to freeze for the whole training, or give fewer epochs",
    )


@message(
    "W1547",
    bad=train_spec('freeze "dense.weight", until=3epochs\n    regularize group_lasso(1e-3)'),
    good=train_spec("regularize group_lasso(1e-3)"),
)
def not_with_thawing(span: Span | None, name: str, why: str) -> Text:
    """Parameters that are frozen in the first epochs have no gradient there, and an optimizer
    passes them over. What moves weights by itself, as `group_lasso`, would move them all the same;
    an optimizer that works on all of them at once, as `lbfgs`, cannot leave some out for a while.
    """
    return Text(
        f"`{name}` does not go with `freeze …, until=`",
        label=why,
        help="leave one of them out",
    )
