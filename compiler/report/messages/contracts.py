"""Messages about contracts: what was required and did not hold, or cannot."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.report.diagnostics import Label, Severity, Text, message
from compiler.report.messages.variants import variant_spec
from compiler.report.messages.wording import count
from compiler.report.sessions import behind, fit, tiny
from compiler.report.source import Span


@message(
    "W1170",
    console=tiny(
        "quantize(stored8)",
        "error <= 100%",
        "target cpu(threads=1), n=3",
        layer="conv(4, kernel=5) -> global_avg_pool -> dense(2)",
        input="f32[batch, 1, n, n]",
    )
    + """\
$ weft build net.weft -o out
""",
    mended=tiny(
        "quantize(stored8)",
        "error <= 100%",
        "target cpu(threads=1), n=8",
        layer="conv(4, kernel=5) -> global_avg_pool -> dense(2)",
        input="f32[batch, 1, n, n]",
    )
    + """\
$ weft build net.weft -o out
""",
)
def no_sizes_for_latency(span: Span | None, sizes: Mapping[str, int]) -> Text:
    """The net takes no input of the sizes that `target` gives, so that there is nothing to
    measure: a size that a pooling divides, or one beyond a table of positions."""
    fixed = ", ".join(f"{name}={size}" for name, size in sizes.items())
    return Text(
        f"the net takes no input at {fixed}" if fixed else "no input of the net was found",
        help="give its sizes: `target cpu(threads=2), batch=1, h=224, w=224`",
    )


@message(
    "W1171",
    bad=variant_spec("apply quantize(int8)  require size <= 2KiB"),
    good=variant_spec("apply quantize(int8)  require size <= 4KiB"),
)
def size_impossible(
    span: Span | None,
    required: str,  # "1.0 KiB"
    bound: str,
    reason: str,  # "4,816 parameters at 8 bits"
    place: Span | None = None,
) -> Text:
    """A file cannot be as small as the contract asks, whatever the passes find: the parameters
    that they must leave, in the fewest bits that they store, are larger. This is found before any
    work is done."""
    return Text(
        f"the file cannot have {required} or less",
        label=f"at least {bound}: {reason}",
        labels=(Label(place, "with these passes"),) if place is not None else (),
        help="store fewer bits, remove more, or require less",
    )


@message(
    "W1214",
    severity=Severity.WARNING,
    console=tiny("prune(weights=90%)", "size <= 8KiB")
    + """\
$ weft build net.weft -o out
""",
    mended=tiny("prune(weights=10%)", "size <= 8KiB")
    + """\
$ weft build net.weft -o out
""",
)
def large_output_error(span: Span | None, variant: str, of_spread: float) -> Text:
    """A variant holds its contract, and its outputs are far from those of the net before any pass:
    the root mean square of the difference is more than a fifth of their standard deviation over
    the rows. A metric that counts the largest score only does not see that; what reads the
    outputs themselves (probabilities, distances, another net) does. `require error <= …` bounds
    it, and then nothing is said here."""
    return Text(
        f"the outputs of `{variant}` differ by {of_spread:.0%} of their spread",
        label="holds its contract, which does not bound `error`",
        help="bound it: `require error <= 5%`; or compress less, or tune longer",
    )


@message(
    "W1392",
    severity=Severity.WARNING,
    console=tiny("quantize(stored8)", "size <= 8KiB", "target cpu(threads=5)")
    + """\
$ weft build net.weft -o out
""",
    mended=tiny("quantize(stored8)", "size <= 8KiB", "target cpu(threads=1)")
    + """\
$ weft build net.weft -o out
""",
)
def threads_beyond_cores(span: Span | None, threads: int, cores: int) -> Text:
    """`target` asks for more threads than the machine that builds has cores, so that they take
    turns: latency is then that of a crowded machine, and neither what a larger one would have nor
    what this one can do. Build on the machine that is meant, or ask for as many threads as it has
    cores."""
    return Text(
        f"latency is measured with {threads:,} threads on {count(cores, 'core')}",
        label="asks for more threads than this machine has cores",
        help=f"write `cpu(threads={cores})`, or build on the machine that is meant",
    )


@message(
    "W1219",
    bad=variant_spec("apply quantize(int8)  require params <= 2000"),
    good=variant_spec("apply quantize(int8)  require params <= 3000"),
)
def count_impossible(
    span: Span | None,
    figure: str,
    required: str,
    found: str,  # "at least 640"
) -> Text:
    """A contract bounds a figure below what any result of the passes has: fewer numbers in the
    weights than the groups of channels and the ranks leave, or no time at all."""
    return Text(
        f"no result of these passes has `{figure}` of {required} or less",
        label=f"it is {found}",
        help="remove more, or require less",
    )


@message(
    "W1172",
    console=tiny("quantize(stored8)", "error <= 0.01%")
    + """\
