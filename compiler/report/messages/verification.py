"""Messages about running what was compiled: devices, refusals, and what verification found."""

from __future__ import annotations

import math

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.sessions import DRAWN, FC, MODEL, NET, save_weights
from compiler.report.source import Span


@message(
    "W0820",
    console=MODEL
    + """\
$ python -c "import numpy as np; np.save('x.npy', np.zeros((1, 3), 'f4'))"
$ weft run out/Net.onnx x=x.npy --device cuda
""",
    mended="""\
$ weft run out/Net.onnx x=x.npy --device cpu
""",
)
def device_missing(span: Span | None, reason: str) -> Text:
    """CUDA was asked for and cannot be used.

    ONNX Runtime needs the package `onnxruntime-gpu` and CUDA's libraries. `--device auto` takes
    CUDA where it works and the CPU elsewhere.
    """
    return Text(
        f"CUDA cannot be used: {reason}", help="install `weft[gpu]`, or give `--device cpu`"
    )


@message(
    "W0821",
    console="""\
$ cat net.onnx
no model
$ python -c "import numpy as np; np.save('x.npy', np.zeros((1, 3), 'f4'))"
$ weft run net.onnx x=x.npy
""",
    mended=MODEL
    + """\
$ weft run out/Net.onnx x=x.npy
""",
)
def model_refused(
    span: Span | None,
    model: str,
    reason: str,
    # ONNX Runtime's name of what went wrong.
    status: str = "",
) -> Text:
    """ONNX Runtime does not load the model.

    The file is not an ONNX file, it is damaged, it needs a newer ONNX Runtime, or one of its
    operators has no implementation for these element types on this device.
    """
    match status:
        case "INVALID_PROTOBUF" | "NO_MODEL" | "NO_SUCHFILE":
            advice = "give an ONNX file: `weft compile SPEC -o DIR --onnx` writes one"
        case "NOT_IMPLEMENTED":
            advice = "there are kernels of f32 for every operator: `cast(f32)` before the layer"
        case _:
            advice = (
                "open it with the version of ONNX Runtime that it was written for; where Weft has"
                " just written it, please report this with the spec"
            )
    return Text(
        f"ONNX Runtime refuses {model}: {reason}",
        label="" if span is None else "this layer is written as the operator that it refuses",
        help=advice,
    )


@message(
    "W0810",
    console=NET
    + save_weights(FC)
    + "$ weft compile net.weft -o out --weights fc.safetensors --onnx\n"
    + """\
$ cat change.py
import onnx
from onnx import numpy_helper

model = onnx.load("out/Net.onnx")
for weight in model.graph.initializer:
    if weight.name == "fc.bias":
        bias = numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(bias + 1, weight.name))
onnx.save(model, "changed.onnx")
$ python change.py
$ weft verify net.weft changed.onnx --weights fc.safetensors
""",
    mended="""\
$ weft verify net.weft out/Net.onnx --weights fc.safetensors
""",
)
def backends_differ(
    span: Span | None,
    backend: str,
    layer: str,
    case: str,
    found: float,
    expected: float,
    allowed: float,
    index: tuple[int, ...],
    reason: str,
) -> Text:
    """A backend computes something else than the spec means.

    Verification runs the network's meaning in NumPy, the generated PyTorch and the ONNX file on
    random and edge inputs. This is the first layer whose result differs although what goes in
    agrees, so the fault is in how this layer is written for the backend, or in the backend itself.
    It is not a fault of the spec: please report it with the spec.
    """
    if reason:
        label = reason
    else:
        place = f"at {list(index)}" if index else "here"
        label = f"{place} it gives {found:.7g}, which should be {expected:.7g}"
    error = abs(found - expected)
    if not math.isfinite(error):
        advice = "please report this with the spec"
    else:
        advice = (
            f"the difference is {error:.1e}, and rounding explains {allowed:.1e};"
            " please report this with the spec"
        )
    return Text(f"{backend} computes `{layer}` differently on {case}", label=label, help=advice)


