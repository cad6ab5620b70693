"""Messages about sweeps: what is searched, what for, and how."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, lint, message
from compiler.report.messages.items import SPEC
from compiler.report.messages.wording import list_words
from compiler.report.sessions import behind, change_fit, fit
from compiler.report.source import Span

_TRAIN = """\
    minimize cross_entropy(logits, label) with adamw(lr=lr, weight_decay=decay)
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 5"""


def sweep_spec(clauses: str, rest: str = "") -> str:
    """A whole spec with this sweep of a train that has two parameters."""
    spec = SPEC.format(body=_TRAIN).replace(
        "train fit of", "train fit(lr: float = 1e-3, decay: float = 0.0) of"
    )
    spec = spec.replace("val=20%", "val=10%, test=10%")
    return spec + f"sweep tune of fit {{ {clauses} }}\n{rest}"


USUAL = "lr in log_uniform(1e-4, 1e-1)  maximize val.accuracy  trials 10"


@message(
    "W1520", bad=sweep_spec(USUAL.replace("lr in", "learning_rate in")), good=sweep_spec(USUAL)
)
def no_such_parameter(
    span: Span | None, item: str, name: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """A sweep searches a parameter that its train or variant does not have. It sets parameters of
    this item alone; those of a model or a data item are reached where the item passes them on:
    `train fit(width: int = 16) of Net(width=width) on digits`."""
    listed = f"its parameters are {list_words(known)}" if known else "it has no parameters"
    return Text(
        f"`{item}` has no parameter `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=listed,
    )


@message(
    "W1521",
    bad=sweep_spec("lr in 1e-3  maximize val.accuracy  trials 10"),
    good=sweep_spec("lr in [1e-3, 1e-2]  maximize val.accuracy  trials 10"),
)
def bad_space(span: Span | None, parameter: str, expected: str) -> Text:
    """What stands behind `in` is nothing that can be searched.

    A space is a list of values, `[8, 16, 32]`; `uniform(a, b)` or `log_uniform(a, b)`, numbers from
    one end to the other; or `randint(a, b)` or `a..b`, whole numbers without the last."""
    return Text(
        f"`{parameter}` cannot be searched among these",
        label=expected,
        help=f"write `{parameter} in [8, 16, 32]` or `{parameter} in log_uniform(1e-4, 1e-1)`",
    )


@message(
    "W1522",
    bad=sweep_spec("lr in [1e-3, -1e-3]  maximize val.accuracy  trials 10"),
    good=sweep_spec("lr in [1e-3, 1e-2]  maximize val.accuracy  trials 10"),
)
def trial_refused(
    span: Span | None,
    item: str,  # "fit"
    values: tuple[str, ...],  # "lr=-0.001"
    code: str,
    reason: str,
) -> Text:
    """The train or variant does not accept a value that the sweep would try: it was elaborated with
    every value of a list and with both ends of a range, the other parameters at their defaults, and
    with the first values of all together. The error is the one of the item with that value."""
    return Text(f"`{item}` refuses {list_words(values)}", label=f"{code}: {reason}")


@message("W1523", bad=sweep_spec("maximize val.accuracy  trials 10"), good=sweep_spec(USUAL))
def nothing_searched(span: Span | None, name: str, item: str, known: tuple[str, ...]) -> Text:
    """A sweep searches no parameter, so that all of its trials would be the same."""
    form = f"write `{known[0]} in …`" if known else f"`{item}` has no parameters: declare them"
    return Text(f"the sweep `{name}` searches nothing", help=form)


@message(
    "W1524",
    bad=sweep_spec("lr in [1e-3, 1e-2]  maximize 0.5  trials 10"),
    good=sweep_spec("lr in [1e-3, 1e-2]  maximize val.accuracy  trials 10"),
)
def bad_goal(span: Span | None, expected: str, known: tuple[str, ...] = ()) -> Text:
    """`maximize` and `minimize` of a sweep, and `choose`, take one figure of a trial: a metric of
    the validation split (`val.accuracy`, `val.loss`), or a cost of its net: `params`, `flops`,
    `size`, `latency`, `memory`; of a variant `error` too. `choose` takes one of the goals."""
    return Text(
        "this is nothing that a trial is judged by",
        label=expected,
        help=f"there is {list_words(known)}" if known else None,
    )


@lint(
    "W1525",
    bad=sweep_spec(USUAL.replace("val.", "test.")),
    good=sweep_spec(USUAL),
)
def tunes_on_test(span: Span | None, figure: str, instead: str | None) -> Text:
    """A sweep chooses its settings by a figure of the test split. The best of many trials looks
    better on the rows that chose it than on any others, so that the test figures of what is
    deployed say too much. Choose by the validation split, and look at the test split once."""
    return Text(
        "this chooses settings by the test split",
        label=f"`{figure}` of the best trial is no estimate any more",
        help=f"write `{instead}`" if instead else "give the data a split `val`",
    )


@message(
    "W1526",
    bad=sweep_spec("lr in [1e-3, 1e-2]  minimize params  trials 10  pruner median"),
    good=sweep_spec("lr in [1e-3, 1e-2]  maximize val.accuracy  trials 10  pruner median"),
)
def pruner_unfit(span: Span | None, pruner: str, reason: str) -> Text:
    """A pruner gives up trials by what their goal is after each epoch: there must be one goal, a
    figure of the validation split, and trials must be trainings."""
    return Text(f"`{pruner}` cannot judge these trials", label=reason, help="leave `pruner` out")


@message(
    "W1527",
    bad=sweep_spec("lr in uniform(0.1, 0.2)  maximize val.accuracy  sampler grid"),
    good=sweep_spec("lr in [0.1, 0.2]  maximize val.accuracy  sampler grid"),
)
def sampler_unfit(span: Span | None, sampler: str, reason: str, advice: str) -> Text:
    """A sampler cannot draw from the spaces of the sweep. `grid` goes through lists, whole numbers
    and `uniform` with a `step`; `cmaes` takes numbers with an order, in every trial, and one goal;
    `tpe`, `random` and `nsga2` take everything."""
    return Text(f"`{sampler}` cannot search these values", label=reason, help=advice)


@message(
    "W1528",
    bad=sweep_spec(f"{USUAL}  minimize val.loss", "deploy tune as onnx"),
    good=sweep_spec(f"{USUAL}  minimize val.loss  choose val.accuracy", "deploy tune as onnx"),
)
def which_trial(span: Span | None, name: str, goals: tuple[str, ...]) -> Text:
    """A sweep with several goals ends with several trials of which none is better than another in
    all of them. What builds on it must know which one is meant: `choose` names the goal in which it
    is the best of these."""
    return Text(
        f"`{name}` has several goals, and no best trial",
        label=f"its goals are {list_words(goals)}",
        help=f"write `choose {goals[0]}` in the sweep `{name}`",
    )


@message(
    "W1535",
    bad=sweep_spec("lr in [1e-3, 1e-2]  lr in [0.1, 0.2]  maximize val.accuracy  trials 10"),
    good=sweep_spec("lr in [1e-3, 1e-2, 0.1, 0.2]  maximize val.accuracy  trials 10"),
)
def searched_twice(span: Span | None, parameter: str, first: Span | None) -> Text:
    """A parameter gets two values in one trial: two spaces, or a space and an argument of the
    reference. In the two branches of an `if` it may be searched among different values."""
    labels = (Label(first, "the first time"),) if first is not None else ()
    return Text(f"`{parameter}` gets a value twice", labels=labels, help="leave one of them out")


@lint(
    "W1536",
    bad=sweep_spec("lr in [1e-3, 1e-2]  minimize val.accuracy  trials 2"),
    good=sweep_spec("lr in [1e-3, 1e-2]  maximize val.accuracy  trials 2"),
)
def goal_against_metric(span: Span | None, figure: str, better: str, word: str) -> Text:
    """A sweep looks for the worst trial: it minimizes a figure of which a higher one is better, or
    maximizes a loss."""
    return Text(f"of `{figure}` a {better} one is better", help=f"write `{word} {figure}`")


@message(
    "W1537",
    bad=sweep_spec(f"if lr > 0.01 {{ decay in [0.0, 0.1] }}  {USUAL}"),
    good=sweep_spec(f"{USUAL}  if lr > 0.01 {{ decay in [0.0, 0.1] }}"),
)
def bad_condition(span: Span | None, expected: str) -> Text:
    """An `if` of a sweep asks for values of the trial so far: `if act == "elu" { … }`, with
    `== != < <= > >= in`, and `and`, `or`, `not`. The parameter stands to the left, and its space
    above the `if`."""
    return Text("a sweep cannot decide this", label=expected)


@message(
    "W1538",
    bad="model M {\n    input x: f32[n, 8]\n    w in [8, 16]\n    output y = x -> dense(8)\n}\n",
    good="model M(w: int = 8) {\n    input x: f32[n, 8]\n    output y = x -> dense(w)\n}\n",
)
def choice_outside(span: Span | None, name: str, place: str) -> Text:
    """`width in [8, 16]` stands in the body of a sweep alone: it searches a parameter of a train or
    variant. A loop over a list is `for width in [8, 16] { … }`."""
    return Text(f"`{name} in …` means nothing in {place}", help="it belongs into a `sweep`")


# --- runs ---------------------------------------------------------------------------------------


_SWEPT = (
    ("lr=0.1", "lr=lr"),
    ("train fit of", "train fit(lr: float = 0.1) of"),
    behind("sweep tune of fit { lr in [0.1, 0.3]  minimize val.loss  sampler grid }"),
)


@message(
    "W1529",
    console=fit(("[a, b]", "[a * 1e30, b * 1e30]"), *_SWEPT)
    + """\
