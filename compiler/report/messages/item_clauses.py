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


_BORN_AGAIN = (
    "model Net() {\n    input image: f32[batch, 8, 8]\n"
    "    output logits = image -> flatten -> dense(10)\n}\n"
    'data digits {\n    source sklearn("digits")\n    split random(seed=0), train=80%, val=20%\n}\n'
    "train fit(k: int = 2) on digits {\n    net m = if k > 0 then fit(k=k - 1) else Net()\n"
    "    minimize cross_entropy(m(image / 16), label) with sgd(lr=0.1)\n"
    "    batch 32  epochs 1\n}\n"
)


@message("W1540", bad=_BORN_AGAIN.replace("k > 0", "k > -1_000_000"), good=_BORN_AGAIN)
def endless_trains(span: Span | None, name: str, limit: int) -> Text:
    """A train starts from the net of another one, and this from that of the next: each call with
    other arguments is a train of its own, and there is no last one.

    `fit(k=k - 1)` inside of `train fit(k: int)` needs a condition under which it starts from fresh
    weights.
    """
    return Text(
        f"the train `{name}` starts from more than {limit} others, one behind the other",
        help="let the first one start from fresh weights: `if k > 0 then fit(k=k - 1) else Net()`",
    )


_OF_A_SIZE = _BORN_AGAIN + (
    "model Twice(size: int = 1) {\n    input image: f32[batch, 8, 8]\n    net m = fit(k=size)\n"
    "    output logits = m(image)\n}\n"
)


@message("W1541", bad=_OF_A_SIZE.replace("k=size)", "k=batch)"), good=_OF_A_SIZE)
def argument_not_settled(span: Span | None, train: str, name: str, found: str) -> Text:
    """A train with arguments, `member(k=0)`, runs before the net that it is a part of, so its
    arguments are known when compiling. A size such as `batch` is known only when that net runs."""
    return Text(
        f"`{name}` of the train `{train}` is not known when compiling",
        label=f"this is {found}",
        help="give it a number, or a parameter of the item around it",
    )
