"""Messages about how a training computes what it does: compiled nets, results computed again."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.items import train_spec
from compiler.report.sessions import FIT, fit
from compiler.report.source import Span

PENALTY = "mean(grad(sum(logits), image) ** 2)"
NORMED = train_spec('checkpoint_activations "HERE"').replace(
    "dense(10)", "dense(16, bias=false) as hidden -> batch_norm as norm -> relu -> dense(10)"
)


@message("W1576")
def compiler_missing(span: Span | None, reason: str) -> Text:
    """`compile true` makes PyTorch write code for the machine at hand, and compile it: on a CPU
    with a C++ compiler, on a GPU with Triton. There is none, or it does not work.

    `g++` (or `clang++`) comes with the system's development tools, and the environment variable
    `CXX` names another one; Triton comes with PyTorch for CUDA on Linux.
    """
    return Text(
        "PyTorch cannot compile the net here",
        label=reason,
        help="install a C++ compiler (on a GPU: Triton), or leave `compile true` out",
    )


@message(
    "W1577",
    bad=train_spec("compile true", minimize=f"{PENALTY} with adam(lr=1e-3)"),
    good=train_spec("compile false", minimize=f"{PENALTY} with adam(lr=1e-3)"),
)
def compiled_twice_differentiated(span: Span | None, op: str) -> Text:
    """An objective with a derivative in it, as a gradient penalty, is differentiated once more by
    the training; PyTorch compiles nets for one derivative alone."""
    return Text(
        "a compiled net has no second derivative",
        label=f"`{op}` is differentiated again by the training",
        help="leave `compile true` out",
    )


@message(
    "W1578",
    bad=NORMED.replace("HERE", "norm"),
    good=NORMED.replace("HERE", "hidden"),
)
def norm_recomputed(span: Span | None, block: str, op: str, norm: Span | None) -> Text:
    """A block that is computed again for the backward pass may not change anything on the way: a
    batch norm in it would move its running statistics twice a step, and the training would be
    another one."""
    return Text(
        f"`{block}` has a `{op}`, and cannot be computed twice a step",
        label="its running statistics would move twice",
        labels=(Label(norm, "here"),) if norm is not None else (),
        help="name blocks without one, or use a norm without running statistics (`group_norm`)",
    )


@message("W1579")
def logger_missing(span: Span | None, package: str, install: str) -> Text:
    """`log` tells a tracker of experiments of every epoch, by its own library, which the script
    imports first of all: nothing was trained without it. Weft installs none of them by itself."""
    return Text(
        f"`log` needs the Python package `{package}`",
        label="it is not installed",
        help=f"`pip install {install}`, or leave the clause out: metrics.jsonl has all figures",
    )


@message(
    "W1580",
    console=FIT
    + """\
$ weft lr-find fit.weft -o out --from 1 --to 0.1
""",
    mended="""\
$ weft lr-find fit.weft -o out --from 1e-3 --to 1 --steps 20
""",
)
def rates_do_not_grow(span: Span | None, least: float, most: float) -> Text:
    """A search for a learning rate goes from a low one, `--from`, to a high one, `--to`."""
    return Text(
        f"the learning rate does not grow from {least:g} to {most:g}",
        help="give `--from` a number above 0, and `--to` a larger one: `--from 1e-6 --to 1`",
    )


@message(
    "W1581",
    console=fit(("sgd(lr=0.1)", "lbfgs()"))
    + """\
$ weft lr-find fit.weft -o out
""",
)
def no_rate_to_find(span: Span | None, train: str) -> Text:
    """A search follows one loss, step by step: of steps that take turns each changes the loss of
    the others, an optimizer that evaluates the loss several times a step, or solves for the
    weights, has no rate that grows from step to step, and `epochs 0` trains nothing."""
    return Text(
        f"`{train}` has no learning rate to be found",
        label="it takes no single steps by one gradient",
        help="look at trains with one `minimize` and an optimizer that goes by one gradient a step",
    )
