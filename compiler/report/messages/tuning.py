"""Messages about compressed nets that are trained on: fine-tuning, distillation, teachers."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.items import train_spec
from compiler.report.messages.variants import variant_spec
from compiler.report.messages.wording import count
from compiler.report.sessions import behind, change_fit, fit
from compiler.report.source import Span

PARTS = """\
model Net() {{
    input image: f32[batch, 8, 8]
    net body = flatten -> dense(16)
    features = image -> body
    output features = features
    output logits = features -> dense(10)
}}
data digits {{
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}}
train fit on digits {{
    net net = Net()
    logits = net(image).logits
    minimize cross_entropy(logits, label) + mean({features} ** 2) with adamw(lr=1e-3)
    batch 64  epochs 10
}}
"""
"""A spec whose objective reads more of a net than its scores."""
TUNED = "variant tiny of fit { apply finetune(epochs=2) }\n"

AVERAGED = """\
model Net { input x: f32[n, 4]  output y = x -> dense(8) -> relu -> dense(3) }
data iris { source sklearn("iris")  split random(seed=0), train=80%, val=20% }
train fit on iris {
    net student = Net()
    net smooth = swa(student, start=2epochs)
    minimize cross_entropy(student(features), label) with sgd(lr=0.1)
    metric accuracy = accuracy(smooth(features), label)
    batch 16
    epochs 4
}
variant small of fit.smooth { apply prune(weights=50%) -> finetune(epochs=EPOCHS) }
"""
"""A spec that trains an average on."""


@message(
    "W1642",
    bad=AVERAGED.replace("EPOCHS", "2"),
    good=AVERAGED.replace("EPOCHS", "3"),
)
def average_never_begins(
    span: Span | None, step: str, epochs: int, net: str, first: int, place: Span | None
) -> Text:
    """A variant of an equal average (`swa`) is trained on for fewer epochs than the average leaves
    out: it would stay as it began, and nothing that was trained would be in it."""
    labels = (Label(place, f"takes in its net after epoch {first}"),) if place is not None else ()
    return Text(
        f"`{step}` changes nothing: `{net}` stays as it is for {count(epochs, 'epoch')}",
        label=f"trains for {count(epochs, 'epoch')}",
        labels=labels,
        help=f"train for {first} or more, or make the variant of the net that is averaged",
    )


_IN_A_LOOP = """\
on table {
    net m = Net()
    s = zeros([batch, 2])
    scan i in 0..3 { s = s + m(x) }"""


def list_passes(places: Sequence[Span]) -> Sequence[Label]:
    """Where the passes of a variant are that put a net back into its train."""
    return tuple(Label(place, "puts the compressed net into its train") for place in places)


@message(
    "W1100",
    console=fit(
        ("of Net on table {", _IN_A_LOOP),
        ("(y, label)", "(s, label)"),
        behind(
            "variant tiny of fit {",
            "    apply prune(channels=50%) -> finetune(epochs=1)",
            "    require size <= 8KiB",
            "}",
        ),
    )
    + """\
$ weft check fit.weft
""",
    mended=change_fit(
        behind(
            "variant tiny of fit {",
            "    apply prune(channels=50%) -> finetune(epochs=1)",
            "    require size <= 8KiB",
            "}",
        )
    )
    + """\
$ weft check fit.weft
""",
)
def net_inside_loop(
    span: Span | None,
    net: str,
    passes: tuple[Span, ...] = (),  # the passes of a variant that need it
) -> Text:
    """A compressed net takes the place of the original in the step of its train, to be trained
    on, and there the net is applied only inside a `scan`, or not at all.

    Apply the net outside of loops, or put the loop into the model.
    """
    return Text(
        f"the net `{net}` cannot be exchanged in its train",
        label=f"applies `{net}` nowhere, or inside a `scan`",
        labels=list_passes(passes),
        help="apply the net in the train, in a metric at least; a loop belongs into the model",
    )


@message(
    "W1280",
    bad=PARTS.format(features="net.body(image)") + TUNED,
    good=PARTS.format(features="net(image).features") + TUNED,
)
def net_looked_into(
    span: Span | None,
    net: str,
    part: str,
    passes: tuple[Span, ...] = (),  # the passes of a variant that need it
) -> Text:
    """A compressed net takes the place of the original in its train, to be trained on, and the
    train uses more of it than its outputs: it applies a net inside it (`m.backbone(x)`), or reads
    a weight that the compressed net has in another form (low rank splits it in two).

    Make what the objective needs an output of the model: then every form of the net has it.
    """
    return Text(
        f"the net `{net}` cannot be exchanged in its train",
        label=f"uses `{part}` by itself, which the compressed net does not have",
        labels=list_passes(passes),
        help=f"make it an output of the model of `{net}`, and use that",
    )


@message(
    "W1101",
    bad=train_spec() + "variant tiny of Net { apply finetune(epochs=2) }\n",
    good=train_spec() + "variant tiny of fit { apply finetune(epochs=2) }\n",
)
def nothing_to_train_on(span: Span | None, step: str) -> Text:
    """The pass trains the net on, or asks for gradients of its loss, and there is no train to
    say with what data, which objective and which optimizer.

    A net with weights from elsewhere is compressed without data where the method allows; to
    fine-tune it, write a train that loads the weights: `train fit of Net -> load("net.safetensors")
    on data`, and the variant `of fit`.
    """
    return Text(
        f"`{step}` has nothing to train on",
        label="needs a train: data, an objective and an optimizer",
        help="make the variant of a train; its net may start from loaded weights",
    )


@message(
    "W1103",
    console=fit(
        behind(
            "train student on table {",
            "    net teacher = fit",
            "    net small = Net()",
            "    freeze teacher",
            "    minimize mse(small(x), teacher(x)) with sgd(lr=0.1)",
            "    batch 4",
            "    epochs 1",
            "}",
        )
    )
    + """\
$ weft train fit.weft student -o out
""",
    mended="""\
$ weft train fit.weft fit -o out
$ weft train fit.weft student -o out
""",
)
def train_not_run(span: Span | None, train: str) -> Text:
    """`net teacher = fit` has the weights that the train `fit` learned, and that has not run:
    there is no folder with its weights, or they are those of other settings or other data.

    `weft build` runs trains in the order in which they need each other; `weft train FILE` runs
    them all, and `weft train FILE student` only `student`, after `fit`. `weft compile` and `weft
    verify` take the nets of trains inside a model from a build: `--build FOLDER`.
    """
    return Text(
        f"the train `{train}` has not run",
        label=f"starts from the weights that `{train}` learns",
        help=f"run `weft build`, or `weft train FILE {train}` first",
    )


@message(
    "W1104",
    bad=train_spec('regularize group_lasso(1e-3, groups="inputs") over "dense.bias"'),
    good=train_spec('regularize group_lasso(1e-3) over "dense"'),
)
def nothing_to_regularize(span: Span | None, name: str) -> Text:
    """A regularizer acts on the weights of layers, and what is behind `over` has none that are
    trained: biases alone, weights of one axis where `groups="inputs"`, or frozen ones."""
    return Text(
        f"`{name}` has no weights to act on",
        label="no weight that is trained is named here",
        help='name layers or their weights: `over "hidden"`, `over "*.weight"`',
    )


@message(
    "W1105",
    bad=variant_spec("apply finetune(learn_scales=true)"),
    good=variant_spec("apply quantize(int8) -> finetune(learn_scales=true)"),
)
def no_scales_to_learn(span: Span | None) -> Text:
    """`finetune(learn_scales=true)` learns the steps to which a quantized net rounds, and this
    net rounds nothing. Quantize it first: `quantize(int8) -> finetune(learn_scales=true)`.
    Weights that are only stored in few bits have no such steps either."""
    return Text(
        "`learn_scales` finds no scales",
        label="the net rounds nothing here",
        help="`quantize(int8)` comes before it",
    )


@message(
    "W1358",
    console=fit(
        ("sgd(lr=0.1)", 'sgd(lr=0.1) over "head.*"'),
        ("    batch 4", '    freeze "dense.*"\n    batch 4'),
        ("dense(2)", "dense(2, bias=false)"),
        ("dense(8)", "dense(64)"),
        behind(
            "variant tiny of fit {",
            '    apply quantize(stored8, only=["head"]) -> finetune(epochs=1)',
            "    require size <= 8KiB",
            "}",
        ),
    )
    + """\
$ weft build fit.weft -o out
""",
)
def nothing_left_to_train(span: Span | None, step: str) -> Text:
    """A pass trains the net on, and none of the weights that its train changes is left in floats: a
    quantization before it has stored them in few bits, or the train freezes all others.

    `quantize(int8)` keeps floats along with the rounding while a net is trained on; behind the
    other schemes biases and norms may be left, if the train changes these.
    """
    return Text(
        f"`{step}` has nothing left to train",
        label="no weight that the train changes is left in floats, under the paths of its groups",
        help=f"train before storing: `{step} -> quantize(…)`, or take `quantize(int8)`",
    )


@message("W1102")
def no_teacher(span: Span | None) -> Text:
    """`distill` trains a net to follow the net that it was made from, and that is not known
    here: the pass was run by itself, without the original.

    In a variant the original is the net of the train, before any pass.
    """
    return Text(
        "`distill` has no teacher",
        label="follows the net before any pass",
        help="give the original net with the world, or `finetune` without a teacher",
    )
