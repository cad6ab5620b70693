"""Messages about nets that are too large to run here: refused before memory is asked for."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.sessions import change_fit, fit
from compiler.report.source import Span
from compiler.types.units import format_size


@message(
    "W1336",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, 4]
    output y = x -> dense(10**15)
}
$ weft compile net.weft -o out
""",
    mended="""\
$ weft compile net.weft -o out --pytorch
""",
)
def weights_too_large(
    span: Span | None,
    net: str,
    needed: int,
    available: int,
    path: str,  # of the largest weight
    type: str,
    largest: int,
) -> Text:
    """The weights of a net need more memory than there is.

    What is free is what the machine has left, or what a container (a control group) or `ulimit`
    leaves to Weft. Nothing has been made yet. `weft check` and `weft show` take nets of any size,
    and `weft compile --pytorch` writes their code.
    """
    return Text(
        f"the weights of `{net}` need {_compare(needed, available)}",
        label=f"`{path}` is {type}: {format_size(largest)}",
        help="make the layer smaller, or run this on a machine with more memory",
    )


@message(
    "W1337",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, 10**8]
    output y = x[:, :, none] * x[:, none]
}
$ weft compile net.weft -o out
""",
    mended="""\
$ weft compile net.weft -o out --pytorch
""",
)
def values_too_large(
    span: Span | None,
    net: str,
    needed: int,
    available: int,
    sizes: str,  # "batch=1"; empty where all are known
    type: str,  # of the largest tensor
    largest: int,
) -> Text:
    """Running a net, to verify or to measure it, needs more memory than there is.

    Verification runs the smallest sizes of the inputs that are possible, or those of `fix`;
    latency is measured at the sizes of `target`. With `--no-verify`, `weft compile` writes a file
    without running it here.
    """
    place = f" at {sizes}" if sizes else ""
    return Text(
        f"running `{net}`{place} needs {_compare(needed, available)}",
        label=f"{type} takes {format_size(largest)}",
        help="make the tensor smaller: by its layer, or by the sizes in `fix` and `target`",
    )


@message(
    "W1341",
    console=fit(
        ("[a, b])", "[a, b])\n    wide = one_hot(b, 10**12, dtype=f32)"),
        ("cross_entropy(y, label)", "cross_entropy(y, label) + mean(wide)"),
    )
    + """\
$ weft check fit.weft --data
""",
    mended=change_fit(
        ("[a, b])", "[a, b])\n    wide = one_hot(b, 3, dtype=f32)"),
        ("cross_entropy(y, label)", "cross_entropy(y, label) + mean(wide)"),
    )
    + """\
$ weft check fit.weft --data
""",
)
def data_too_large(
    span: Span | None,
    what: str,  # "the images of `photos`", "the columns of `d`"
    needed: int,
    available: int,
    type: str,  # of the largest tensor
    largest: int,
) -> Text:
    """The rows of a data item, or what is computed of them, need more memory than there is. All
    rows are held at once: images at the size that `size=` gives them, one byte for each number,
    and columns that are computed of them with four."""
    return Text(
        f"{what} need {_compare(needed, available)}",
        label=f"{type} takes {format_size(largest)}",
        help="make rows smaller (`size=[64, 64]` of images), or give fewer of them",
    )


@message(
    "W1338",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, 4]
    s = zeros([4])
    scan i in 0..10**12 { s = s + 1.0 }
    output y = x + s
}
$ weft compile net.weft -o out
""",
    mended="""\
$ weft compile net.weft -o out --pytorch
""",
)
def too_much_work(span: Span | None, net: str, sizes: str, work: int, most: int, unit: str) -> Text:
    """Running a net, to verify or to measure it, would take hours.

    Verification runs the meaning of a net in NumPy some ten times. With `--no-verify`, `weft
    compile` writes a file without running it here.
    """
    place = f" at {sizes}" if sizes else ""
    return Text(
        f"running `{net}`{place} takes {work:.3g} {unit}",
        label=f"this takes most of it; what is run here takes {most:.0e} at most",
        help="make it smaller: by its layer, or by the sizes in `fix` and `target`",
    )


def _compare(needed: int, available: int) -> str:
    return f"{format_size(needed)} of memory, and {format_size(available)} is free"
