"""Messages about backends: what ONNX or PyTorch cannot say, and why."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


@message(
    "W0801",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, 2, 4, 4, 4]
    input grid: f32[batch, 3, 3, 3, 3]
    output y = grid_sample(x, grid)
}
net sampled = Net()
deploy sampled as onnx { dynamic batch  opset 19 }
$ weft compile net.weft -o out
""",
    mended="""\
$ cat net.weft
model Net {
    input x: f32[batch, 2, 4, 4, 4]
    input grid: f32[batch, 3, 3, 3, 3]
    output y = grid_sample(x, grid)
}
net sampled = Net()
deploy sampled as onnx { dynamic batch  opset 20 }
$ weft compile net.weft -o out --no-verify
""",
)
def opset_too_old(span: Span | None, layer: str, operator: str, needed: int, opset: int) -> Text:
    """A layer needs an ONNX operator that the chosen opset does not have.

    Every opset adds operators. Most of what older ones lack Weft writes with several older
    operators; this one it does not. Choose a newer `opset`, if the runtime you deploy to reads
    it, or say the layer with others.
    """
    return Text(
        f"`{layer}` needs ONNX opset {needed}",
        label=f"is written as {operator}, which opset {opset} does not have",
        help=f"write `opset {needed}` in the `deploy` item, or give `--opset {needed}`",
    )


@message(
    "W1500",
    console="""\
$ cat net.weft
model Noisy {
    input x: f32[batch, 4]
    output y = x + normal_like(x, std=0.1)
}
net noisy = Noisy()
deploy noisy as onnx { dynamic batch  opset 23 }
$ weft compile net.weft -o out
""",
    mended="""\
$ cat net.weft
model Noisy {
    input x: f32[batch, 4]
    output y = x + normal_like(x, std=0.1)
}
net noisy = Noisy()
deploy noisy as onnx { dynamic batch  opset 21 }
$ weft compile net.weft -o out --no-verify
""",
)
def opset_too_new(span: Span | None, layer: str, operator: str, newest: int, opset: int) -> Text:
    """A layer becomes an ONNX operator that ONNX Runtime computes only as older opsets have it.

    A newer opset may define an operator anew, for more dtypes, and ONNX Runtime takes some time to
    follow: it refuses to load such a file. Choose an older `opset`.
    """
    return Text(
        f"ONNX Runtime does not compute `{layer}` in opset {opset}",
        label=f"is written as {operator}, of which it has kernels up to opset {newest}",
        help=f"write `opset {newest}` in the `deploy` item, or give `--opset {newest}`",
    )


@message(
    "W1446",
    bad=(
        "model Solver {\n    input a: f32[batch, 3, 3]\n    output y = inverse(a)\n}\n"
        "net solver = Solver()\ndeploy solver as onnx {}\n"
    ),
    good=(
        "model Solver {\n    input a: f32[batch, 3, 3]\n    output y = det(a)\n}\n"
        "net solver = Solver()\ndeploy solver as onnx {}\n"
    ),
)
def no_operator(span: Span | None, layer: str, used: Span | None = None) -> Text:
    """A net is deployed as ONNX with a layer that no opset of ONNX has, and that Weft does not say
    with others: `inverse`, `solve`, `cholesky`, `logdet` and `ctc` are computed in PyTorch alone.
    Deploy the outputs that do without it (`outputs`), or compile PyTorch code (`weft compile
    --pytorch`).
    """
    return Text(
        f"ONNX has no operator for `{layer}`",
        label="no opset has one" if used is None else "this is to become an ONNX file",
        labels=() if used is None else (Label(used, f"`{layer}` is computed here"),),
        help="`weft compile --pytorch` writes PyTorch code alone",
    )


@message(
    "W1431",
    bad=(
        "model Double {\n    input x: f32[batch, 3]\n    output x = 2 * x\n}\n"
        "net double = Double()\ndeploy double as onnx {}\n"
    ),
    good=(
        "model Double {\n    input x: f32[batch, 3]\n    output y = 2 * x\n}\n"
        "net double = Double()\ndeploy double as onnx {}\n"
    ),
)
def input_and_output(span: Span | None, name: str, used: Span | None = None) -> Text:
    """A net is deployed as ONNX with an output that has the name of an input.

    In an ONNX file a name stands for one tensor, so that no runtime loads a file in which what goes
    in and what comes out are called the same. Give the output another name. PyTorch code has no
    such limit.
    """
    return Text(
        f"an input and an output are called `{name}`",
        label="in an ONNX file a name is one tensor"
        if used is None
        else "this is to become an ONNX file, in which a name is one tensor",
        labels=() if used is None else (Label(used, "the output"),),
        help="give the output another name",
    )


