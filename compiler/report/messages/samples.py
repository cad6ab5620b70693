"""Messages about samples: what is written while training."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.items import train_spec
from compiler.report.source import Span

GRID = "sample grid = reshape(sigmoid(logits), [batch, 1, 10])"


@message(
    "W1486",
    bad=train_spec("sample grid = reshape(logits, [batch, 1, 10])"),
    good=train_spec("sample grid = reshape(logits, [batch, 1, 10]), range=[-5, 5]"),
)
def range_unknown(span: Span | None, name: str) -> Text:
    """A sample of images is written as a picture, and it is not known which numbers are black and
    white. What `sigmoid`, `tanh` or `clip` made has a range; of anything else it is said."""
    return Text(
        f"the range of the images of the sample `{name}` is not known",
        label="which number is black, which white?",
        help=f"write `sample {name} = …, range=[-1, 1]`",
    )


@message("W1487", bad=train_spec("sample grid = 3"), good=train_spec(GRID))
def sample_is_no_tensor(span: Span | None, name: str, found: str) -> Text:
    """A sample is a tensor that nets compute, of draws or of the first rows of the data."""
    return Text(f"the sample `{name}` is no tensor", label=f"this is {found}")


@message("W1488", bad=train_spec(GRID, GRID), good=train_spec(GRID))
def sample_twice(span: Span | None, name: str, first: Span) -> Text:
    """Two samples of a train have one name, and their files would have one too."""
    return Text(
        f"there are two samples `{name}`",
        label="this one",
        labels=(Label(first, "and this one"),),
        help="give it another name",
    )
