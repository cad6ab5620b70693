"""Messages about the columns of a data item: expressions, splits, and the numbers in them."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Severity, Text, message
from compiler.report.messages.wording import COLUMNS, count, list_words
from compiler.report.sessions import change_fit, fit
from compiler.report.source import Span

SPLIT = "    split random(seed=0), train=80%, val=20%\n}\n"


def digits_spec(*lines: str) -> str:
    """A spec of the digits with these lines in its data item."""
    body = "".join(f"    {line}\n" for line in lines)
    return f'data digits {{\n    source sklearn("digits")\n{body}{SPLIT}'


@message(
    "W0720",
    bad=digits_spec("total = sum(cast(label, f32))"),
    good=digits_spec("total = sum(cast(image, f32))"),
)
def not_per_row(span: Span | None, op: str) -> Text:
    """Column expressions say what happens to one row, and are computed for all rows at once. A
    few layers cannot be: those that mix values in a way that has no batched form."""
    return Text(
        f"`{op}` cannot be computed for all rows at once",
        label="column expressions act on one row",
        help="move it into the model, where it acts on a batch",
    )


@message(
    "W0721",
    console=fit(("val=20%, test=20%", "val=0.001"))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit()
    + """\
$ weft check fit.weft --data
""",
)
def empty_split(span: Span | None, split: str, rows: int) -> Text:
    """A split holds no row: its share is too small for so few rows, or the shares before it take
    them all."""
    return Text(f"the split `{split}` holds no row", label=f"the data has {count(rows, 'row')}")


@message(
    "W0722",
    console=fit(("train=60%, val=20%, test=20%", "train=20, val=1"))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit()
    + """\
$ weft check fit.weft --data
""",
)
def too_few_rows(span: Span | None, wanted: int, rows: int) -> Text:
    """The numbers of rows of the splits add up to more than the data has."""
    return Text(
        f"the splits take {count(wanted, 'row')}, and the data has {rows:,}",
        help="shares in percent fit any number of rows: `train=80%, val=20%`",
    )


@message(
    "W0723",
    console=fit(("{k / 8}", "{k / 8 if k else ''}"))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(("[a, b]", '[fill(a, "median"), b]'))
    + """\
$ weft check fit.weft --data
""",
)
def not_a_number(
    span: Span | None,
    column: str,
    cells: int,
    row: int,
    infinite: bool,
    *,
    # Whether the column is one of the source; else it is computed from columns that have numbers
    # in that row.
    source: bool = False,
) -> Text:
    """A column that the training reads holds NaN or infinity: the loss would be NaN from then on.

    Empty cells of a table are NaN until `fill` replaces them; a logarithm of 0 and a division by
    0 give infinity.
    """
    what = "infinity" if infinite else "NaN"
    place = " in the source" if source else ""
    if source and infinite:
        advice = f"give the rows a number in the data, or `clip({column}, -1e6, 1e6)`"
    elif source:
        advice = f'`{column} = fill({column}, "median")` replaces empty cells'
    elif infinite:
        advice = "logarithms of 0 and divisions by 0 give infinity: `log(x + 1)`, `x / (y + 1)`"
    else:
        advice = "no cell is empty there: `log` and `sqrt` of what is below 0 give NaN, and 0 / 0"
    return Text(
        f"the column `{column}` holds {what}{place}",
        label=f"in {count(cells, 'row')}, the first is row {row:,}",
        help=advice,
    )


@message(
    "W1342",
    console=fit(("{k / 8}", "{k / 8 if k > 12 else ''}"), ("[a, b]", '[fill(a, "mean"), b]'))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(("[a, b]", "[fill(a, 0), b]"))
    + """\
$ weft check fit.weft --data
""",
)
def nothing_to_fit(span: Span | None, op: str, rows: int) -> Text:
    """`fill` and `standardize` take their figures from the rows of the split `train`, where all
    cells of the column are missing: of nothing there is no mean and no median."""
    return Text(
        f"`{op}` finds no number in the training rows",
        label=f"{count(rows, 'row')}, and the cell of each is missing",
        help="leave the column out, or give a number for what is missing: `fill(x, 0)`",
    )


_MOST_SHIFTED = 1_000_000
"""The farthest from 0 that a number may be to be taken for that of a class."""


@message(
    "W0724",
    console=fit(("{k % 2}", "{k % 3}"))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(("dense(2)", "dense(3)"))
    + """\
