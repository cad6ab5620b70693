"""Messages about files of weights, and the layers that they belong to."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Severity, Text, message
from compiler.report.messages.wording import SHOWN, count, list_words
from compiler.report.sessions import FC, NET, fit, load_weights, save_weights
from compiler.report.source import Span


@message(
    "W0906",
    console=NET
    + """\
$ cat fc.safetensors
no weights
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
)
def weights_unreadable(
    span: Span | None,
    reason: str,
    *,
    # Whether it is what a training has left.
    trained: bool = False,
) -> Text:
    """A weights file is missing, cut short, or no safetensors file.

    Weft reads weights only from safetensors: unlike a pickle, such a file can run no code.
    """
    if trained:
        advice = "train again, with `weft build --force` or `weft train --overwrite`"
    else:
        advice = "save them with `safetensors.torch.save_file(model.state_dict(), path)`"
    return Text(f"the weights cannot be read: {reason}", help=advice)


def _show_layer(layer: Span | None, span: Span | None) -> tuple[Label, ...]:
    """The layer that a weight belongs to, next to the `load` that names its file. Where a command
    or Python named the file, the layer is the place."""
    if layer is None or layer == span:
        return ()
    return (Label(layer, "the layer that it belongs to"),)


@message(
    "W0907",
    console=NET
    + save_weights('"fc.weigth": np.zeros((2, 3), "f4"), "fc.bias": np.zeros(2, "f4")')
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
)
def weight_missing(
    span: Span | None,
    file: str,
    paths: tuple[str, ...],
    suggestion: str | None = None,
    layer: Span | None = None,
) -> Text:
    """The net has a parameter for which the weights file has nothing. Load a part with `only=`
    or `except=`, and rename paths with `rename=["old.*" -> "new.*"]`."""
    shown = ", ".join(f"`{p}`" for p in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return Text(
        f"`{file}` has no {shown}{more}",
        labels=_show_layer(layer, span),
        help=f"the file has `{suggestion}`" if suggestion else None,
    )


@message(
    "W1371",
    console=NET
    + save_weights(
        '"fc.weight": np.zeros((2, 3), "f4"), "fc.bias": np.zeros(2, "f4"), "n": np.ones(1)'
    )
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
)
def weights_surplus(span: Span | None, file: str, paths: tuple[str, ...]) -> Text:
    """A weights file holds tensors that the net does not have.

    A file of another net, or a layer that was forgotten in the spec, would pass without a word.
    Name what is left out: `load("r.safetensors", except=["fc.*"])`; or what is taken: `only=`. The
    counters `num_batches_tracked` of PyTorch's batch norms are not weights and may be there.
    """
    patterns = ", ".join(f'"{path}"' for path in paths[:SHOWN])
    if span is None:
        advice = f'load it in the spec: `net n = Model() -> load("…", except=[{patterns}])`'
    else:
        advice = f"write `except=[{patterns}]` to leave them out, or `rename=` if they belong"
    return Text(f"`{file}` holds {list_words(paths)}, which the net does not have", help=advice)


@message(
    "W1372",
    console=save_weights(FC) + load_weights('only=["fcc.*"]'),
    mended=load_weights('only=["fc.*"]'),
)
def pattern_unused(span: Span | None, file: str, option: str, patterns: tuple[str, ...]) -> Text:
    """A pattern of `load` matches nothing: no path of the net (`only=`), none of the net and the
    file (`except=`), none of the file (`rename=`)."""
    shown = ", ".join(f'"{pattern}"' for pattern in patterns[:SHOWN])
    if option == "rename":
        label = f"no tensor of `{file}` is called so"
    else:
        label = "no weight is called so"
    return Text(f"`{option}=` of `load` matches nothing: {shown}", label=label)


@message(
    "W1373",
    console=save_weights(FC + ', "a": np.ones(2)') + load_weights('rename=["a" -> "fc.bias"]'),
    mended=load_weights('except=["a"]'),
)
def weights_collide(span: Span | None, file: str, path: str, both: tuple[str, str]) -> Text:
    """Two tensors of a weights file come under one path after `rename=`: which of them the net
    gets would be chance."""
    return Text(
        f"{list_words(both)} of `{file}` both become `{path}`",
        help="leave one out: rename it to a path that the net does not have, and `except=` that",
    )


@message(
    "W1374",
    console=save_weights(FC, "loaded.safetensors")
    + load_weights("", "loaded.safetensors").replace("-o out", "-o ."),
    mended="""\
$ weft compile net.weft -o out --item loaded --pytorch
""",
)
def not_our_file(span: Span | None, path: str) -> Text:
    """A command would write over a weights file that it did not write: the one that it reads, or
    one that was there before. Choose another folder with `-o`, or move the file away."""
    return Text(
        f"`{path}` was not written by `weft compile`, and would be lost",
        help="choose another folder with `-o`, or move the file away",
    )


@message(
    "W0908",
    console=NET
    + save_weights('"fc.weight": np.zeros((3, 2), "f4"), "fc.bias": np.zeros(2, "f4")')
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
)
def weight_shape(
    span: Span | None,
    file: str,
    path: str,
    found: tuple[int, ...],
    expected: str,
    layer: Span | None = None,
    *,
    # Whether its axes in reverse order are those of the parameter.
    turned: bool = False,
) -> Text:
    """A weight in the file has another shape than the parameter of that path. One that lies
    transposed in the file, as the dense layers of GPT-2 do, is turned by `transpose=[…]`."""
    advice = None
    if turned and len(found) == 2:
        advice = f'if it lies transposed in the file, write `load(…, transpose=["{path}"])`'
    return Text(
        f"`{path}` has the shape {list(found)} in `{file}`",
        label=f"the net has {expected}",
        labels=_show_layer(layer, span),
        help=advice,
    )


@message(
    "W1365",
    console=NET
    + save_weights('"fc.weight": np.zeros((2, 3), "i1"), "fc.bias": np.zeros(2, "f4")')
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
)
def weight_kind(
    span: Span | None, file: str, path: str, found: str, expected: str, layer: Span | None = None
) -> Text:
    """A weight is given as numbers of another kind than the parameter holds.

    Floating-point numbers of any width are taken for floating-point weights, signed whole numbers
    for signed ones, unsigned ones for unsigned ones and booleans for booleans. Anything else would
    lose something: the imaginary part of complex numbers, the fraction of others; and i8 codes are
    not weights without the scale that belongs to them.
    """
    return Text(
        f"`{path}` is of dtype {found} in `{file}`",
        label=f"the net has {expected}",
        labels=_show_layer(layer, span),
        help="save it in a dtype of the same kind: floating-point, signed, unsigned or boolean",
    )


@message(
    "W1366",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, 3]
    output y = x -> batch_norm as bn
}
$ cat save.py
import numpy as np
from safetensors.numpy import save_file

