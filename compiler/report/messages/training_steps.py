"""Messages about trains with several objectives."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.wording import list_words
from compiler.report.source import Span

GAN = """\
model Generator() {{
    input noise: f32[batch, 8]
    output image = noise -> dense(64) -> reshape([batch, 8, 8])
}}
model Critic() {{
    input image: f32[batch, 8, 8]
    output score = image -> flatten -> dense(1)
}}
data digits {{
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}}
train gan on digits {{
    net G = Generator()
    net C = Critic()
    noise = zeros([batch, 8])
{body}
    batch 64  epochs 10
}}
"""
"""A small spec with two nets, around what its train does with them."""

CRITIC = "step critic { minimize mean(C(G(noise))) - mean(C(image)) over C with adam(lr=1e-3) }"
GENERATOR = "step generator { minimize -mean(C(G(noise))) over G with adam(lr=1e-3) }"


def gan_spec(*clauses: str) -> str:
    """A whole spec with these clauses in its train."""
    return GAN.format(body="\n".join(f"    {clause}" for clause in clauses))


@message(
    "W1480",
    bad=gan_spec(CRITIC, "minimize -mean(C(G(noise))) over G with adam(lr=1e-3)"),
    good=gan_spec(CRITIC, GENERATOR),
)
def objective_beside_steps(span: Span | None, steps: tuple[str, ...], first: Span) -> Text:
    """A train has one objective, or several steps with an objective each. What stands outside of
    the steps is computed in every step that reads it, and trains nothing."""
    return Text(
        "an objective beside steps",
        label="it belongs to no step",
        labels=(Label(first, f"the steps are {list_words(steps)}"),),
        help="put it into a step of its own: `step other { minimize … over … with … }`",
    )


@message(
    "W1481",
    bad=gan_spec(CRITIC, GENERATOR.replace("generator", "critic")),
    good=gan_spec(CRITIC, GENERATOR),
)
def step_twice(span: Span | None, name: str, first: Span) -> Text:
    """Two steps of a train have one name. Figures and optimizers are called by it."""
    return Text(
        f"there are two steps `{name}`",
        label="this one",
        labels=(Label(first, "and this one"),),
        help="give it another name",
    )


@message(
    "W1482",
    bad=gan_spec(CRITIC, GENERATOR.replace(" over G", "")),
    good=gan_spec(CRITIC, GENERATOR),
)
def step_changes_what(span: Span | None, step: str, nets: tuple[str, ...]) -> Text:
    """A step among several says which of the nets it changes, in `over`: the others only take
    part in its objective. Without it a generator would train its critic to be fooled."""
    return Text(
        f"the step `{step}` does not say what it changes",
        label="`over` is missing",
        help=f"name nets or patterns of parameters: `minimize … over {nets[0]} with …`; "
        f"all of them: `over {', '.join(nets)}`",
    )


@message(
    "W1483",
    bad=gan_spec(CRITIC, GENERATOR, 'regularize l2(1e-3) over "C.dense"'),
    good=gan_spec(CRITIC, GENERATOR),
)
def not_with_steps(span: Span | None, what: str, why: str, advice: str) -> Text:
    """Some clauses and optimizers belong to the only objective of a train. One with several steps
    has no such objective."""
    return Text(f"{what} has no meaning in a train with steps", label=why, help=advice)


AVERAGE = "net smooth = ema(G, decay=0.99)"


@message(
    "W1484",
    bad="""\
model Net {
    input x: f32[n, 4]
    net a = dense(2)
    net b = ema(a)
    output y = b(x)
}
""",
    good=gan_spec(AVERAGE, CRITIC, GENERATOR),
)
def average_outside_train(span: Span | None, word: str, place: str) -> Text:
    """`ema` and `swa` follow a net while it is trained. A model or a file trains nothing: another
    item takes the average of a train as its net, `net eps = ddpm.smooth`."""
    return Text(
        f"`{word}` has no meaning in {place}",
        label="nothing is trained here",
        help=f"write it in the train: `net smooth = {word}(NET)`",
    )


@message(
    "W1485",
    bad=gan_spec("net smooth = ema(Generator())", CRITIC, GENERATOR),
    good=gan_spec(AVERAGE, CRITIC, GENERATOR),
)
def not_a_net_of_the_train(span: Span | None, word: str, found: str, advice: str = "") -> Text:
    """`ema` and `swa` follow a net that the same train declares with `net`, and that a step of it
    changes: there is nothing to follow in a model that nobody trains, a frozen net, or another
    average. Batch norms of a net that `swa` follows get new statistics, over all rows of the column
    that is its only input."""
    return Text(
        f"`{word}` takes a net that the train changes",
        label=f"not {found}",
        help=advice
        or f"declare the net first: `net student = Net()`, `net smooth = {word}(student)`",
    )
