"""Messages about the augmentation of a data item."""

from __future__ import annotations

from compiler.report.diagnostics import Text, lint, message
from compiler.report.messages.columns import digits_spec
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


def _augmented(
    *lines: str, minimize: str = "cross_entropy(logits, label) with adam(lr=1e-3)"
) -> str:
    """A spec whose training has these lines in the augmentation of its data."""
    body = "".join(f"        {line}\n" for line in lines)
    spec = train_spec(minimize=minimize).replace(
        "    split", f"    augment {{\n{body}    }}\n    split"
    )
    return f"use std.augment\n\n{spec}"


@message(
    "W1550",
    bad=_augmented("turned = flip(image, -1)"),
    good=_augmented("image = image -> random_flip"),
)
def augments_nothing(span: Span | None, columns: tuple[str, ...]) -> Text:
    """An `augment` binds none of the columns: what it computes is thrown away.

    It changes a column by binding its name anew. Other names are for what stands between.
    """
    return Text(
        "nothing is augmented",
        label="no column is bound in it",
        help=f"write `{columns[0]} = {columns[0]} -> …`" if columns else None,
    )


@message(
    "W1551",
    bad=_augmented("label = one_hot(label, 10)"),
    good=_augmented("image = image -> gaussian_noise(0.1)"),
)
def augments_to_other(span: Span | None, column: str, found: str, expected: str) -> Text:
    """A column has another type once it is augmented: another shape or dtype.

    Validation and test see rows as they are, and what is trained has to take both. What rows are to
    look like everywhere is said in the column: `label = one_hot(label, 10)` for `mixup`, a `resize`
    for crops of one size.
    """
    return Text(
        f"the column `{column}` changes its type",
        label=f"this is {found}, and the column is {expected}",
        help=f"rows that are not augmented are used too: change it for all of them, by "
        f"`{column} = …` outside of `augment`",
    )


@message(
    "W1552",
    bad=_augmented("image = image -> dense(8)"),
    good=_augmented("image = image -> gaussian_noise(0.1)"),
)
def weights_in_augmentation(span: Span | None, op: str) -> Text:
    """A layer with weights is used to augment rows. Rows are changed before they come to what is
    trained, and no gradient goes there."""
    return Text(
        f"`{op}` has weights, and an augmentation is not trained",
        help="move it into the model",
    )


@message(
    "W1553",
    bad=_augmented(
        "image = image -> random_flip", minimize="cross_entropy(logits, label) with lbfgs()"
    ),
    good=_augmented("image = image -> random_flip"),
)
def augmented_fixed_loss(span: Span | None, optimizer: str) -> Text:
    """An optimizer that evaluates the loss of all rows again and again, or solves for the weights,
    sees the rows as they are; an `augment` gives it others each time."""
    return Text(
        f"`{optimizer}` takes no rows that change",
        label="the rows of the training are augmented",
        help="choose an optimizer that goes by one gradient a step, as `adam`",
    )


@message(
    "W1554",
    bad=digits_spec("augment image, 20%"),
    good=digits_spec(
        "image = image / 16", "augment {", "    image = image * uniform([batch, 1, 1])", "}"
    ),
)
def augment_form(span: Span | None, reason: str) -> Text:
    """An `augment` holds bindings of columns in braces, and nothing beside them."""
    return Text(
        "this is no augmentation",
        label=reason,
        help="write `augment { image = image -> random_flip }`",
    )


@lint(
    "W1555",
    bad=_augmented("copy = copy -> random_flip").replace(
        "image = image / 16", "image = image / 16\n    copy = 1 - image"
    ),
    good=_augmented("image = image -> random_flip"),
)
def augments_unread(
    span: Span | None, train: str, changed: tuple[str, ...], read: tuple[str, ...]
) -> Text:
    """A train reads none of the columns that its data augments: it would be trained on rows that
    stay as they are. Columns are computed before, so that another column of an augmented one is
    not augmented."""
    return Text(
        f"the train `{train}` reads nothing that is augmented",
        label=f"this changes {list_words(changed)}",
        help=f"augment what it reads: {list_words(read)}",
    )


@message(
    "W1556",
    bad=_augmented("image = image -> dropout(20%)"),
    good=_augmented("image = image * bernoulli(0.8, [batch, 1, 1])"),
)
def mode_in_augmentation(span: Span | None, op: str) -> Text:
    """A layer that acts only while a net trains, such as `dropout`, stands in an augmentation,
    where there is no net."""
    return Text(
        f"`{op}` acts while a net trains, and there is none here",
        help="move it into the model, or draw: `bernoulli`, `uniform`, a block of `std.augment`",
    )
