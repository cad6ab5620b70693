"""Messages about trains that train nothing, and evaluate: `epochs 0`."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Severity, Text, message
from compiler.report.messages.wording import list_words
from compiler.report.source import Span

_JUDGED = """model Net() {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(10)
}
data digits {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}
train fit of Net on digits {
    minimize cross_entropy(logits, label) with sgd(lr=0.1)
    batch 32  epochs 1
}
model Twice() {
    input image: f32[batch, 8, 8]
    net m = fit
    output logits = 2 * m(image)
}
train judged of Twice on digits {
    metric accuracy = accuracy(logits, label)
    epochs 0
}
"""


@message("W1542", bad=_JUDGED.replace("epochs 0", "epochs 0  clip norm=1.0"), good=_JUDGED)
def trains_nothing(span: Span | None, word: str, place: Span) -> Text:
    """`epochs 0` makes a train that trains nothing: it evaluates nets as they are, which other
    trains made or which come from files. A clause that says how something is trained has no
    meaning there."""
    return Text(
        f"`epochs 0` trains nothing, and `{word}` says how",
        label="evaluates only",
        labels=(Label(place, "of a training"),),
        help=f"leave `{word}` out to evaluate the nets as they are, or give `epochs` 1 or more",
    )


@message(
    "W1543",
    bad=_JUDGED.replace("    metric accuracy = accuracy(logits, label)\n", ""),
    good=_JUDGED,
)
def evaluates_nothing(span: Span | None, train: str) -> Text:
    """A train with `epochs 0` trains nothing, and without a metric it evaluates nothing either."""
    return Text(
        f"the train `{train}` has nothing to do",
        label="trains nothing, and there is no metric",
        help="add a figure, `metric accuracy = accuracy(logits, label)`, or train: `epochs 30`",
    )


@message(
    "W1544",
    severity=Severity.WARNING,
    bad=_JUDGED.replace("net m = fit", "net m = Net()"),
    good=_JUDGED,
)
def evaluates_fresh(span: Span | None, net: str, paths: tuple[str, ...]) -> Text:
    """A train with `epochs 0` evaluates weights that no train made and no file brings: they are
    random, and so are the figures. Take the net of a train, `net m = fit`, or load a file."""
    shown = list_words(tuple(f"`{path}`" for path in paths[:4]))
    more = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
    return Text(
        f"the net `{net}` is evaluated with fresh random weights",
        label=f"nothing has trained {shown}{more}",
        help="take the net of a train, `net m = fit`, or `load(…)` its weights",
    )
