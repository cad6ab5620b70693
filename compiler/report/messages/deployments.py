"""Messages about deploy items: what is deployed, and with which dims, labels and outputs."""

from __future__ import annotations

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.sessions import behind, change_fit, fit
from compiler.report.source import Span


def deploy_spec(clauses: str, subject: str = "fit") -> str:
    """A whole spec with this deployment."""
    return train_spec() + f"deploy {subject} as onnx {{ {clauses} }}\n"


WIDE = """model Wide {
    input image: f32[height, width]
    output bright = image > 0
}
net wide = Wide()
"""
"""A net with two open sizes."""


@message("W0640", bad=deploy_spec("dynamic bach"), good=deploy_spec("dynamic batch"))
def unknown_dim(
    span: Span | None, dim: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """A clause of a deployment names a size that no input of the net has. Sizes are named where
    the model declares its inputs: `input image: f32[batch, 3, h, w]`."""
    return Text(
        f"no input has a size `{dim}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=f"the open sizes are {list_words(known)}" if known else "no size is open",
    )


@message("W0641", bad=deploy_spec("dynamic batch  fix batch=1"), good=deploy_spec("fix batch=1"))
def dim_both_ways(span: Span | None, dim: str, settled: int | None = None) -> Text:
    """A size is fixed and left open at once: by `fix`, or by the columns that `preprocess` puts
    before the net, such as windows of a length."""
    return Text(
        f"`{dim}` is fixed and dynamic at once",
        label=f"the columns of `preprocess` make it {settled}" if settled is not None else "",
        help="leave it out of one of the clauses",
    )


@message(
    "W1641",
    severity=Severity.WARNING,
    console=fit(
        behind(
            "deploy fit as onnx { dynamic batch }",
            "train other of Net on table {",
            "    minimize cross_entropy(y, label) with adam(lr=1e-3)",
            "    batch 4",
            "    epochs 1",
            "}",
        )
    )
    + """\
$ weft build fit.weft -o out
""",
    mended=change_fit(behind("deploy fit as onnx { dynamic batch }"))
    + """\
$ weft build fit.weft -o out
""",
)
def train_left_out(span: Span | None, name: str) -> Text:
    """A build makes what is deployed and the variants, and trains what these are made of. Another
    train is left to `weft train`, unless it only compares (`epochs 0`). A file without `deploy` and
    `variant` is trained as a whole."""
    return Text(
        f"`{name}` was not trained",
        label="nothing that is deployed, and no variant, is made of it",
        help=f"`weft train FILE {name}` trains it; `deploy {name} as onnx` takes it into the build",
    )


OPEN_HEIGHT = (
    train_spec().replace("f32[batch, 8, 8]", "f32[batch, h, 8]").replace("flatten", "mean(axis=1)")
)
"""A spec whose net leaves a size open that its data settles."""


@message(
    "W1356",
    bad=OPEN_HEIGHT + "deploy fit as onnx { fix h=4 }\n",
    good=OPEN_HEIGHT + "deploy fit as onnx { fix h=8 }\n",
)
def fixed_against_data(span: Span | None, dim: str, size: int, given: int, train: str) -> Text:
    """A deployment fixes a size to another number than the data of its train has, so that no row of
    the data fits the file: it could neither be verified on real rows nor measured."""
    return Text(
        f"`{dim}` is {given} in the data of `{train}`, and fixed to {size}",
        label=f"no row of the data has {size} there",
        help=f"write `fix {dim}={given}`, or leave it out",
    )


@message(
    "W1357",
    bad=(
        train_spec()
        + "variant tiny of fit { apply quantize(stored8)  target cpu, batch=2 }\n"
        + "deploy tiny as onnx { fix batch=3 }\n"
    ),
    good=(
        train_spec()
        + "variant tiny of fit { apply quantize(stored8)  target cpu, batch=3 }\n"
        + "deploy tiny as onnx { fix batch=3 }\n"
        + "deploy tiny as onnx { fix batch=4 }\n"
    ),
)
def fixed_against_target(
    span: Span | None, dim: str, size: int, measured: int, variant: str
) -> Text:
    """A deployment fixes a size to another number than the `target` of its variant measures it
    with. A file whose size is fixed runs with no other. What is measured is the file of the first
    deployment of a variant: further ones may fix other sizes."""
    return Text(
        f"`{dim}` is fixed to {size}, and measured at {measured}",
        label=f"the `target` of `{variant}` says `{dim}={measured}`",
        help="give both the same number, or leave it out of `target`",
    )


@message(
    "W0805",
    bad=deploy_spec("dynamic height", subject="wide") + WIDE,
    good=deploy_spec("dynamic height  fix width=16", subject="wide") + WIDE,
)
def dimension_without_size(span: Span | None, names: tuple[str, ...]) -> Text:
    """`dynamic` names the sizes that stay free, and these are not among them.

    What is not dynamic must have a size in the ONNX file. Name it too, or give it a size. Without
    `dynamic`, all sizes stay free.
    """
    verb = "is" if len(names) == 1 else "are"
    them = "it" if len(names) == 1 else "them"
    sizes = ", ".join(f"{name}=16" for name in names)
    return Text(
        f"{list_words(names)} {verb} neither dynamic nor of a known size",
        label=f"leaves {list_words(names)} without a size",
        help=f"name {them} in `dynamic` too, or give {them} a size: `fix {sizes}`",
    )


@message("W0802", bad=deploy_spec("opset 12"), good=deploy_spec("opset 18"))
def opset_out_of_range(span: Span | None, opset: int, oldest: int, newest: int) -> Text:
    """The opset is older or newer than the ones Weft writes.

    Opset 18 is the oldest whose reductions and resizing mean what they mean today. The newest is
    the newest that ONNX Runtime runs, so that every file can be verified.
    """
    return Text(
        f"there is no opset {opset} to write", label=f"choose an opset from {oldest} to {newest}"
    )


@message(
    "W0642",
    bad=deploy_spec('labels ["no", "yes"]'),
    good=deploy_spec('labels ["{i}" for i in 0..10]'),
)
def label_count(span: Span | None, found: int, output: str, type: str, classes: int) -> Text:
    """There must be a label for each class: as many as the last axis of the first output."""
    return Text(f"{found} labels for {classes} classes", label=f"the output `{output}` is {type}")


@message(
    "W1415",
    bad=deploy_spec('labels ["{9 - i}" for i in 0..10]'),
    good=deploy_spec('labels ["{i}" for i in 0..10]'),
)
def label_order(
    span: Span | None, column: str, found: tuple[str, ...], words: tuple[str, ...]
) -> Text:
    """The labels are the words of the column that the net is trained on, in another order than
    their codes, so that every class would be called by the word of another one. The codes of a
    table's column are the places of its words in sorted order, those of folders of images too.
    Labels that are other words, translated ones for instance, are taken as they are."""
    pairs = zip(found, words, strict=True)
    place = next(i for i, (one, other) in enumerate(pairs) if one != other)
    there = f"class {place} is `{words[place]}`, not `{found[place]}`"
    return Text(
        f"the labels are in another order than the classes of `{column}`",
        label=f"are {list_words(found)}; {there}",
        help=f"write them in the order of the classes: {list_words(words)}",
    )


@message("W0643", bad=deploy_spec("outputs logit"), good=deploy_spec("outputs logits"))
def unknown_output(
    span: Span | None, name: str, known: tuple[str, ...], suggestion: str | None
) -> Text:
    """The net has no output of this name."""
    return Text(
        f"the net has no output `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=f"it has {list_words(known)}",
    )


_FIGURE_OF_DROPPED_OUTPUT_BAD = (
    train_spec("metric accuracy = accuracy(logits, label)").replace(
        "dense(10)", "dense(10)\n    output norm = mean(logits, 1)"
    )
    + "variant tiny of fit { apply quantize(stored8)  require val.accuracy >= 50% }\n"
    + "deploy tiny as onnx { outputs norm }\n"
)


@message(
    "W1326",
    bad=_FIGURE_OF_DROPPED_OUTPUT_BAD,
    good=_FIGURE_OF_DROPPED_OUTPUT_BAD.replace("outputs norm", "outputs logits, norm"),
)
def figure_of_dropped_output(span: Span | None, metric: str, owner: str) -> Text:
    """A contract names a metric that a deployed file cannot be judged by: it reads an output that
    `outputs` leaves out."""
    return Text(
        f"`{metric}` of `{owner}` reads an output that its deployment leaves out",
        help="name that output in `outputs` of the `deploy` too, or require another figure",
    )


@message(
    "W0644",
    bad=deploy_spec("")
    .replace(
        "train fit of Net on digits {",
        "train fit on digits {\n    net a = Net()\n    net b = Net()",
    )
    .replace("(logits, label)", "(a(image) + b(image), label)"),
    good=deploy_spec("", "fit.a")
    .replace(
        "train fit of Net on digits {",
        "train fit on digits {\n    net a = Net()\n    net b = Net()",
    )
    .replace("(logits, label)", "(a(image) + b(image), label)"),
)
def several_nets(span: Span | None, train: str, nets: tuple[str, ...]) -> Text:
    """A train with several nets is not a net by itself: name the one that is meant."""
    return Text(
        f"the train `{train}` has {len(nets)} nets",
        label="which of them?",
        help=f"name one of them: `{train}.{nets[0]}`",
    )


@message(
    "W1229",
    console=fit(
        behind(
            "data later {",
            '    source csv("later.csv")',
            "    x = stack([y, b])",
            "    split in_order, train=100%",
            "}",
            "deploy fit as onnx { dynamic batch  preprocess later }",
        )
    )
    + """\
$ cat later.csv
y,b
0.5,2
1.5,1
$ weft check fit.weft
""",
    mended=change_fit(behind("deploy fit as onnx { dynamic batch  preprocess table }"))
    + """\
$ weft check fit.weft
""",
)
def preprocess_name_clash(
    span: Span | None,
    column: str,
    other: str,  # "an output", "a weight"
) -> Text:
    """A raw column that a deployed file takes has the name of one of its outputs or weights. With
    `preprocess`, raw columns are the inputs of the file, and each name in a file means one
    thing."""
    return Text(
        f"the raw column `{column}` is called as {other} of the net",
        label="both would be in the file",
        help="give the output or weight another name in the model",
    )


_INPUT_OF_ANOTHER_NET_BAD = (
    train_spec()
    + """model Head() {
    input logits: f32[batch, 10]
    output scores = logits -> dense(10)
}
train two on digits {
    net body = Net()
    net head = Head()
    scores = image -> body -> head
    minimize cross_entropy(scores, label) with sgd(lr=0.1)
    batch 64  epochs 2
}
deploy two.head as onnx { preprocess digits }
"""
)


@message(
    "W1281",
    bad=_INPUT_OF_ANOTHER_NET_BAD,
    good=_INPUT_OF_ANOTHER_NET_BAD.replace("{ preprocess digits }", "{ dynamic batch }"),
)
def input_of_another_net(span: Span | None, input: str, weight: str) -> Text:
    """A deployment puts the columns of a data item before a net, and the train gives the net what
    another net computes of them: the file would have to hold that net too.

    Put both nets into one model, or deploy without `preprocess`: the file then takes what the net
    takes.
    """
    return Text(
        f"the input `{input}` comes from another net",
        label=f"what comes before it needs `{weight}`, which is not part of this net",
        help="put both nets into one model, or leave `preprocess` out",
    )


@message(
    "W0645",
    bad=deploy_spec("preprocess raw")
    + 'data raw {\n    source sklearn("digits")\n    split random(seed=0), train=80%, val=20%\n}\n',
    good=deploy_spec("preprocess digits"),
)
def preprocess_does_not_fit(
    span: Span | None,
    input: str,
    expected: str,
    found: str,  # the type of the column; empty where there is none
) -> Text:
    """The columns of the data that `preprocess` names are not what the net takes."""
    if not found:
        title = f"the data has no column for the input `{input}`"
    else:
        title = f"the column for the input `{input}` does not fit"
    if not found:
        label = f"the net takes {expected}"
    else:
        label = f"it is {found} per row, the net takes {expected}"
    return Text(title, label=label)
