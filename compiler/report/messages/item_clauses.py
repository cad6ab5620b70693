"""Messages about clauses and references of items: missing, repeated, naming what is not there."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


@message("W0605", bad=train_spec("seed 0", "seed 1"), good=train_spec("seed 0"))
def clause_twice(span: Span | None, word: str, first: Span) -> Text:
    """A clause that says one thing appears twice in an item."""
    return Text(
        f"`{word}` is given twice",
        label="said again here",
        labels=(Label(first, "first said here"),),
    )


@message("W0606", bad=train_spec(sizes="epochs 10"), good=train_spec())
def clause_missing(
    span: Span | None,
    item: str,  # "the train `fit`"
    words: tuple[str, ...],
    forms: tuple[str, ...],
    # A name that is bound in place of a clause: `batch_size = 64`.
    bound: str | None = None,
) -> Text:
    """An item lacks clauses that it cannot do without."""
    if bound is not None:
        advice = f"`{bound} = …` binds a name: write {list_words(forms)} in its place"
    else:
        advice = f"add {list_words(forms)}"
    return Text(f"{item} has no {' and no '.join(f'`{word}`' for word in words)}", help=advice)


@message(
    "W0607", bad=train_spec().replace("of Net on digits", "of Net on digit"), good=train_spec()
)
def no_such_item(
    span: Span | None,
    kind: str,  # "data set", "model"
    name: str,
    found: str,  # "the block `f`"; empty where nothing has this name
    known: tuple[str, ...],
    suggestion: str | None,
    owner: str = "the file",
) -> Text:
    """An item refers to another that does not exist, or is of another kind: `train f of MODEL on
    DATA`, `deploy TRAIN as onnx`."""
    return Text(
        f"{found} is not a {kind}" if found else f"there is no {kind} `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=f"{owner} has {list_words(known)}" if known else f"{owner} has no {kind}",
        absent=name,
    )


@message("W0608", bad=train_spec().replace(" on digits {", " {"), good=train_spec())
def reference_missing(span: Span | None, item: str, reason: str, form: str) -> Text:
    """A train needs data: `train f of MODEL on DATA`, or `train f on DATA` with its nets in the
    body."""
    return Text(f"{item} {reason}", help=f"write `{form}`")


@message(
    "W0609",
    bad=train_spec().replace("train fit of", "train fit(lr: float) of"),
    good=train_spec()
    .replace("train fit of", "train fit(lr: float = 1e-3) of")
    .replace("lr=1e-3", "lr=lr"),
)
def parameter_without_default(span: Span | None, item: str, name: str) -> Text:
    """A train or data item that a command runs takes its parameters from their defaults or from
    `--set`; this one has neither."""
    return Text(
        f"the parameter `{name}` of {item} has no value",
        help=f"give it a default, or a value for this run: `--set {name}=…`",
    )