@message("W0811")
def pass_changed_meaning(
    span: Span | None, name: str, output: str, case: str, found: float, expected: float
) -> Text:
    """A pass of the compiler changed what the network computes.

    Passes rewrite the network before it becomes an ONNX file, and none of them may change the
    outputs by more than rounding. It is not a fault of the spec: please report it with the spec.
    """
    return Text(
        f"the pass `{name}` changed the output `{output}` on {case}",
        label=f"it gives {found:.7g}, which should be {expected:.7g}",
    )


@message(
    "W1364",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, 2, 8, 8]
    output y = x -> conv(2, kernel=3, bias=false) as conv -> batch_norm as bn
}
$ cat save.py
import numpy as np
from safetensors.numpy import save_file

weights = {f"bn.{name}": np.zeros(2, "f4") for name in ("bias", "running_mean", "running_var")}
weights |= {"bn.weight": np.full(2, 3e38, "f4"), "conv.weight": np.zeros((2, 2, 3, 3), "f4")}
save_file(weights, "net.safetensors")
$ python save.py
$ weft compile net.weft -o out --weights net.safetensors --onnx
""",
)
def pass_made_nan(span: Span | None, name: str, path: str) -> Text:
    """A pass of the compiler made something that is not a number out of weights that are numbers.

    A batch norm is folded into the layer before it, for example, by dividing by the root of its
    variance. Every output behind it would not be a number, whatever the inputs are: some weight is
    outside of what its layer takes.
    """
    return Text(
        f"the pass `{name}` makes numbers of `{path}` that are not a number (NaN)",
        label="all weights that it reads are numbers",
        help="look for weights of this layer that it cannot take: a variance below 0",
    )


@message("W0812")
def optimizer_differs(
    span: Span | None, output: str, case: str, found: float, expected: float
) -> Text:
    """ONNX Runtime's own optimizer changes the outputs.

    The file computes what the spec means when ONNX Runtime runs it node by node, and something
    else after ONNX Runtime has rewritten it. Another version of ONNX Runtime may behave.
    """
    return Text(
        f"ONNX Runtime's optimizer changes the output `{output}` on {case}",
        label=f"it gives {found:.7g}, which should be {expected:.7g}",
        help="try another version of ONNX Runtime, or disable its graph optimizations",
    )


@message(
    "W0813",
    console=NET
    + save_weights(FC)
    + """\
$ weft compile net.weft -o out --weights fc.safetensors --onnx
$ cat change.py
import numpy as np
import onnx
from onnx import numpy_helper

model = onnx.load("out/Net.onnx")
for weight in model.graph.initializer:
    if weight.name == "fc.bias":
        weight.CopyFrom(numpy_helper.from_array(np.zeros(5, "f4"), weight.name))
onnx.save(model, "changed.onnx")
$ python change.py
$ weft verify net.weft changed.onnx --weights fc.safetensors
""",
    mended="""\
$ weft verify net.weft out/Net.onnx --weights fc.safetensors
""",
)
def backend_failed(span: Span | None, backend: str, case: str, reason: str) -> Text:
    """A backend raised an error on inputs that the spec's types allow."""
    return Text(
        f"{backend} fails on {case}",
        label=reason,
        help="the spec allows these inputs: please report this with the spec",
    )


@message(
    "W0814",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, n]
    output y = x[:, 2000:]
}
$ weft compile net.weft -o out
""",
    mended="""\
$ weft compile net.weft -o out --no-verify
""",
)
def no_possible_sizes(span: Span | None, model: str, names: tuple[str, ...]) -> Text:
    """No sizes of the dimensions were found at which the network could run.

    Verification needs sizes at which every tensor has elements and every condition holds.
    """
    return Text(
        f"`{model}` cannot be verified: no sizes fit its conditions",
        label=f"no sizes up to 1024 of {', '.join(names)} were found",
    )


@message(
    "W1251",
    severity=Severity.WARNING,
    console=DRAWN.replace("batch }", "batch  verify off }")
    + """\
