"""Messages about trains on several data sets."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.wording import SHOWN, list_words
from compiler.report.source import Span

PAIR = """\
model Net() {{
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(10)
}}
data digits {{
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}}
data inverted {{
    source sklearn("digits")
    image = 1 - image / 16
    split random(seed=1), train=80%, {val}
}}
train adapt on {on} {{
    net m = Net()
    score = m({column})
    minimize cross_entropy(score, digits.label) + mean(m(inverted.image) ** 2) with adam(lr=1e-3)
    batch 64  epochs 10
}}
"""
"""A small spec whose train has two data sets."""


def pair_spec(
    on: str = "digits, inverted", column: str = "digits.image", val: str = "val=20%"
) -> str:
    """A whole spec with these data sets in its train, and this column in its objective."""
    return PAIR.format(on=on, column=column, val=val)


@message("W1593", bad=pair_spec(column="image"), good=pair_spec())
def ambiguous_column(span: Span | None, name: str, owners: tuple[str, ...]) -> Text:
    """Several data sets of a train have a column of this name. Each is called by its data set and
    its name; a column that only one of them has may be called by its name alone."""
    return Text(
        f"`{name}` is a column of {list_words(owners)}",
        label="which one is meant?",
        help="write " + " or ".join(f"`{owner}.{name}`" for owner in owners[:SHOWN]),
    )


@message("W1594", bad=pair_spec("digits, digits"), good=pair_spec())
def data_twice(span: Span | None, name: str, first: Span) -> Text:
    """A train calls the columns of its data sets by the names of these, so that no two have one
    name. Of the same rows with other columns make a data set of its own."""
    return Text(
        f"two data sets of the train are called `{name}`",
        label="this one",
        labels=(Label(first, "and this one"),),
        help="write a `data` item with another name for one of them",
    )


@message("W1595", bad=pair_spec(val="test=20%"), good=pair_spec())
def split_not_shared(
    span: Span | None,
    name: str,
    lacking: tuple[str, ...],
    first: str,
    place: Span | None,
    wanted: Span | None,
) -> Text:
    """The figures of a train on several data sets are taken over the splits of the first: the
    others have these too, so that every figure can be taken. Splits that only another one has are
    left alone."""
    labels = [Label(wanted, f"`{first}` has it")] if wanted is not None else []
    labels += [Label(place, f"`{name}` is divided here")] if place is not None else []
    splits = list_words(lacking)
    return Text(
        f"the data set `{name}` has no split {splits}",
        label=f"`{first}` has {'it' if len(lacking) == 1 else 'them'}",
        labels=tuple(labels),
        help=f"give it a share: `split random(seed=0), train=80%, {lacking[0]}=20%`",
    )


@message(
    "W1598",
    bad=pair_spec().replace("m(inverted.image)", "m(digits.image)"),
    good=pair_spec(),
)
def data_not_read(span: Span | None, train: str, name: str, columns: tuple[str, ...]) -> Text:
    """A train reads no column of one of its data sets. Its rows would be loaded and taken for
    nothing; those of the first say how long an epoch is."""
    return Text(
        f"the train `{train}` reads no column of `{name}`",
        label="nothing is computed of it",
        help=f"leave it out, or read one of {list_words(columns)}: `{name}.{columns[0]}`",
    )


DEPLOYED = "deploy adapt as onnx {{ preprocess {data} }}\n"


@message(
    "W1596",
    bad=pair_spec(column="(digits.image + inverted.image) / 2") + DEPLOYED.format(data="digits"),
    good=pair_spec() + DEPLOYED.format(data="digits"),
)
def inputs_of_several_data(span: Span | None, train: str, owners: tuple[str, ...]) -> Text:
    """A deployed file takes the columns of one data set, and the train gives its net what it makes
    of several. Deploy it without `preprocess`: it then takes what the net takes."""
    return Text(
        "one data set does not make the inputs of the net",
        label=f"`{train}` gives it columns of {list_words(owners)}",
        help="leave `preprocess` out: the file then takes the inputs of the net",
    )


@message(
    "W1597",
    bad=pair_spec()
    + """\
data other {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}
"""
    + DEPLOYED.format(data="other"),
    good=pair_spec() + DEPLOYED.format(data="inverted"),
)
def preprocess_of_other_data(
    span: Span | None, name: str, train: str, known: tuple[str, ...]
) -> Text:
    """The columns that `preprocess` puts before a net are those of a data set that it was trained
    on: figures of the file are taken over its rows."""
    return Text(
        f"the train `{train}` does not read `{name}`",
        label=f"it is on {list_words(known)}",
        help=f"name one of them: `preprocess {known[0]}`",
    )
