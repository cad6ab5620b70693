"""Messages about values of parameters that a command (`--set`) or a program gives."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import list_words
from compiler.report.sessions import FIT
from compiler.report.source import Span


@message(
    "W0950",
    console=FIT
    + """\
$ weft check fit.weft --set table.pth=table.csv
""",
    mended="""\
$ weft check fit.weft --set table.path=table.csv
""",
)
def unknown_setting(
    span: Span | None, name: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """`--set NAME=VALUE`, or an argument in Python, names no parameter: NAME is `item.parameter`,
    or a parameter alone where only one item has it; of a data item it may be an option of the
    source, such as `digits.path`."""
    if suggestion:
        advice = f"did you mean `{suggestion}`?"
    else:
        advice = f"the file has {list_words(known)}" if known else "the file has none"
    return Text(f"there is no parameter `{name}`", help=advice)


@message(
    "W0951",
    console="""\
$ cat nets.weft
model One(width: int = 2) {
    input x: f32[batch, 3]
    output y = x -> dense(width)
}
model Two(width: int = 4) {
    input x: f32[batch, 3]
    output y = x -> dense(width)
}
$ weft check nets.weft --set width=8
""",
    mended="""\
$ weft check nets.weft --set Two.width=8
""",
)
def ambiguous_setting(span: Span | None, name: str, meanings: tuple[str, ...]) -> Text:
    """Several items have a parameter of this name: say which is meant."""
    return Text(
        f"`{name}` could mean several parameters", help=f"say which: {list_words(meanings)}"
    )


@message(
    "W0952",
    console="""\
$ python -c "import numpy as np; np.savez('rows.npz', x=np.zeros((5, 2)), y=np.zeros(5))"
$ cat rows.weft
data rows {
    source npz("rows.npz")
    split in_order, train=80%, val=20%
}
$ weft check rows.weft --set rows.columns=3
""",
    mended="""\
$ weft check rows.weft --set 'rows.columns=["x"]'
""",
)
def bad_setting_value(span: Span | None, name: str, expected: str, found: str) -> Text:
    """The value that a command or a program gives is not of the kind that the parameter takes."""
    return Text(f"`{name}` is {expected}", label=f"this is {found}")
