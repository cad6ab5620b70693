"""Messages about train items: objective, parameter groups, settings, early stopping."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import COLUMNS, SHOWN, count, list_words
from compiler.report.sessions import change_fit, fit
from compiler.report.source import Span


@message(
    "W0610",
    bad=train_spec()
    .replace("input image", "input picture")
    .replace("logits = image", "logits = picture"),
    good=train_spec(),
)
def input_without_column(
    span: Span | None,
    model: str,
    input: str,
    data: str,
    columns: tuple[str, ...],
    suggestion: str | None,
    declared: Span,
) -> Text:
    """`train f of M on d` gives every input of the model the column of the same name, and the
    data has none of this name. Name another column in the reference: `of M(image=pixels)`."""
    column = suggestion or (columns[0] if columns else "column")
    return Text(
        f"no column for the input `{input}` of `{model}`",
        label=f"`{data}` has {list_words(columns, COLUMNS)}",
        labels=(Label(declared, "the input is declared here"),),
        help=f"name the column: `of {model}({input}={column})`",
    )


@message(
    "W0611",
    bad=train_spec(minimize="cross_entropy(label, label) with adamw(lr=1e-3)").replace(
        "output logits", "output label"
    ),
    good=train_spec(),
)
def name_clash(span: Span | None, name: str, model: str, data: str, declared: Span) -> Text:
    """In `train f of M on d` columns and outputs of the model are names of the same body, and two
    of them are called alike. Give the column or the output another name, or write the net in the
    body: `net m = M()`, `y = m(x)`."""
    return Text(
        f"`{name}` is an output of `{model}` and a column of `{data}`",
        labels=(Label(declared, "the output is declared here"),),
        help=f"rename one, or write the net in the body: `net m = {model}()`, `scores = m(…)`",
    )


@message(
    "W0612",
    bad=train_spec(minimize="(logits - 1) ** 2 with adamw(lr=1e-3)"),
    good=train_spec(minimize="mean((logits - 1) ** 2) with adamw(lr=1e-3)"),
)
def loss_is_not_a_number(span: Span | None, found: str, advice: str = "") -> Text:
    """What is minimised must be one number for the batch: an f32 tensor without axes. Losses take
    the mean over the batch by themselves; of anything else take `mean(…)` or `sum(…)`."""
    return Text("the objective is not one number", label=f"this is {found}", help=advice or None)


@message("W0613", bad=train_spec(minimize="cross_entropy(logits, label)"), good=train_spec())
def no_optimizer(span: Span | None) -> Text:
    """`minimize` says what, `with` says how: an optimizer and its learning rate."""
    return Text(
        "`minimize` has no optimizer", help="write `with adamw(lr=1e-3)` behind the objective"
    )


@message(
    "W0614",
    bad=train_spec(minimize="cross_entropy(logits, label) with adam_w(lr=1e-3)"),
    good=train_spec(),
)
def unknown_word(
    span: Span | None,
    kind: str,  # "optimizer", "data source"
    word: str,
    known: tuple[str, ...],
    suggestion: str | None,
    hint: str | None = None,
) -> Text:
    """No optimizer, schedule, data source, way of splitting or setting has this name; `weft ops`
    lists them."""
    if hint is None and known and (suggestion is None or len(known) <= SHOWN):
        hint = f"there is {list_words(known, 'weft ops')}"
    return Text(
        f"unknown {kind} `{word}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=hint,
    )


@message(
    "W0615",
    bad=train_spec(
        minimize="mean(image) with adamw(lr=1e-3)",
    ),
    good=train_spec(),
)
def nothing_trained(span: Span | None, reason: str) -> Text:
    """The objective depends on no weight that is trained: no net is applied, its outputs do not
    reach the loss, or everything is frozen."""
    return Text("the objective trains nothing", label=reason)


@message("W0616", bad=train_spec('freeze "stem.*"'), good=train_spec('freeze "dense.bias"'))
def pattern_matches_nothing(
    span: Span | None,
    pattern: str,
    paths: tuple[str, ...],
    suggestion: str | None,
    what: str = "parameter",
) -> Text:
    """A pattern of parameter paths names no parameter, or one of `checkpoint_activations` no block
    or layer. `weft show` lists the paths; `*` stands for any text, and a path without `*` means
    everything below it."""
    return Text(
        f'no {what} matches "{pattern}"',
        label=f'did you mean "{suggestion}"?' if suggestion else "",
        help=f"there are {list_words(paths)}" if paths else f"there is no {what}",
    )


@message(
    "W0617",
    bad=train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "dense.*" '
        'with adamw(lr=1e-3) over "*.bias"'
    ),
    good=train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "dense.weight" '
        'with adamw(lr=1e-3) over "*.bias"'
    ),
)
def claimed_twice(span: Span | None, path: str, first: Span) -> Text:
    """Two groups of `minimize` claim the same parameter; it can follow one optimizer only."""
    return Text(
        f"two groups claim `{path}`",
        label="claimed again here",
        labels=(Label(first, "first claimed here"),),
    )


@message(
    "W0618",
    bad=train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "dense.*" with adamw(lr=1e-3)'
    ),
    good=train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "*.bias" with adamw(lr=1e-3)'
    ),
)
def group_is_empty(span: Span | None) -> Text:
    """Nothing is left for this optimizer: other groups claim every parameter that is trained, or
    those that its patterns name are frozen."""
    return Text(
        "this optimizer has no parameters",
        label="the other groups claim all of them, or they are frozen",
    )


@message(
    "W1201",
    bad=train_spec(minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "*.bias"'),
    good=train_spec(
        'freeze "*.weight"', minimize='cross_entropy(logits, label) with sgd(lr=0.1) over "*.bias"'
    ),
)
def no_group_holds(span: Span | None, paths: tuple[str, ...]) -> Text:
    """Every optimizer is limited by `over`, and parameters are left that none of them holds: they
    would never change, without having been frozen."""
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return Text(
        f"no optimizer holds `{paths[0]}`{others}",
        label="this is the last group, and it is limited too",
        help="add a `with` without `over`, which takes the rest, or `freeze` what is to stay",
    )


@message(
    "W1439",
    bad=train_spec(
        minimize='cross_entropy(logits, label) with lbfgs() over "*.weight" with adamw(lr=1e-3)'
    ),
    good=train_spec(minimize="cross_entropy(logits, label) with lbfgs()"),
)
def optimizer_takes_all(span: Span | None, optimizer: str, reason: str) -> Text:
    """A step of `lbfgs` evaluates the loss of its batch several times, each time after a move of
    the parameters: there is no other optimizer beside it, and no scaling of the loss, as the
    precision f16 needs it."""
    return Text(
        f"`{optimizer}` takes all parameters, in full precision",
        label=reason,
        help=f"write `minimize … with {optimizer}()` alone, or choose another optimizer",
    )


@message(
    "W1438",
    bad=train_spec(
        minimize='cross_entropy(logits, label) with sgd(lr=0.1, schedule=plateau("loss"))'
    ),
    good=train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, schedule=plateau(val.loss))"
    ),
)
def not_a_figure(span: Span | None) -> Text:
    """A setting names a figure that a training measures after every epoch: a split and a metric of
    the train, or its loss."""
    return Text(
        "this is not a figure of a split",
        label="a split and a metric belong here",
        help="write `val.loss`, or `val.accuracy` with a metric of this train",
    )


@message(
    "W1473",
    bad=train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, schedule=sqrt(step) * logits)"
    ),
    good=train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, schedule=1 / sqrt(step + 1))"
    ),
)
def not_in_a_formula(
    span: Span | None,
    found: str,  # "a tensor f32[batch, 10]"
) -> Text:
    """A schedule may be a formula: what the learning rate is multiplied with at every step. It
    computes with numbers that are known when the training starts, and with `step`, `epoch` and
    `steps`, the steps of the whole training; never with what the net puts out."""
    return Text(
        "the formula of a schedule cannot compute with this",
        label=f"this is {found}",
        help="it is made of numbers, `step`, `epoch`, `steps`, parameters of the train, "
        "`+ - * / // % **`, comparisons, `if … then … else`, and abs, ceil, cos, exp, floor, log, "
        "log2, max, min, round, sin, sqrt",
    )


_OWN_STEPS = "cross_entropy(logits, label) with sgd(lr=0.1, schedule=1 - step / {})"


@message(
    "W1474",
    bad="let steps = 2000\n" + train_spec(minimize=_OWN_STEPS.format("steps")),
    good="let ramp = 2000\n" + train_spec(minimize=_OWN_STEPS.format("max(ramp, steps)")),
)
def two_meanings_in_a_formula(
    span: Span | None,
    name: str,
    meaning: str,  # "the epoch, from 0"
    place: Label | None,
) -> Text:
    """In the formula of a schedule `step`, `epoch` and `steps` are the training's. Where a
    parameter, a `let` or a column has one of these names too, the word means two things."""
    return Text(
        f"`{name}` means two things here",
        label=f"in a formula `{name}` is {meaning}",
        labels=() if place is None else (place,),
        help=f"give the other `{name}` another name",
    )


@message(
    "W1475",
    bad=train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, schedule=1 - epoch / 5)"
    ),
    good=train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, schedule=max(0.1, 1 - epoch / 5))"
    ),
)
def schedule_below_zero(
    span: Span | None,
    factor: float,
    place: str,  # "epoch 12", "step 1,200"
    training: str,  # "the 20 epochs of `fit`"
    formula: Span | None = None,
) -> Text:
    """The formula of a schedule gives a learning rate below zero, or none, at some step of a
    training. Steps and epochs count from 0. `finetune` and `distill` follow the schedule of their
    train over epochs of their own."""
    return Text(
        f"the schedule gives the factor {factor:.4g} at {place}",
        label=f"one of {training}: a factor is finite, 0 or above",
        labels=() if formula is None else (Label(formula, "the schedule is written here"),),
        help="keep it there, as with `max(0, …)`, or train for fewer epochs",
    )


@message(
    "W0619",
    bad=train_spec("metric top = accuracy(logits, label)", "until val.top >= 99%"),
    good=train_spec("metric top = accuracy(logits, label)", "until stalled(val.top, epochs=8)"),
)
def bad_until(span: Span | None, expected: str) -> Text:
    """`until` stops a training early, by a figure of a split: `until stalled(val.accuracy,
    epochs=8)` stops when it has not improved for that many epochs."""
    return Text(
        "this cannot end a training",
        label=expected,
        help="write `until stalled(val.loss, epochs=8)`, with a metric of this train or `loss`",
    )


@message(
    "W0620",
    bad=train_spec("until stalled(val.accuracy, epochs=8)"),
    good=train_spec("until stalled(val.loss, epochs=8)"),
)
def unknown_figure(
    span: Span | None,
    kind: str,  # "split" or "metric"
    word: str,
    known: tuple[str, ...],
    suggestion: str | None,
    # What was asked for of it, as it is written where it is a figure of a whole net.
    figure: str = "",
) -> Text:
    """A figure is named that this train does not have: a split that the data is not divided into,
    or a metric that is not declared.

    Figures of splits are `test.accuracy`, and `fit.test.accuracy` of the train's net before any
    pass. What is no figure of rows, `size` or `latency`, stands behind the train alone: `fit.size`
    is that of the net that the variant is made of, also where the train has several nets.
    """
    if figure:
        advice = f"`{figure}` is that of the net before any pass, of no split"
    else:
        advice = f"it has {list_words(known)}"
    return Text(
        f"this train has no {kind} `{word}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=advice,
    )


@message(
    "W0621",
    bad=train_spec(minimize="cross_entropy(scores, label) with adamw(lr=1e-3)").replace(
        "train fit of Net on digits {",
        "train fit on digits {\n    net head = dense(10)\n    scores = flatten(image) -> head",
    ),
    good=train_spec(),
)
def net_is_not_a_model(span: Span | None, name: str, found: str) -> Text:
    """A net that is trained is a model: it has named inputs, so that it can be stored, deployed
    and shown by itself."""
    return Text(
        f"the net `{name}` is not a model",
        label=f"this is {found}",
        help="put it into a model: `model Head() { input x: f32[batch, 64]  output y = … }`",
    )


@message(
    "W0622",
    bad=train_spec("metric loss = accuracy(logits, label)"),
    good=train_spec("metric accuracy = accuracy(logits, label)"),
)
def reserved_figure(span: Span | None, name: str, first: Span | None = None) -> Text:
    """A metric takes a name that means something else already: `loss` is the objective."""
    if first is not None:
        title = f"two metrics are called `{name}`"
    else:
        title = f"no metric can be called `{name}`"
    return Text(
        title,
        label="" if first is not None else "this is the objective",
        labels=() if first is None else (Label(first, "the first one"),),
    )


@message("W0623", bad=train_spec().replace("dense(10)", "dense(9)"), good=train_spec())
def too_few_classes(
    span: Span | None,
    column: str,
    categories: int,
    taken: int,
    reader: str,  # "cross_entropy", "embedding"
    places: tuple[Label, ...] = (),
) -> Text:
    """A column has more categories than what reads it takes: a loss with fewer scores, or an
    embedding with fewer entries. `NAME.classes` and `NAME.vocab` are the right numbers."""
    return Text(
        f"`{column}` has {categories} categories, and `{reader}` takes fewer",
        label=f"takes {taken}",
        labels=places,
        help=f"there must be {categories}, one for each category",
    )


@message(
    "W1361",
    bad=train_spec(sizes="batch 1  epochs 10").replace("dense(10)", "batch_norm -> dense(10)"),
    good=train_spec().replace("dense(10)", "batch_norm -> dense(10)"),
)
def one_value_per_channel(span: Span | None, op: str, found: str, rows: int) -> Text:
    """A batch norm subtracts the mean of each channel over the batch and divides by the deviation.
    Of a single value both say nothing: every row would become 0. That is so where a batch has one
    row, because of `batch 1` or of a training split with one row, and the channel has no other
    axes."""
    return Text(
        f"`{op}` has one value for each channel in a batch of {count(rows, 'row')}",
        label=f"takes the deviation of {found} over the batch",
        help="train with more rows in a batch, or use `layer_norm` or `group_norm`",
    )


@message(
    "W1343",
    bad=train_spec().replace("image = image / 16", "image = ones([8, 8])\n    label = tensor(0)"),
    good=train_spec(),
)
def nothing_read(span: Span | None, name: str, columns: tuple[str, ...]) -> Text:
    """A train reads no column of its data's source: what it computes is the same for every row, so
    that no row says anything about it."""
    return Text(
        f"the train `{name}` reads no column of its data",
        label="every row is the same to it",
        help=f"its source has {list_words(columns, COLUMNS)}",
    )


@message(
    "W1200",
    bad=train_spec(
        minimize="cross_entropy(logits, label)\n        with adamw(lr=1e-2, weight_decay=5%)\n"
        '        over "*.bias" with adamw(lr=1e-2)'
    ),
    good=train_spec(
        minimize="cross_entropy(logits, label)\n        with adamw(lr=1e-2, weight_decay=5%)\n"
        '        with adamw(lr=1e-2) over "*.bias"'
    ),
)
def detached_group(
    span: Span | None,
    optimizer: str,  # "with adamw(lr=1e-2)"
    patterns: str,  # 'over "*.bias"'
) -> Text:
    """`over` limits the optimizer of the `with` before it. At the beginning of a line it looks as
    if it began a group of its own with the `with` behind it, which would be the reverse: so a group
    is on one line, `with OPTIMIZER over PATTERNS`."""
    return Text(
        "`over` begins a line behind a `with`",
        label=f"this would limit `{optimizer}`, the line above",
        help=(
            f"write `{optimizer} {patterns}` on one line if that is meant, or put "
            f"`{patterns}` behind the optimizer that it is for"
        ),
    )


@message(
    "W1422",
    console=fit(
        ("cross_entropy(y, label)", "mse(y, stack([a, b]))"),
        ("batch 4", "batch 3"),
        ("    metric accuracy = accuracy(y, label)\n", ""),
    )
    + """\
