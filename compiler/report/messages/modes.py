"""Messages about `training`: what a model or block computes in training and in evaluation."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


def _model(*lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"model M() {{\n    input x: f32[batch, 8]\n{body}}}\n"


_NOISY = "y = if training then x + normal_like(x) else x"


@message(
    "W1557",
    bad="let noise = if training then 0.1 else 0.0\n"
    + _model("output y = x + noise * normal_like(x)"),
    good=_model("output y = if training then x + 0.1 * normal_like(x) else x"),
)
def mode_outside(span: Span | None) -> Text:
    """`training` stands in the bodies of models and blocks: these are what is in training mode or
    in evaluation mode. A data item is the same for both, and a train trains: what it evaluates is
    its objective."""
    return Text(
        "`training` stands in models and blocks",
        label="there is no mode here",
        help="ask for it in a model or a block: `y = if training then … else …`",
    )


@message(
    "W1558",
    bad=_model("net layer = dense(8, bias=training)", "output y = layer(x)"),
    good=_model("net layer = dense(8)", "output y = if training then layer(x) else 0.5 * layer(x)"),
)
def mode_not_asked(span: Span | None) -> Text:
    """Both versions of what `training` decides are made, and a tensor is one of the two. So it
    stands in the condition of an `if`, in a value that is bound to a name, in an `output` or a
    `return`."""
    return Text(
        "`training` cannot be asked here",
        label="what this decides is no tensor",
        help="put an `if training { … } else { … }` around the whole of it",
    )


@message(
    "W1559",
    bad=_model("y = if training then (x -> dense(8) as extra) else x", "output z = y"),
    good=_model("h = x -> dense(8) as extra", "output z = if training then h else 0.5 * h"),
)
def weight_of_one_version(span: Span | None, path: str, *, training: bool) -> Text:
    """A weight that only one of the two versions has: a net is saved after training and loaded for
    evaluation, so both own the same weights. Weights are the same where their paths, types and
    kinds are.

    What only training needs, as a second head, is computed in both, and left out of what is
    deployed with `outputs`.
    """
    here, there = ("training", "evaluation") if training else ("evaluation", "training")
    return Text(
        f"the weight `{path}` exists in {here} alone",
        label=f"nothing makes it in {there}",
        help="apply the layer before the `if`, or in both versions under the same name (`as NAME`)",
    )


@message(
    "W1560",
    bad=_model(
        "if training { y = x -> dropout(10%) } else { y = x[:, 0:4] }", "output z = y -> relu"
    ),
    good=_model("if training { y = x -> dropout(10%) } else { y = x }", "output z = y -> relu"),
)
def versions_differ(
    span: Span | None, subject: str, training: str, evaluation: str, place: Span | None = None
) -> Text:
    """What `training` decides is a tensor of one type: what follows is made once, for both. Numbers
    and layers that differ cannot go on behind the `if`."""
    return Text(
        f"{subject} is {training} in training and {evaluation} in evaluation",
        label="a tensor of one type was expected",
        labels=(Label(place, "decided here"),) if place is not None and place != span else (),
        help="put what uses it into both versions, too: `if training { … } else { … }`",
    )


@message(
    "W1561",
    bad=_model("if training { noise = normal_like(x) }", "output y = x + noise"),
    good=_model(_NOISY, "output z = y"),
)
def name_of_one_version(
    span: Span | None, name: str, place: Span | None = None, *, training: bool
) -> Text:
    """The name is bound in one version of an `if training` alone."""
    here, there = ("training", "evaluation") if training else ("evaluation", "training")
    return Text(
        f"`{name}` exists in {here} alone",
        label=f"in {there} it has no value",
        labels=(Label(place, "bound in one of the two versions"),) if place is not None else (),
        help="bind it in the other version, too",
    )


@message(
    "W1562",
    bad=_model("if training { output y = x -> dropout(10%) }", "output z = x"),
    good=_model("output y = if training then (x -> dropout(10%)) else x", "output z = x"),
)
def clause_of_one_version(span: Span | None, what: str) -> Text:
    """What goes into a model and comes out, what a loop hands out, and whether a block returns, is
    the same in both versions."""
    return Text(
        f"{what} is in training another than in evaluation",
        label="one version has it, and the other has not",
        help="put the `if` into its value: `… = if training then a else b`",
    )
