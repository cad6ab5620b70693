"""What goes wrong with layers, nets and weights: pipes, paths, sharing, results of models."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.wording import count as count_of
from compiler.report.source import Span
from compiler.types.tensor import TensorType


@message(
    "W0501",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(8) as fc -> relu -> dense(8) as fc\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(8) as fc1 -> relu -> dense(8) as fc2\n}\n"
    ),
)
def path_taken(span: Span | None, path: str, first: Span | None) -> Text:
    """Two stages of a block have the same path, so their weights would be one.

    The path of a weight is made of the names of the blocks around it and of its stage: the `as`
    name, else the layer's own name. To use one set of weights twice, declare it with `net`.
    """
    if first is None:
        advice = f"each turn of a loop needs its own path, such as `as {path}[i]`"
    else:
        advice = (
            "name the stages apart with `as`; to share weights, declare a `net` and use it twice"
        )
    return Text(
        f"the path `{path}` is used twice",
        label="taken again here",
        labels=(Label(first, "first taken here"),) if first is not None else (),
        help=advice,
    )


_STAGES_MIXED_BAD = (
    "block inner(x: f32[n, d]) { return x -> dense(d) as fc }\n"
    "model M() {\n    input x: f32[batch, 8]\n"
    "    y = x -> inner as block[0]\n"
    '    output z = y -> dense(8) as "block.0.extra"\n}\n'
)


@message("W1283", bad=_STAGES_MIXED_BAD, good=_STAGES_MIXED_BAD.replace("block.0.extra", "extra.0"))
def stages_mixed(span: Span | None, path: str, first: Span | None) -> Text:
    """Two stages have weights under one path: the path of one lies inside the other's, so that
    generated code could not tell which module holds what.

    A stage owns everything under its path. `as block[0]` makes `block.0` the path of a stage, and
    `as "block.0.extra"` outside of that stage would put weights into it; a `param` and a layer of
    one name mix in the same way.
    """
    return Text(
        f"two stages have weights under `{path}`",
        label="this one",
        labels=(Label(first, "and this one"),) if first is not None else (),
        help="give one of them another name with `as`",
    )


@message(
    "W0502",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> 3\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x * 3\n}\n",
)
def not_a_layer(
    span: Span | None, found: str, hint: str | None = None, made: Span | None = None
) -> Text:
    """What is behind `->`, or where a layer is asked for, is not a layer.

    A layer is a function on tensors: an op, a block, a model, a net, or a sequence of them.
    """
    return Text(
        "this is not a layer",
        label=f"this is {found}",
        labels=(Label(made, "made here"),) if made is not None else (),
        help=hint,
    )


@message(
    "W0503",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    net e = dense(4)\n    output y = e(e(x))\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    net e = dense(8)\n    output y = e(e(x))\n}\n"
    ),
)
def shared_weight_differs(
    span: Span | None,
    path: str,
    made: TensorType,
    needed: TensorType,
    first: Span | None,
    places: tuple[Label, ...] = (),
) -> Text:
    """A net is used on tensors that would need weights of another shape.

    A net's weights are made at its first use; every other use shares them.
    """
    before = (Label(first, "made here"),) if first is not None else ()
    return Text(
        f"the shared weight `{path}` has another shape",
        label=f"{needed} is needed here, it is {made}",
        labels=(*before, *places),
    )


@message(
    "W1354",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    `dense.weight` = x -> relu\n"
        "    output y = `dense.weight` -> dense(8)\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    h = x -> relu\n"
        "    output y = h -> dense(8)\n}\n"
    ),
)
def value_named_as_weight(span: Span | None, path: str) -> Text:
    """A value has the name of a weight's path, and both are names of one graph. A name with a dot
    in it, which only backquotes make, can be the path of a weight (`dense.weight`)."""
    return Text(
        f"`{path}` is a weight and a value",
        label=f"makes the weight `{path}`, a name that a value has",
        help="give the value another name, or the stage with `as`",
    )


@message(
    "W1355",
    bad=(
        "model N() {\n    input x: f32[batch, 8]\n    output y = x -> dense(8) as head\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    net n = N()\n    y = n(x)\n"
        "    output z = y + n.head.bias\n}\n"
    ),
    good=(
        "model N() {\n    input x: f32[batch, 8]\n    net head = dense(8)\n"
        "    output y = x -> head\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    net n = N()\n    y = n(x)\n"
        "    output z = y + n.head.bias\n}\n"
    ),
)
def layer_is_not_a_net(span: Span | None, net: str, name: str, place: Span | None) -> Text:
    """What is behind the dot of a net is a layer that the model applies where it is written. Only
    what is declared with `net` can be referred to, because its weights may be read in several
    places; `as head` names the path of a layer's weights, and no value.
    """
    return Text(
        f"`{name}` of the net `{net}` cannot be read: it is a layer, and no `net`",
        label="the path of a layer's weights, not the name of a value",
        labels=(Label(place, "applied here"),) if place is not None else (),
        help=f"declare it in the model, `net {name} = …`, and apply it: `-> {name}`",
    )


@message(
    "W0504",
    bad=(
        "model M() {\n    input t: i64[batch, 4]\n    net e = embedding(100, 8)\n"
        "    w = e.weight\n    output y = e(t) @ transpose(w, 0, 1)\n}\n"
    ),
    good=(
        "model M() {\n    input t: i64[batch, 4]\n    net e = embedding(100, 8)\n"
        "    x = e(t)\n    output y = x @ transpose(e.weight, 0, 1)\n}\n"
    ),
)
def net_not_used(span: Span | None, net: str, name: str, declared: Span) -> Text:
    """Something inside a net is read before the net is used.

    The weights and inner nets of a net exist after its first use, which tells their shapes.
    """
    return Text(
        f"`{net}.{name}` is read before `{net}` is used",
        label="not made yet",
        labels=(Label(declared, "declared here"),),
        help=f"apply `{net}` first: its weights are made at its first use",
    )


@message(
    "W0505",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    param p: f32[8] = nromal(0.02)\n"
        "    output y = x + p\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    param p: f32[8] = normal(0.02)\n"
        "    output y = x + p\n}\n"
    ),
)
def no_initializer(
    span: Span | None, found: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """A weight is declared with a value that is not an initializer.

    A weight starts as a number, a list of numbers, or drawn: `zeros`, `ones`, `normal(0.02)` …
    """
    return Text(
        "this is not an initializer",
        label=f"did you mean `{suggestion}`?" if suggestion else f"this is {found}",
        help=f"a number, a list of numbers, or one of {', '.join(f'`{k}`' for k in known)}",
    )


@message(
    "W1495",
    bad=(
        "model M() {\n    input x: f32[batch, 3]\n    param p: f32[3] = [1, 2]\n"
        "    output y = x + p\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 3]\n    param p: f32[3] = [1, 2, 3]\n"
        "    output y = x + p\n}\n"
    ),
)
def numbers_differ(span: Span | None, count: int, wanted: str) -> Text:
    """A weight or a buffer starts as a list of more or fewer numbers than it holds. The list has
    one for each entry, row by row; one number alone stands for all entries."""
    return Text(
        f"the list does not fill {wanted}",
        label=count_of(count, "number"),
        help="give a number for each entry, or one number for all",
    )


@message(
    "W1436",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(4, bias=false, bias_init=zeros())\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(4, bias_init=zeros())\n}\n"
    ),
)
def nothing_to_start(
    span: Span | None,
    op: str,
    argument: str,
    given: str | None,  # the weight that is given, and so does not start here
) -> Text:
    """`init=` and `bias_init=` say how the weight and the bias of a layer start, and this call
    makes none: it has none (`bias=false`), or is given one (`weight=embed.weight`), which starts
    where it is made."""
    if given is not None:
        return Text(
            f"`{argument}` starts nothing: the {given} of this `{op}` is given",
            label="the weight starts where it is made",
            help=f"leave `{argument}` out, and say it where the weight is made",
        )
    made = "bias" if argument == "bias_init" else argument.removesuffix("_init")
    made = "weight" if argument == "init" else made
    return Text(
        f"`{argument}` starts nothing: this `{op}` makes no {made}",
        label=f"there is no {made} here",
        help=f"leave `{argument}` out",
    )


@message(
    "W1437",
    bad=(
        "model M() {\n    input x: f32[batch, 8, 16]\n"
        "    output y = x -> conv(8, kernel=3, init=identity())\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8, 16]\n"
        "    output y = x -> conv(8, kernel=3, init=dirac())\n}\n"
    ),
)
def start_needs_axes(span: Span | None, initializer: str, needed: str, found: str) -> Text:
    """The initializer is made for weights of another number of axes: `identity` for matrices, the
    weights of dense layers, and `dirac` for the kernels of convolutions."""
    return Text(
        f"`{initializer}` is for weights of {needed} axes",
        label=f"this weight is {found}",
        help="`identity` starts a dense layer, `dirac` a convolution",
    )


@message(
    "W0506",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = (x + 1) as sum\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as head\n}\n",
)
def label_names_nothing(span: Span | None, label_text: str, found: str) -> Text:
    """`as` is written behind something that has no stage of its own to name.

    `as` names a stage of a pipe and its weights. A tensor is named by a binding, `y = …`.
    """
    return Text(
        "`as` has nothing to name here",
        label=f"this is {found}",
        help=f"to name a tensor, bind it: `{label_text} = …`",
    )


@message(
    "W0507",
    bad='model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as "my head"\n}\n',
    good='model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as "my_head"\n}\n',
)
def bad_label(span: Span | None, text: str, way: str = "") -> Text:
    """The name of a stage, net or weight is not made of letters, digits, `_` and dots. Paths become
    attributes of PyTorch modules and names in files of weights."""
    said = "paths have letters, digits and `_`, with dots between their parts"
    return Text(
        "this cannot be part of a path",
        label=f'the path would be "{text}"',
        help=f"{said}; {way}" if way else said,
    )


@message(
    "W0508",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> 0 * dense(8)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> 2 * dense(8)\n}\n",
)
def copies_negative(span: Span | None, count: int) -> Text:
    """`n * layer` needs a number of copies of at least one."""
    return Text(f"{count} copies of a layer", label="the number of copies is at least 1")


@message(
    "W0509",
    bad=(
        "block f(x) { y = x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        "block f(x) { return x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
)
def nothing_returned(span: Span | None, name: str) -> Text:
    """A block ends without `return`, so its call has no value."""
    return Text(f"`{name}` returns nothing", label="its body ends without `return`")


@message(
    "W0510",
    bad="model M() {\n    input x: f32[batch, 8]\n    y = x -> relu\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n",
)
def model_has_no(span: Span | None, name: str, word: str) -> Text:
    """A model has no `input`, or no `output`."""
    if word == "input":
        advice = "declare one: `input x: f32[batch, 3]`"
    else:
        advice = "declare one: `output y = x -> …`"
    return Text(f"model `{name}` has no `{word}`", help=advice)


@message(
    "W0511",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x\n    output y = x -> relu\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x\n    output z = x -> relu\n}\n",
)
def two_of_a_name(span: Span | None, what: str, name: str, first: Span) -> Text:
    """Two inputs, outputs, results or weights have the same name, a net and a buffer of a train,
    which are both parts of what is trained, or a buffer and a column of its data."""
    return Text(f"two {what}s are called `{name}`", labels=(Label(first, "the first one"),))


@message(
    "W0512",
    bad='model M() {\n    input x: f32[batch, 8]\n    output y = x -> load("m.safetensors")\n}\n',
    good=(
        'model M() {\n    input x: f32[batch, 8]\n    net f = dense(4) -> load("m.safetensors")\n'
        "    output y = f(x)\n}\n"
    ),
)
def only_on_nets(span: Span | None, word: str) -> Text:
    """A function on nets is called where no net is declared.

    `load` says where a net's weights come from: `net m = Model() -> load("m.safetensors")`. `lora`
    puts adapters next to its layers, which a train of that net then learns. Neither is a pass of a
    variant.
    """
    return Text(
        f"`{word}` acts on nets",
        label="no net is declared here",
        help=f"write `net m = Model() -> {word}(…)`",
    )


@message(
    "W1590",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    net f = dense(8)\n"
        '    net g = f -> load("g.safetensors")\n    output y = g(f(x))\n}\n'
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    net f = dense(8)\n"
        '    net g = dense(8) -> load("g.safetensors")\n    output y = g(f(x))\n}\n'
    ),
)
def net_stands_already(span: Span | None, word: str, name: str, declared: Span | None) -> Text:
    """A function on nets is called on a net that the same model or train has already.

    `net g = f` is a second name for the weights of `f`, and they cannot be as they are and changed
    at once. Write the function where the net is declared, or make a net of its own.
    """
    return Text(
        f"`{word}` would change the net `{name}`, which is declared already",
        label=f"this is a second name of `{name}`",
        labels=() if declared is None else (Label(declared, f"`{name}` is declared here"),),
        help=f"write `net {name} = … -> {word}(…)` there, or make a net of its own here",
    )


@message(
    "W0513",
    bad=(
        "model M(scale: float = mean(zeros([3]))) {\n    input x: f32[batch, 8]\n"
        "    output y = x * scale\n}\n"
    ),
    good="model M(scale: float = 0.5) {\n    input x: f32[batch, 8]\n    output y = x * scale\n}\n",
)
def foreign_tensor(span: Span | None) -> Text:
    """A tensor of one model is used in another, or outside of any.

    What is computed at file level is known when compiling; tensors live inside models.
    """
    return Text("tensors are computed inside models", label="no model is being built here")
