"""Messages about variant items: passes, the target, and what a `require` may say."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, lint, message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


def variant_spec(clauses: str, rest: str = "") -> str:
    """A whole spec with this variant, of a net with a hidden layer."""
    spec = train_spec("metric accuracy = accuracy(logits, label)")
    spec = spec.replace("-> dense(10)", "-> dense(32) as hidden -> relu -> dense(10)")
    return spec + f"variant tiny of fit {{ {clauses} }}\n{rest}"


@message(
    "W0650",
    bad=variant_spec('apply quantize(int8, except=["head"])'),
    good=variant_spec('apply quantize(int8, except=["dense"])'),
)
def no_such_layer(
    span: Span | None, pattern: str, layers: tuple[str, ...], suggestion: str | None
) -> Text:
    """A pattern of `only=` or `except=` names no layer of the net, so that the pass would touch
    other layers than was meant. `weft show` lists the paths of layers; `*` stands for any text,
    and a path without `*` means everything below it."""
    return Text(
        f'no layer matches "{pattern}"',
        label=f'did you mean "{suggestion}"?' if suggestion else "",
        help=f"the layers are {list_words(layers)}" if layers else None,
    )


@message(
    "W0651", bad=variant_spec("require sise <= 24KiB"), good=variant_spec("require size <= 24KiB")
)
def no_such_figure(
    span: Span | None, word: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """A `require` names a figure that does not exist. There are `size`, `params`, `flops`,
    `latency`, `memory` and `error`, metrics of a split (`test.accuracy`), and all of these of
    another train or variant (`fit.latency`, `fit.test.accuracy`)."""
    return Text(
        f"there is no figure `{word}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=f"there is {list_words(known)}",
    )


@message(
    "W0652", bad=variant_spec("require size <= 5ms"), good=variant_spec("require size <= 50KiB")
)
def kinds_differ(
    span: Span | None,
    left: str,  # "`size` is a number of bytes"
    right: str,
    advice: str = "",
) -> Text:
    """Two numbers of different kinds are compared, added or subtracted: bytes with seconds, or a
    size with a number that has no unit."""
    return Text("these numbers cannot be compared", label=f"{left}, {right}", help=advice or None)


@message(
    "W0653",
    bad=variant_spec("require size <= 0.5 * tiny.size"),
    good=variant_spec("require size <= 0.5 * fit.size"),
)
def contract_about_itself(
    span: Span | None,
    name: str,
    around: tuple[str, ...] = (),  # the variants that the circle goes through
) -> Text:
    """A `require` is held against the variant itself, directly or through another variant: it
    would say nothing."""
    if around:
        title = f"the contracts of {list_words((name, *around))} go in a circle"
    else:
        title = f"the contract of `{name}` refers to itself"
    return Text(title, help="hold it against a train, or against a number")


@message(
    "W0654", bad=variant_spec("require size == 24KiB"), good=variant_spec("require size <= 24KiB")
)
def bad_require(span: Span | None, expected: str) -> Text:
    """`require` takes comparisons of figures with numbers or with figures of others, joined by
    `and`: `require latency <= 0.5 * fit.latency and size <= 24KiB`."""
    return Text(
        "this is nothing that can be required",
        label=expected,
        help="write `require size <= 24KiB`, with one of <= < >= >",
    )


@message(
    "W0655",
    bad=(
        train_spec()
        + "net loaded = Net()\nvariant tiny of loaded { require test.accuracy >= 1% }\n"
    ),
    good=train_spec() + "net loaded = Net()\nvariant tiny of loaded { require error <= 5% }\n",
)
def no_metrics_here(span: Span | None, owner: str) -> Text:
    """A metric is required of a net that no train of the file has trained: there is no data to
    compute it on. `size`, `params`, `flops`, `latency`, `memory` and `error` need none."""
    return Text(
        f"`{owner}` has no metrics", label="it was not trained here, so there is no data for it"
    )


@message(
    "W0656",
    bad=variant_spec("target cpu(threads=1), batch=0"),
    good=variant_spec("target cpu(threads=1), batch=1"),
)
def target_size(span: Span | None, dim: str, found: str) -> Text:
    """A size at which latency is measured is not a whole number above 0. Sizes that `target` leaves
    out are the first that verification tries: 1 for the batch."""
    return Text(f"`{dim}` must be a whole number above 0", label=f"is {found}")


@message(
    "W0657",
    bad=variant_spec("apply quantize(int8) -> prune(channels=50%)"),
    good=variant_spec("apply prune(channels=50%) -> quantize(int8)"),
)
def pass_too_late(
    span: Span | None,
    name: str,
    quantized: str,
    behind: Span | None,
    *,
    again: bool = False,  # whether it is a second quantization
) -> Text:
    """A pass that works on weights in floats comes after one that leaves none.

    Pruning, factoring and searching measure and cut weights as they were trained. Once `quantize`
    has put them into few bits there is nothing for them to work on. Quantize last; `finetune` and
    `distill` may follow and train the net with the rounding that it will have. A second
    quantization finds work only where the first leaves layers out.
    """
    if again:
        advice = "leave one of them out, or divide the layers between them by `only=` and `except=`"
    else:
        advice = f"quantize last: `{name}(…) -> {quantized}`"
    return Text(
        f"`{name}` comes after `{quantized}`",
        label="finds no weight left to quantize" if again else "works on weights in floats",
        labels=(Label(behind, "leaves none of them"),) if behind is not None else (),
        help=advice,
    )


@message(
    "W0658",
    bad=variant_spec("require val.accuracy >= 97"),
    good=variant_spec("require val.accuracy >= 97%"),
)
def beyond_best(
    span: Span | None,
    figure: str,
    limit: str,  # "is 1 at best"
    advice: str = "",
) -> Text:
    """A metric is required to be better than that of a perfect net.

    Shares of right answers are numbers from 0 to 1: write `97%` or `0.97`, not `97`. Errors such as
    `mse` and `mae` are never below 0.
    """
    return Text("no net can hold this", label=f"`{figure}` {limit}", help=advice or None)


@lint(
    "W1388",
    bad=variant_spec("require val.accuracy <= 97"),
    good=variant_spec("require val.accuracy >= 97%"),
)
def held_by_all(
    span: Span | None,
    figure: str,
    limit: str,  # "is never above 1"
    advice: str = "",
) -> Text:
    """A requirement holds of every net, whatever its passes do: an accuracy of at least 0, a size
    of at least 0 bytes. It says nothing, so something else was meant."""
    return Text(
        "every net holds this",
        label=f"`{figure}` {limit}",
        help=advice or "leave it out, or require what a net can miss",
    )


@lint(
    "W1389",
    bad=variant_spec("require size >= 24KiB"),
    good=variant_spec("require size <= 24KiB"),
)
def worse_required(
    span: Span | None,
    figure: str,
    better: str,  # "lower"
    turned: str,  # "<="
) -> Text:
    """A figure is bounded on the side where it is better: a size from below, an accuracy from
    above. A net that is better than the bound would fail the contract, which is hardly meant."""
    return Text(
        "a better net would not hold this",
        label=f"the {better} `{figure}` is the better one",
        help=f"did you mean `{figure} {turned} …`?",
    )