weights = {f"bn.{name}": np.ones(3, "f4") for name in ("weight", "bias", "running_mean")}
save_file(weights | {"bn.running_var": np.array([1, -1, 1], "f4")}, "bn.safetensors")
$ python save.py
$ weft compile net.weft -o out --weights bn.safetensors --pytorch
""",
    mended="""\
$ sed s/-1/1/ save.py > again.py
$ python again.py
$ weft compile net.weft -o out --weights bn.safetensors --pytorch
""",
)
def weight_range(
    span: Span | None,
    file: str,
    path: str,
    wrong: int,
    found: float,
    expected: str,
    layer: Span | None = None,
) -> Text:
    """Weights hold numbers that their layer cannot take: a variance below 0, which has no root.

    A training leaves no such numbers. The file is damaged, or a tensor got the name of another.
    """
    numbers = count(wrong, "number")
    return Text(
        f"`{path}` has {numbers} in `{file}` that it cannot have",
        label=f"one is {found:.6g}, and they are {expected}",
        labels=_show_layer(layer, span),
        help="look at the tensor in the file: it is damaged, or belongs to another name",
    )


@message(
    "W1367",
    console=NET
    + save_weights('"fc.weight": np.full((2, 3), 1e300), "fc.bias": np.zeros(2, "f4")')
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
)
def weights_too_large(
    span: Span | None,
    file: str,
    path: str,
    wrong: int,
    found: float,
    expected: str,
    layer: Span | None = None,
) -> Text:
    """Weights are numbers that the dtype of the parameter does not hold: f32 ends at 3.4e38, f16 at
    65504, i8 at 127."""
    numbers = count(wrong, "number")
    return Text(
        f"`{path}` has {numbers} in `{file}` that {expected} does not hold",
        label=f"one is {found:.6g}",
        labels=_show_layer(layer, span),
        help=f"save weights that {expected} holds, or give the layer inputs of a wider dtype",
    )


@message(
    "W0916",
    console=NET
    + save_weights('"fc.weight": np.full((2, 3), np.nan, "f4"), "fc.bias": np.zeros(2, "f4")')
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --pytorch
""",
)
def weights_not_finite(
    span: Span | None, path: str, wrong: int, file: str = "", layer: Span | None = None
) -> Text:
    """Weights of a net are infinite or not numbers.

    Outputs of such a net are not numbers whatever is done to it, and passes measure, cut and round
    weights by their size. Mostly they come from a file of a training that diverged, or of one that
    was saved in a precision in which its numbers have no room. Load another file.
    """
    numbers = count(wrong, "number")
    place = f" in `{file}`" if file else ""
    return Text(
        f"{numbers} of `{path}`{place} {'is' if wrong == 1 else 'are'} not finite",
        label="nothing can be made of a net that computes no numbers",
        labels=_show_layer(layer, span),
        help="load weights of a training that did not diverge",
    )


@message(
    "W0914",
    console=fit(("epochs 1\n}\n", "epochs 1\n}\ndeploy fit as onnx { dynamic batch }\n"))
    + """\
$ weft compile fit.weft -o out
""",
    mended="""\
$ weft compile fit.weft -o out --pytorch
""",
)
def weights_needed(
    span: Span | None,
    name: str,
    spec: str,
    file: str,  # where a build leaves the weights, if no other folder is asked for
) -> Text:
    """A train was to be compiled to ONNX, but its weights are made by training and no file with
    them was given. `weft build` trains it and writes the ONNX files of its deployments too."""
    return Text(
        f"`{name}` is compiled with trained weights, and no file gives them",
        label="these weights are made by training",
        help=f"after `weft build {spec}`, give those of the build: `--weights {file}`",
    )


@message(
    "W0915",
    severity=Severity.WARNING,
    console=NET
    + """\
$ weft compile net.weft -o out --onnx --no-verify
""",
    mended=save_weights(FC)
    + """\
$ weft compile net.weft -o out --onnx --no-verify --weights fc.safetensors
""",
)
def fresh_weights(span: Span | None, name: str) -> Text:
    """A net was compiled with the weights that its initializers draw: the file computes, but it
    has learnt nothing. Give a file with `--weights`, or let the spec `load(…)` one."""
    return Text(
        f"`{name}` is compiled with fresh random weights",
        help="give trained ones with `--weights FILE`",
    )