$ weft sweep fit.weft -o out
""",
    mended=change_fit(*_SWEPT)
    + """\
$ weft sweep fit.weft -o out
""",
)
def no_trial_finished(span: Span | None, name: str, reasons: tuple[str, ...]) -> Text:
    """No trial of a sweep came to an end with figures that count: every training failed, or the
    contracts of all variants do not hold. The reasons stand beside the trials in `results.json` of
    the sweep."""
    return Text(
        f"no trial of the sweep `{name}` can be used",
        label="; ".join(reasons[:3]) + (f" and {len(reasons) - 3} more" if reasons[3:] else ""),
    )


@message("W1530")
def package_missing(span: Span | None, package: str) -> Text:
    """A sweep runs on Optuna, and `sampler cmaes` on the package `cmaes`, which Weft installs where
    it is asked to."""
    return Text(
        f"a sweep needs the package {package}", help="install it: `pip install 'weft[sweep]'`"
    )


@message(
    "W1531",
    console=(
        "$ cat net.weft\n"
        + sweep_spec(USUAL)
        + "$ weft sweep net.weft tune --storage nowhere://trials\n"
    ),
)
def storage_unusable(span: Span | None, storage: str, reason: str) -> Text:
    """The storage of a sweep's trials cannot be opened. `--storage` takes a URL of SQLAlchemy
    (`sqlite:///trials.db`, `postgresql://USER@HOST/NAME`), or `journal:FILE` for a file on a
    network; without it trials are in `trials/study.db` of the sweep's folder."""
    return Text(f"the storage {storage} cannot be used", label=reason)


@message(
    "W1532",
    console=(
        "$ cat net.weft\n"
        + sweep_spec(USUAL, "deploy tune as onnx\n")
        + "$ weft compile net.weft -o files\n"
    ),
)
def not_swept(span: Span | None, name: str, folder: str) -> Text:
    """Something is built on the best trial of a sweep, and the sweep has not run in this folder, or
    has changed since. `weft build` runs it, and so does `weft sweep`."""
    return Text(
        f"no trial of the sweep `{name}` has been chosen",
        label=f"there is none in {folder}",
        help="run `weft build`, or name the folder of one",
    )
