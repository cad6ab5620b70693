"""Messages about looking into trained nets."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import list_words
from compiler.report.sessions import FIT, fit
from compiler.report.source import Span

TRAINED = FIT + "$ weft train fit.weft -o out\n"


@message(
    "W1570",
    console=TRAINED
    + """\
$ weft inspect fit.weft -o out --rows 1,7
""",
    mended="""\
$ weft inspect fit.weft -o out --rows 1,3 --only saliency
""",
)
def no_such_row(span: Span | None, row: int, split: str, count: int) -> Text:
    """A row was asked for that the split does not have. Rows are counted from 0 within their split,
    in the order in which the split has them."""
    return Text(
        f"the split `{split}` has no row {row}",
        label=f"it has {count} rows: 0 to {count - 1}",
        help=f"give rows from 0 to {count - 1}, or another split with `--split`",
    )


@message(
    "W1571",
    console=TRAINED
    + """\
$ weft inspect fit.weft -o out --rows 1-3
""",
    mended="""\
$ weft inspect fit.weft -o out --rows 1,2,3 --only saliency
""",
)
def bad_rows(span: Span | None, text: str) -> Text:
    """`--rows` takes numbers of rows between commas, `--rows 0,5,7`."""
    return Text(
        f"`--rows {text}` is not a list of rows",
        help="write numbers from 0 on, with commas between them: `--rows 0,5,7`",
    )


@message(
    "W1572",
    console=TRAINED
    + """\
$ weft inspect fit.weft -o out --class 2
""",
    mended="""\
$ weft inspect fit.weft -o out --class 1 --only saliency
""",
)
def no_such_class(
    span: Span | None,
    name: str,
    output: str,
    count: int,
    words: tuple[str, ...],
) -> Text:
    """`--class` takes the number of a class, counted from 0, or its word where the label is a
    column of words. Without it each row is explained for the class that the net finds most
    probable."""
    known = f"classes 0 to {count - 1}" if count > 1 else "one score, that of class 0"
    said = f": {list_words(words[:20])}{', …' if len(words) > 20 else ''}" if words else ""
    return Text(
        f"there is no class `{name}`",
        label=f"`{output}` has {known}{said}",
        help="give one of these, or leave `--class` out: then it is the predicted one",
    )


@message(
    "W1573",
    console=TRAINED
    + """\
$ weft inspect fit.weft -o out --layer head
""",
    mended="""\
$ weft inspect fit.weft -o out --only saliency
""",
)
def no_feature_map(span: Span | None, path: str, type_: str, maps: tuple[str, ...]) -> Text:
    """Grad-CAM weighs the channels of a layer that still has places, `[rows, channels, height,
    width]`: the result of a convolution, not that of a dense layer."""
    return Text(
        f"the layer `{path}` has no map",
        label=f"its result is {type_}",
        help=f"choose one of {list_words(maps)}"
        if maps
        else "no layer of this net has one: look at saliency or integrated gradients instead",
    )


@message(
    "W1574",
    console=fit(
        ("output y = x -> dense(8) -> relu -> dense(2) as head", "output y = mean(x -> dense(2))"),
        ("cross_entropy(y, label)", "y"),
        ("    metric accuracy = accuracy(y, label)\n", ""),
    )
    + """\
$ weft train fit.weft -o out
$ weft inspect fit.weft -o out
""",
)
def no_output_with_rows(span: Span | None, net: str) -> Text:
    """What is explained is a score of each row: a net all of whose outputs are one number for a
    whole batch, or whole numbers, has none."""
    return Text(
        f"`{net}` has no floating-point output with an entry for each row",
        help="give it an output whose first axis is that of its inputs, as logits have it",
    )


@message(
    "W1575",
    console=TRAINED
    + """\
$ weft inspect fit.weft -o out --only grad-cam
""",
    mended="""\
$ weft inspect fit.weft -o out --only saliency
""",
)
def nothing_to_show(span: Span | None, method: str, reason: str) -> Text:
    """A picture was asked for that the net cannot give: Grad-CAM without a map, filters without a
    convolution over the input, attention without attention, gradients by inputs that are whole
    numbers. Without `--only` what does not apply is left out, and the page says why."""
    return Text(
        f"`{method}` shows nothing of this net",
        label=reason,
        help="leave `--only` out: then everything is shown that applies",
    )


@message(
    "W1496",
    console=FIT
    + """\
$ weft inspect fit.weft -o out
""",
    mended="""\
$ weft train fit.weft -o out
$ weft inspect fit.weft -o out --only saliency
""",
)
def not_trained_yet(span: Span | None, train: str, path: str) -> Text:
    """`weft inspect` reads the weights of a train from the folder of `weft train` or `weft build`,
    and there are none yet, or they are in another folder: `-o DIR` is the same for all of these."""
    return Text(
        f"`{train}` is not trained yet",
        label=f"there is no `{path}`",
        help="run `weft train` or `weft build` first, or give the folder of an earlier one as `-o`",
    )
