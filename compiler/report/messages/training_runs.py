"""Messages about training scripts that end before they are done."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import list_words
from compiler.report.sessions import BUILT, FIT, change_fit, fit
from compiler.report.source import Span


@message("W0860")
def training_file_missing(span: Span | None, path: str) -> Text:
    """The training script did not find a file that it reads.

    Paths in a spec start from the folder of the spec. The file was there when the spec was
    checked, or the script was run with another folder.
    """
    return Text(
        f"the training found no file {path}",
        label="is what was trained",
        help="put the file there; paths start from the folder of the spec",
    )


@message(
    "W0861",
    console=fit(("lr=0.1", "lr=9"), ("[a, b]", "[a * 1e30, b * 1e30]"))
    + """\
$ weft train fit.weft -o out
""",
    mended=change_fit()
    + """\
$ weft train fit.weft -o out
""",
)
def loss_not_finite(
    span: Span | None,
    value: str,
    place: str,  # "epoch 1, step 1"
    name: str | None = None,  # that of one of several steps
    found: str | None = None,  # "conv is the first layer whose results are not finite"
) -> Text:
    """The loss became infinite or stopped being a number, and nothing can be learned from it.

    Most often the learning rate is too high. A warm-up (`schedule=cosine(warmup=5%)`), a limit
    on the gradients (`clip 1.0`) or `precision bf16` in place of `f16` helps too. A logarithm of
    zero, a division by zero and missing values in the data have the same effect in the first
    step, and so has a batch of which no target counts (`ignore_index`): its mean is one of nothing.

    The epoch runs again, in a folder of its own, to find the first layer whose results are not
    finite, and the rows of the batch in which that is so. Where there is none, the objective makes
    it of numbers: the line of `train.py` is shown in which it does.
    `last.pt` stays as the last finished epoch left it.
    """
    if place in ("epoch 1, step 1", "step 1"):
        advice = "look for missing values in the data, log(0) and division by zero in the spec"
    else:
        advice = "try a lower `lr`, a warm-up, or `clip 1.0`"
    loss = f"the loss of `{name}`" if name is not None else "the loss"
    return Text(f"{loss} is {value} at {place}", label=found or "stopped there", help=advice)


_LENGTH = "cross_entropy(y, label) + 1e-3 * mean(sqrt(sum(y ** 2, axis=1)))"
_OPEN = (("dense(8)", "dense(8, bias=false)"), ("dense(2)", "dense(2, bias=false)"))


@message(
    "W1563",
    console=fit(("cross_entropy(y, label)", _LENGTH), ("batch 4", "batch 12"), *_OPEN)
    + """\
$ weft train fit.weft -o out
""",
    mended=change_fit(
        ("cross_entropy(y, label)", _LENGTH.replace("axis=1)", "axis=1) + 1e-8")),
        ("batch 4", "batch 12"),
        *_OPEN,
    )
    + """\
$ weft train fit.weft -o out
""",
)
def weight_not_finite(span: Span | None, path: str, epoch: int) -> Text:
    """A weight became infinite or stopped being a number in the last step of an epoch, whose losses
    were numbers still. The epoch is not kept: `last.pt` holds the one before it.

    What makes a loss infinite does it here, too (`weft explain W0861`): most often a learning rate
    that is too high. Some functions are finite where their derivative is not: the square root at 0.
    """
    return Text(
        f"`{path}` is not finite after epoch {epoch}",
        label="stopped there",
        help="try a lower `lr`, a warm-up, or `clip 1.0`",
    )


@message("W0862")
def training_out_of_memory(span: Span | None) -> Text:
    """The training did not fit into the memory of the GPU.

    The whole data set is held on the device along with the network, its gradients, the state of the
    optimizer and the activations of one batch, which grow with `batch`.
    """
    return Text(
        "the GPU is out of memory",
        label="is what was trained",
        help="use a smaller `batch`, `precision bf16`, or `--device cpu`",
    )


@message(
    "W0863",
    console=FIT
    + """\
$ weft train fit.weft -o out --device cuda
""",
    mended="""\
$ weft train fit.weft -o out --device cpu
""",
)
def training_device_missing(span: Span | None) -> Text:
    """A training was asked to run on a CUDA device where PyTorch finds none.

    Either there is no GPU, or the installed PyTorch is one for the CPU only.
    """
    return Text(
        "PyTorch finds no CUDA device", help="give `--device cpu`, or install PyTorch for CUDA"
    )


@message("W0864")
def training_killed(span: Span | None, signal: str) -> Text:
    """The process of the training was ended from outside.

    SIGKILL is most often the system, out of memory. Finished epochs are kept: the same command
    goes on from there.
    """
    return Text(
        f"the training was ended by {signal}",
        label="goes on after its last finished epoch when it is run again",
        help=None if signal != "SIGKILL" else "if memory ran out, use a smaller `batch`",
    )


@message(
    "W0865",
    console=fit(
        ("x = stack([a, b])", "x = stack([stack([a, b]), stack([a, b])])"),
        ("f32[batch, 2]", "f32[batch, 2, 2]"),
        ("x -> dense(8)", "inverse(x) -> flatten -> dense(8)"),
    )
    + """\
$ weft train fit.weft -o out
""",
    mended=change_fit(
        ("x = stack([a, b])", "x = stack([stack([a, b]), stack([-b, a])])"),
        ("f32[batch, 2]", "f32[batch, 2, 2]"),
        ("x -> dense(8)", "inverse(x + eye(2)) -> flatten -> dense(8)"),
        ("model Net", "use std.tensors\n\nmodel Net"),
    )
    + """\