$ weft build net.weft -o out
""",
    mended=DRAWN
    + """\
$ weft build net.weft -o out
""",
)
def not_verified(span: Span | None, file: str) -> Text:
    """A deployment says `verify off`: its file is written although nobody holds it against the
    meaning of the spec. It may compute something else. What the spec requires is still measured."""
    return Text(
        f"{file} is NOT VERIFIED",
        label="it may compute something else than the spec means",
        help="without `verify off` NumPy, PyTorch and ONNX Runtime must agree",
    )


@message(
    "W1250",
    console=DRAWN.replace("x: f32[batch, 3]", "k: i64[batch]")
    .replace("x ->", "(k * 0 + 7) ->")
    .replace("dense(2)", "embedding(5, 3)")
    + """\
$ weft build net.weft -o out
""",
    mended=DRAWN.replace("x: f32[batch, 3]", "k: i64[batch]")
    .replace("x ->", "clip(k, 0, 4) ->")
    .replace("dense(2)", "embedding(5, 3)")
    + """\
$ weft build net.weft -o out
""",
)
def no_allowed_inputs(
    span: Span | None, model: str, layer: str, size: str = "", tried: int = 0, most: int = 0
) -> Text:
    """No numbers were found that the inputs of the network may hold.

    Verification and passes run the network on numbers that they draw. Where a table is indexed, or
    a whole number divides, they are chosen so that every place lies inside its table and no divisor
    is 0, wherever in the network these come from. Here every number that was tried leads outside.
    Sizes that are open are tried too: where places follow from one, as of learned positions
    (`arange(t) -> embedding(context, d)`), an `assert` says up to where it goes.
    """
    if size:
        return Text(
            f"no inputs of `{model}` were found that it takes at {size}={tried}",
            label=f"all numbers tried are outside of what `{layer}` takes",
            help=(
                f"it takes some where `{size}` is at most {most}: write `assert {size} <= {most}`"
                f" (or the argument that {most} comes from) into the model, or `fix {size}={most}`"
                " into the `deploy`"
            ),
        )
    return Text(
        f"no inputs of `{model}` were found that it takes",
        label=f"all numbers tried are outside of what `{layer}` takes",
        help=(
            "keep what goes in here in its range (`clip`, `%`), or write `verify off` in the"
            " `deploy` to have a file that nobody has verified"
        ),
    )


@message("W1252")
def rows_outside_domain(span: Span | None, model: str, layer: str) -> Text:
    """Rows of the data hold numbers that a layer does not take.

    Verification also runs the network on some rows of its data. One of them names a place beyond
    the end of a table, or below 0, or divides by 0, or makes an infinite number or none of what an
    `lstm` or a `gru` reads: ONNX Runtime has numbers for those.
    """
    return Text(
        f"rows of the data hold numbers that `{layer}` of `{model}` does not take",
        label="a place lies outside of its table, a divisor is 0, or a number is not finite",
        help="`weft check --data` shows the range of every column",
    )


# --- training -----------------------------------------------------------------------------------


@message(
    "W0815",
    console=NET
    + save_weights(FC)
    + "$ weft compile net.weft -o out --weights fc.safetensors --onnx\n"
    + """\
$ cat change.py
import onnx

model = onnx.load("out/Net.onnx")
model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 5
onnx.save(model, "changed.onnx")
$ python change.py
$ weft verify net.weft changed.onnx --weights fc.safetensors
""",
    mended="""\
$ weft verify net.weft out/Net.onnx --weights fc.safetensors
""",
)
def invalid_onnx(span: Span | None, file: str, reason: str) -> Text:
    """An ONNX file breaks a rule of ONNX.

    Verification runs ONNX's own checker on the file, and its strict shape inference, which must not
    find a number where the spec left a dimension free. For a file that Weft wrote it is not a fault
    of the spec: please report it with the spec.
    """
    return Text(
        f"`{file}` is not a valid ONNX model",
        label=reason,
        help="compile it again; where Weft has just written it, please report this with the spec",
    )