@message(
    "W1363",
    console="""\
$ cat net.weft
model Net {
    input x: f64[batch, 4]
    output y = x -> erf
}
$ weft compile net.weft -o out --no-verify
""",
    mended="""\
$ cat net.weft
model Net {
    input x: f64[batch, 4]
    output y = cast(x, f32) -> erf
}
$ weft compile net.weft -o out --no-verify
""",
)
def kernel_missing(span: Span | None, layer: str, operator: str, dtype: str) -> Text:
    """A layer becomes an operator that ONNX Runtime does not compute in the dtype of its input.

    ONNX Runtime has kernels of f32 for every operator, and of f64 for some. Most of what it lacks
    Weft writes with several others; this one it does not. PyTorch computes it in every dtype.
    """
    return Text(
        f"ONNX Runtime does not compute `{layer}` in {dtype}",
        label=f"is written as {operator}, of which there is no kernel for {dtype}",
        help="turn its input into f32 before it: `cast(f32)`",
    )


@message("W0803")
def dimension_fixed(span: Span | None, layer: str, dim: str) -> Text:
    """A dimension that is to stay free would become a number in the ONNX file.

    A dynamic dimension is a promise: the file accepts every size of it. Here the ONNX operator
    has an attribute that must be a number, and the number depends on the dimension. Give the
    dimension a size (`fix h=224`), or say the layer so that its arguments do not depend on it.
    """
    return Text(
        f"ONNX would fix the dynamic dimension `{dim}`",
        label=f"`{layer}` needs the number that `{dim}` stands for",
        help="leave the dimension out of `dynamic` and give it a size",
    )


@message("W0804")
def unknown_dimension(span: Span | None, name: str, known: tuple[str, ...]) -> Text:
    """A name given as a dynamic or fixed dimension is not a dimension of the model's inputs."""
    return Text(
        f"`{name}` is not a dimension of the inputs",
        label=f"the free ones are {', '.join(known)}" if known else "none of them is free",
    )


@message("W0806")
def dimension_not_readable(span: Span | None, layer: str, name: str) -> Text:
    """A dimension is needed at run time, and no input has an axis of exactly that size.

    Sizes are read off the shapes of the inputs. A name that occurs only inside an expression
    (`f32[batch, 2 * n]`) cannot be read off.
    """
    return Text(
        f"no input shows the size of `{name}`",
        label=f"`{layer}` needs `{name}` at run time",
        help=f"give an input an axis of size `{name}` alone",
    )


@message("W0807")
def weight_does_not_fit(
    span: Span | None, path: str, expected: str, found: tuple[int, ...] | None
) -> Text:
    """A weight handed to the compiler is missing, or has another shape than the parameter.

    An ONNX file holds the numbers of every parameter, so all of them must be there.
    """
    if found is None:
        title = f"there are no numbers for the weight `{path}`"
    else:
        title = f"the weight `{path}` has the shape {list(found)}"
    return Text(title, label=f"needs {expected}")


@message(
    "W1293",
    console="""\
$ cat net.weft
model Net {
    input x: f32[batch, 8]
    output y = x -> dense(2) as training
}
$ weft compile net.weft -o out --pytorch
""",
    mended="""\
$ cat net.weft
model Net {
    input x: f32[batch, 8]
    output y = x -> dense(2) as head
}
$ weft compile net.weft -o out --pytorch
""",
)
def path_is_assigned(span: Span | None, path: str) -> Text:
    """A layer or weight has the name of an attribute that PyTorch's modules assign themselves.

    `module.eval()` sets `module.training`, so that no module of a net can be called `training`.
    """
    return Text(
        f"no module of PyTorch can hold `{path}`",
        label="PyTorch assigns an attribute of this name",
        help="give it another name: a layer with `as`, a weight or a buffer where it is declared",
    )


@message(
    "W0840",
    good="""\
model M {
    input x: f32[batch, 4]
    param scale: f32[4] = ones
    y = x * scale
    output z = y -> dense(3) as "head.inner"
}
""",
)
def path_is_weight_and_module(
    span: Span | None, path: str, inner: str, what: str = "weight"
) -> Text:
    """A weight, or a layer with weights, has a path below which the weights of others live.

    In PyTorch a name in a module is a weight or another module, never both; a checkpoint with
    `scale` and `scale.weight` could not be loaded into any module, and one with `conv.weight` and
    `conv.1.weight` into none that is written with layers. Name one of them otherwise: `as` names
    the stage before it alone.
    """
    return Text(
        f"`{path}` is a {what} and holds another",
        label=f"this is a {what}, and `{inner}` lives below it",
        help="give one of them another name with `as`",
    )