$ weft check fit.weft
""",
    mended=change_fit(
        ("cross_entropy(y, label)", "mse(y, stack([a, b], axis=1))"),
        ("batch 4", "batch 3"),
        ("    metric accuracy = accuracy(y, label)\n", ""),
    )
    + """\
$ weft check fit.weft
""",
)
def batch_impossible(span: Span | None, needed: str, batch: int) -> Text:
    """Something in a train fits together for another number of rows only than its batches have.

    The first axis of all columns in a train is that of the rows, `batch`. Where a tensor has lost
    it, or has it elsewhere, its shape agrees with those of others by chance or not at all:
    `stack([price])` of a column `[batch]` is `[1, batch]`.
    """
    return Text(
        f"this does not fit batches of {count(batch, 'row')}",
        label=f"holds where {needed} only",
        help="keep the axis of the rows first: `stack([a, b], axis=1)`, `x[:, 0]`",
    )


@message(
    "W1423",
    bad=train_spec(minimize="cross_entropy(logits, label) with muon(lr=0.02)"),
    good=train_spec(
        minimize='cross_entropy(logits, label) with muon(lr=0.02) over "*.weight" with adamw'
    ),
)
def parameters_of_other_rank(
    span: Span | None, optimizer: str, rank: int, paths: tuple[str, ...]
) -> Text:
    """An optimizer takes parameters with a certain number of axes only: `muon` makes matrices
    orthogonal, and a bias, the scale of a norm or the kernel of a convolution is none. Give it its
    weights by `over`, and the rest to another optimizer."""
    groups = f'with {optimizer}(…) over "head.weight" with adamw'
    return Text(
        f"`{optimizer}` takes parameters of {rank} axes only",
        label=f"{list_words(paths)} {'has' if len(paths) == 1 else 'have'} others",
        help=f"name the weights that it takes: `{groups}`",
    )