$ weft train fit.weft -o out
""",
)
def training_failed(span: Span | None, reason: str, log: str) -> Text:
    """The training script ended with an error of its own.

    The script that Weft writes runs alone (`python train.py`), and the whole of what it said is in
    the log that the message names.
    """
    return Text(
        f"the training failed: {reason}",
        label="is what was trained",
        help=f"what the script said is in {log}",
    )


@message(
    "W1206",
    console=FIT
    + """\
$ weft train fit.weft -o out
$ weft train fit.weft -o out
""",
    mended="""\
$ weft train fit.weft -o out --overwrite
""",
)
def training_would_be_lost(span: Span | None, folder: str) -> Text:
    """A training was begun in this folder, or finished, and another one would delete what it
    left. Nothing has been touched."""
    return Text(
        f"{folder} holds a training",
        label="would be trained anew",
        help="`--resume` goes on with it, `--overwrite` deletes it, `-o` names another folder",
    )


@message(
    "W1207",
    console=FIT
    + "$ weft train fit.weft -o out\n"
    + change_fit(("lr=0.1", "lr=0.2"))
    + """\
$ weft train fit.weft -o out --resume
""",
    mended="""\
$ weft train fit.weft -o other
""",
)
def other_settings(span: Span | None, file: str, others: tuple[str, ...]) -> Text:
    """A training is to go on that was begun with other settings: its rate would jump, or its
    epochs would no longer be what the spec says. Nothing has been touched.

    Settings are all that changes the result: seed, batch, epochs, learning rates, optimizers and
    their schedules, what is frozen, the nets with the shapes and names of their weights, the
    objective, the metrics, the columns, their split and the numbers of the data. Nets, objective
    and columns are compared by checksums.
    """
    return Text(
        f"{file} was trained with other settings",
        label="; ".join(others),
        help="give it the same settings, or train anew with `-o FOLDER` or `--overwrite`",
    )


@message(
    "W1208",
    console=FIT
    + """\
$ weft train fit.weft -o out
$ rm out/fit/last.pt
$ weft train fit.weft -o out --resume
""",
    mended="""\
$ weft train fit.weft -o out --overwrite
""",
)
def nothing_to_resume(span: Span | None, folder: str) -> Text:
    """A training cannot go on: its `last.pt` or its `best.safetensors` is missing next to
    the other files that it left. Nothing has been touched."""
    return Text(
        f"{folder} lacks what `--resume` needs",
        label="last.pt and best.safetensors belong together",
        help="train anew with `-o FOLDER` or `--overwrite`",
    )


@message(
    "W1209",
    console=fit(
        (
            "metric accuracy = accuracy(y, label)",
            'metric share = mean(0 * y) / mean(0 * y), better="higher"',
        )
    )
    + """\
$ weft train fit.weft -o out
""",
    mended=change_fit()
    + """\
$ weft train fit.weft -o other
""",
)
def no_best_epoch(span: Span | None, figure: str) -> Text:
    """The figure that chooses the best epoch was not a number in any epoch, so there is none. A
    mask that lets nothing count, a division by zero in an expression, and outputs of the net that
    are NaN have this effect: a metric of such outputs is not a number."""
    return Text(
        f"{figure} was not a number in any epoch",
        label="has no best epoch",
        help=(
            "look for what it divides by, and for NaN in the outputs that it reads; "
            "`until stalled(val.loss, …)` goes by the loss"
        ),
    )


@message(
    "W1406",
    console=BUILT
    + """\
$ cat rename.py
from pathlib import Path

table = Path("table.csv")
table.write_text(table.read_text().replace(",c,", ",d,"))
$ python rename.py
$ weft eval fit.weft --onnx out/fit.onnx
""",
    mended="""\
$ python make.py
$ weft eval fit.weft --onnx out/fit.onnx
""",
)
def other_words(
    span: Span | None, train: str, column: str, trained: tuple[str, ...], found: tuple[str, ...]
) -> Text:
    """A categorical column, or a text, holds words now that the training has not seen. A word
    stands for its place among those of the training, and these have none: the net was trained on no
    row of theirs. A file with only some of the training's words is fine.

    Of weights whose training is not known by its folder, the words must be the same ones.
    """
    new = [word for word in found if word not in trained]
    gone = [word for word in trained if word not in found]
    parts = [f"new: {list_words(new)}"] if new else []
    parts += [f"no longer there: {list_words(gone)}"] if gone else []
    return Text(
        f"`{column}` holds other words than `{train}` was trained on",
        label="; ".join(parts) or f"in order: {list_words(found)}",
        help="give data with the same words, or train anew on these (`weft build`)",
    )


@message(
    "W1565",
    console=fit(("lr=0.1", "lr=0.1, schedule=cosine"))
    + """\
$ weft train fit.weft -o out
$ weft train fit.weft -o out --resume --epochs 3
""",
    mended="""\
$ weft train fit.weft -o out --resume
""",
)
def epochs_followed(span: Span | None, name: str, wanted: int, said: int) -> Text:
    """`--epochs` makes a training longer whose first epochs stay what they were. Where the learning
    rate falls towards the last step (`cosine`), where a warm-up is a share of all steps, or where a
    number or another setting follows from how many there are, a longer training is another one from
    its first step on: going on from the end of the short one would make the rate jump.

    Train anew with more epochs, or go on from the weights with a schedule of its own: a second
    train whose net is that of the first, `net m = fit`.
    """
    return Text(
        f"`{name}` is another training with {wanted} epochs than with {said}",
        label="its schedule, or a number in it, follows from how many epochs there are",
        help=f"write `epochs {wanted}` and train anew, or go on from its weights in a second train",
    )