$ weft check fit.weft --data
""",
)
def label_out_of_range(
    span: Span | None,
    column: str,
    row: int,
    found: float,
    taken: str,  # "0 to 9"
    reader: str,  # "cross_entropy", "embedding"
    numbers: tuple[float, float],  # the least and the largest
    *,
    places: bool = False,  # whether they are class numbers, or entries of a table
    sums: bool = False,  # whether what was found is the sum of a distribution
    rescaled: str | None = None,  # what makes 0 and 1 of the column -1 and 1, or the reverse
    divides: bool = False,  # whether whole numbers are divided by them
) -> Text:
    """A target in the data lies outside of what a loss or a metric takes: a class number that is
    below 0, or not below the number of scores of the net; a probability above 1; a distribution
    that does not add up to 1; 0 where a loss takes -1 and 1, or where it divides a whole number.
    Rows of all splits are looked at, before any training."""
    if sums:
        label = f"probabilities add up to 1; those of row {row:,} to {found:g}"
    else:
        label = f"takes {taken}; row {row:,} has {found:g}"
    least, largest = numbers
    if places and -_MOST_SHIFTED <= found < 0:
        ignored = f", or leave them out: `ignore_index={found:g}`"
        shifted = f"`{column} = {column} + {-found:g}`"
        advice = f"number the classes from 0: {shifted}{ignored}"
    elif places:
        if largest >= _MOST_SHIFTED or found < 0:
            advice = f"they lie between {least:g} and {largest:g}: these are not class numbers"
        else:
            advice = f"`{reader}` would have to take {largest + 1:g} numbers"
    else:
        advice = f"they lie between {least:g} and {largest:g}"
    if rescaled is not None:
        advice = f"they are {least:g} and {largest:g}: write `{rescaled}`"
    if divides:
        advice = f"leave such rows out with `where {column} != 0`, or divide as f32"
    return Text(
        f"the column `{column}` holds numbers that `{reader}` does not take",
        label=label,
        help=advice,
    )


@message(
    "W1210",
    console=fit(("{k % 2}", "{k % 2 if k < 12 else -1}"), ("label)", "label, ignore_index=-1)"))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(("in_order", "random(seed=0)"), ("label)", "label, ignore_index=-1)"))
    + """\
