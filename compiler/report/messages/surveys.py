"""Messages about what a survey of data finds."""

from __future__ import annotations

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.messages.wording import list_words
from compiler.report.sessions import change_fit, fit
from compiler.report.source import Span


@message(
    "W1760",
    severity=Severity.WARNING,
    console=fit(("{k % 3}", "{k % 2 + 5}")) + "$ weft data fit.weft\n",
    mended=change_fit(("stack([a, b])", "stack([a, a / 2])")) + "$ weft data fit.weft\n",
)
def column_is_target(span: Span | None, target: str, columns: tuple[str, ...]) -> Text:
    """A column that a training reads is the target under another name: each of its values stands
    beside one value of the target, or it is a multiple of it. A net that reads it has nothing to
    learn, and says nothing of rows whose target is not known yet.

    Where the column is known when the net is used, it is fine; it may then be all that is needed.
    """
    one = len(columns) == 1
    return Text(
        f"{list_words(columns)} {'is' if one else 'are'} the target `{target}` under another name",
        label="read by a training",
        help=f"leave {'it' if one else 'them'} out of what the net reads, unless "
        f"{'it is' if one else 'they are'} known when the net is used",
    )


@message(
    "W1761",
    console=fit() + "$ weft data fit.weft tabel\n",
    mended=change_fit() + "$ weft data fit.weft table\n",
)
def data_is_not_trained_on(
    span: Span | None, name: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """`weft data SPEC NAME` looks at a data item on which something is trained: what is a target,
    and which columns are read, follows from the training."""
    if not known:
        return Text(
            "this file has no train",
            help="`weft check --data` shows the columns of data that nothing is trained on",
        )
    near = f"did you mean `{suggestion}`? " if suggestion else ""
    return Text(
        f"no train is on a data item `{name}`",
        help=f"{near}trains are on {list_words(known)}",
    )