$ weft build net.weft -o out
""",
    mended=tiny("quantize(stored8)", "error <= 10%")
    + """\
$ weft build net.weft -o out
""",
)
def contract_failed(
    span: Span | None,
    variant: str,
    measured: str,  # "test.accuracy is 94.2%"
    missed: str,  # "1.8 points below 96%"
    binding: str = "",
    layers: tuple[str, ...] = (),  # the most sensitive ones, "conv (SQNR 18.2 dB)"
    nearest: str = "",
) -> Text:
    """The result of a variant does not hold what a `require` asks of it, so the build fails. The
    message says by how much, which layers cost most, and which settings hold as far as they were
    tried; report.md has every figure."""
    parts = [nearest or "no setting near this one holds, as far as it was tried"]
    if binding:
        parts.insert(0, binding)
    if layers:
        parts.append(f"the most sensitive layers are {', '.join(layers)}")
    return Text(
        f"the variant `{variant}` does not hold its contract",
        label=f"{measured}: {missed}",
        help="; ".join(parts),
    )


@message(
    "W1173",
    console=tiny("quantize(stored8)", "size <= 8KiB")
    + """\
$ weft compile net.weft -o out --item tiny
""",
    mended="""\
$ weft build net.weft -o output/net
$ weft compile net.weft -o out --item tiny --pytorch
""",
)
def variant_not_built(span: Span | None, name: str, folder: str) -> Text:
    """A variant exists once a build has run its passes; its net lies in the folder of the build.
    What has changed in the spec since then makes it be built anew."""
    return Text(
        f"the variant `{name}` is not built",
        label=f"{folder} has no such net, or one of another spec",
        help="run `weft build`",
    )


@message(
    "W1174",
    console=fit(
        (
            "-> relu -> dense(2) as head",
            "-> l2_normalize(axis=-1) as v\n    output pairs = y @ (y -> transpose(0, 1))",
        ),
        ("cross_entropy(y, label)", "mean(pairs)"),
        ("    metric accuracy = accuracy(y, label)\n", ""),
        behind(
            "variant tiny of fit {", "    apply prune(weights=50%)", "    require size <= 8KiB", "}"
        ),
    )
    + """\
$ weft build fit.weft -o out
""",
)
def rows_related(span: Span | None, net: str, output: str, type: str) -> Text:
    """A net compares the rows of a batch with each other, so that its outputs depend on which rows
    are together: scores of `[batch, batch]`, or an input that says which pairs count. Passes that
    judge, contracts and reports need figures of single rows.

    Let the net put out what belongs to a row (the vectors of both towers) and compare rows in the
    train, where the objective of a batch may.
    """
    return Text(
        f"`{output}` of `{net}` has no figures of single rows",
        label=f"`{output}` is {type}: every row is compared with the others of its batch",
        help="let the net put out what belongs to a row, and compare rows in the train",
    )


@message(
    "W1282",
    console=fit(
        (
            "of Net on table {",
            "on table {\n    net first = Net()\n    net m = Net()\n    y = m(first(x))",
        ),
        behind("deploy fit.m as onnx { dynamic batch }"),
    )
    + """\
$ cat save.py
import numpy as np
from safetensors.numpy import save_file

shapes = {"dense.weight": (8, 2), "dense.bias": 8, "head.weight": (2, 8), "head.bias": 2}
weights = {f"m.{path}": np.zeros(shape, "f4") for path, shape in shapes.items()}
save_file(weights, "m.safetensors")
$ python save.py
$ weft compile fit.weft -o out --weights m.safetensors --onnx --no-verify
$ weft eval fit.weft --onnx out/fit.m.onnx
""",
)
def input_needs_weights(span: Span | None, input: str, weight: str) -> Text:
    """A file is measured on the rows of a train's data, and the train gives its net what other
    nets compute of them; their weights are not there.

    `weft build` keeps the weights of every net of a train in its folder, next to the files.
    """
    return Text(
        f"the input `{input}` cannot be computed",
        label=f"another net of the train makes it, and there is no `{weight}`",
        help="run `weft build` first, which keeps the weights of all nets",
    )