$ weft check fit.weft --data
""",
)
def nothing_counts(
    span: Span | None,
    metric: str,
    split: str,
    # The label that all of them are; None where masks or weights are the reason.
    ignored: int | None,
) -> Text:
    """Every label of a split is one that a metric or a loss ignores, or has the weight 0, so that
    its figure would be that of nothing."""
    if ignored is None:
        label = "its mask or its weight leaves out all of them"
    else:
        label = f"all of them are {ignored}, which it ignores"
    other = "mask or weight" if ignored is None else "`ignore_index`"
    return Text(
        f"no label of the split `{split}` counts for `{metric}`",
        label=label,
        help=f"divide the rows at random, or choose another {other}",
    )


@message(
    "W0725",
    bad=digits_spec("image = (image / 16) -> flatten -> dense(3)"),
    good=digits_spec("image = (image / 16) -> flatten"),
)
def weights_in_data(span: Span | None, op: str) -> Text:
    """A layer with weights is used in a column expression. Columns are computed before training and
    are not trained: only `standardize` and `fill` hold figures there, fitted on the training
    rows."""
    return Text(f"`{op}` has weights, and columns are not trained", help="move it into the model")


@message(
    "W1359",
    bad=digits_spec("image = (image / 16) -> dropout(20%)"),
    good=digits_spec("image = image / 16"),
)
def noise_in_data(span: Span | None, op: str, *, draws: bool = False) -> Text:
    """A layer that acts in training only, or a random draw, is used in a column expression. Columns
    are computed once, before training, the same for every epoch and for the deployed file:
    `dropout` would do nothing there, and `normal_like` add the same noise in every epoch."""
    if draws:
        return Text(
            f"`{op}` cannot draw in data",
            label="draws other numbers each time, and columns are computed once",
            help="move it into `augment { … }`, which acts on training rows, or into the train",
        )
    return Text(
        f"`{op}` does nothing in data",
        label="acts in training only, and columns are computed before",
        help="move it into the model, or into the train",
    )


@message("W0726", bad=digits_spec().replace("val=20%", "val=30%"), good=digits_spec())
def bad_shares(
    span: Span | None, reason: str, advice: str = "write `train=80%, val=10%, test=10%`"
) -> Text:
    """The shares of a split are parts of the rows (`80%`, `0.8`) or whole numbers of rows (`500`,
    `1`), for `train`, `val` and `test`, and parts add up to 100% at most."""
    return Text("the rows cannot be divided like this", label=reason, help=advice or None)


@message(
    "W0727",
    bad=digits_spec().replace("split random(seed=0), train=80%, val=20%", "split given"),
    good=digits_spec(),
)
def split_does_not_fit(span: Span | None, method: str, reason: str, advice: str) -> Text:
    """The way of splitting does not fit the source: only some sources bring splits of their own,
    and windows over one text must be divided in order, or the same characters would be trained on
    and tested."""
    return Text(f"`{method}` does not fit this source", label=reason, help=advice)


@message(
    "W0728",
    bad=digits_spec().replace("seed=0", "seed=0, stratify=image"),
    good=digits_spec().replace("seed=0", "seed=0, stratify=label"),
)
def cannot_stratify(
    span: Span | None,
    column: str,
    found: str,  # its type; empty where there is none
    known: tuple[str, ...],
    suggestion: str | None = None,
) -> Text:
    """A split is stratified by a raw column of classes: whole numbers or words, one per row."""
    title = f"the source has no column `{column}`" if not found else f"`{column}` holds no classes"
    close = f"did you mean `{suggestion}`?" if suggestion else ""
    return Text(
        title,
        label=f"it is {found}" if found else close,
        help=f"columns with classes are {list_words(known, COLUMNS)}" if known else None,
    )


@message(
    "W1228",
    severity=Severity.WARNING,
    console=fit(
        ("{k % 2}", "{k % 2 if k else 2}"),
        ("in_order", "random(stratify=label)"),
        ("dense(2)", "dense(3)"),
    )
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(
        ("[a, b])", "[a, b])\n    label = minimum(label, 1)"), ("in_order", "random(seed=0)")
    )
    + """\
$ weft check fit.weft --data
""",
)
def few_of_a_class(
    span: Span | None,
    column: str,
    value: str,
    rows: int,
    splits: int,
    # How many more classes have as few rows.
    others: int,
) -> Text:
    """A split is stratified, and a class has fewer rows than there are splits: some split holds
    none of it. Where that is `train`, the net never sees the class."""
    more = f"; of others too, {others:,} in all" if others else ""
    return Text(
        f"classes of `{column}` have fewer rows than there are splits",
        label=f"`{value}` has {count(rows, 'row')} for {splits} splits{more}",
        help="leave these rows out, or join rare classes into one",
    )


@message(
    "W1377",
    severity=Severity.WARNING,
    console=fit(("{k / 8}", "{1700000000 + k}"), ("[a, b]", "[cast(a, f32), cast(b, f32)]"))
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(("[a, b]", "[cast(a - 1700000000, f32), cast(b, f32)]"))
    + """\
$ weft check fit.weft --data
""",
)
def rounded_away(
    span: Span | None,
    column: str,
    range: tuple[float, float],
    # Different numbers before and after the rounding.
    distinct: tuple[int, int],
    dtype: str,
    # Whether it is a column as it comes, and no expression of some.
    plain: bool,
    # Whether `standardize` can be used there.
    fitted: bool,
) -> Text:
    """Numbers are rounded, and their differences are lost: f32 holds every whole number up to 2^24
    = 16,777,216, and every 128th where the seconds of today's dates are, f64 every one up to 2^53.
    Dates of one hour are then some thirty different numbers, and so are measurements such as
    1000000000.01 and 1000000000.02.

    Differences are exact where something near is subtracted first: `hour - 1709294400`.
    `standardize(hour)` subtracts the mean before it rounds to f32. Columns whose numbers f32 does
    not tell apart are f64. Reported where the rounding is more than a thousandth of the standard
    deviation of the column, or leaves less than half of its different numbers.
    """
    before, after = distinct
    what = f"`{column}`" if plain else f"numbers of `{column}`"
    low, high = map(_write_exactly, range)
    rounded = column if plain else "x"
    kind = "a whole number" if isinstance(range[0], int) else "a number"
    first = f"subtract {kind} first: `{rounded} - {_write_exactly(range[0])}`"
    exact = f", or write `standardize({rounded})`, which subtracts the mean before it rounds"
    return Text(
        f"rounding {what} to {dtype} leaves {after:,} of {before:,} different numbers",
        label=f"numbers from {low} to {high} become {dtype} here",
        help=first + exact if fitted and plain else first,
    )


def _write_exactly(number: float) -> str:
    return f"{number}" if isinstance(number, int) else f"{number:.16g}"


@message(
    "W0729",
    bad=(
        digits_spec()
        + "model M() {\n    input x: f32[batch, 64]\n"
        + "    output y = x -> dense(digits.clases)\n}\n"
    ),
    good=(
        digits_spec()
        + "model M() {\n    input x: f32[batch, 64]\n"
        + "    output y = x -> dense(digits.classes)\n}\n"
    ),
)
def unknown_attribute_of_data(
    span: Span | None, data: str, name: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """`NAME.x` reads a number of the data that is known when compiling: `vocab` of a text,
    `classes` of data with labelled classes."""
    if not known:
        advice = "this source has no numbers that are known when compiling"
    else:
        advice = f"it has {list_words(known)}"
    return Text(
        f"the data item `{data}` has no `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=advice,
    )


@message(
    "W0730",
    bad=digits_spec().replace("data digits {", "data digits(label: int = 3) {"),
    good=digits_spec("image = image + shift").replace(
        "data digits {", "data digits(shift: float = 0.5) {"
    ),
)
def parameter_hides_column(span: Span | None, name: str, source: Span) -> Text:
    """A parameter of a data item has the name of one of its raw columns, so that the name means
    two things."""
    return Text(
        f"`{name}` is a parameter and a column",
        label="the parameter needs another name",
        labels=(Label(source, f"this source has a column `{name}`"),),
    )


@message(
    "W0731",
    bad="model M() {\n    input x: f32[batch, 4]\n    output y = x -> standardize -> dense(3)\n}\n",
    good=digits_spec("image = image -> standardize"),
)
def only_in_data(span: Span | None, op: str) -> Text:
    """`standardize` and `fill` take figures of the training rows, which only a data item has. In
    a model, `batch_norm` and `layer_norm` are their like."""
    return Text(f"`{op}` belongs into a data item", label="there are no training rows here")


@message(
    "W1230",
    bad=(
        digits_spec()
        + "model M() {\n    input image: u8[batch, 8, 8]\n    param label: f32[10] = zeros\n"
        "    output y = (cast(image, f32) -> flatten(1) -> dense(10)) + label\n}\n"
        "train fit of M on digits {\n"
        "    minimize cross_entropy(y, label) with sgd(lr=0.1)\n    batch 8  epochs 1\n}\n"
    ),
    good=digits_spec(),
)
def column_named_as_weight(span: Span | None, name: str, column: Span | None) -> Text:
    """A column has the name of a weight next to it. In `train f of M on d` the columns of `d` and
    the weights of `M` are names of the same graph, and each means one thing there."""
    return Text(
        f"`{name}` is a weight and a column",
        label="the weight needs another name",
        labels=(Label(column, "the column is made here"),) if column is not None else (),
        help="or write the net in the body: `net m = M()`; its weights are then called `m.…`",
    )
