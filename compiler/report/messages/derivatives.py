"""Messages about derivatives: what `grad` cannot differentiate, and where."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


@message(
    "W1510",
    bad=(
        "model M() {\n    input x: f32[batch, 4]\n    input z: f32[batch, 4]\n"
        "    y = sum(x ** 2)\n    output slope = grad(y, z)\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 4]\n    y = sum(x ** 2)\n"
        "    output slope = grad(y, x)\n}\n"
    ),
)
def no_slope(span: Span | None, reason: str, places: tuple[Label, ...] = ()) -> Text:
    """`grad(y, x)` asks how `y` changes with `x`, and nothing that `y` is computed from leads there
    from `x`, or only through what passes no gradient: `detach`, comparisons, roundings, whole
    numbers.

    `x` has to be the very tensor that `y` is computed from: after `x = x -> f` the name stands for
    the new one. Inside a loop over steps both are made in the same turn.
    """
    return Text(
        "`grad` finds no slope",
        label=reason,
        labels=places,
        help="compute `y` from the tensor that `x` names, then differentiate",
    )


@message(
    "W1511",
    bad=(
        "model M() {\n    input x: f32[batch, t, 4]\n    y = sum(x -> gru(8))\n"
        "    output slope = grad(y, x)\n}\n"
        "net m = M()\ndeploy m as onnx {}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, t, 4]\n    y = sum(x -> dense(8) -> tanh)\n"
        "    output slope = grad(y, x)\n}\n"
        "net m = M()\ndeploy m as onnx {}\n"
    ),
)
def no_derivative(span: Span | None, op: str, places: tuple[Label, ...] = ()) -> Text:
    """A derivative has to be written out with other operations, for a file in ONNX or for the
    meaning that generated code is compared with, and one on the way has no rule for it.

    PyTorch differentiates all that it computes: `weft compile --pytorch` writes the code, and a
    train may take such a derivative in its objective.
    """
    return Text(
        f"the derivative of `{op}` is not written down",
        label=f"this goes through `{op}`",
        labels=places,
        help="say it with other operations, or leave it to PyTorch (`weft compile --pytorch`)",
    )


_BY_WEIGHT = """model Net {
    input x: f32[batch, 4]
    net lift = dense(8)
    output y: f32[batch, 3] = x -> lift -> tanh -> dense(3) as head
}
data iris {
    source sklearn("iris")
    x = features
    split random(seed=0), train=80%, val=20%
}
train fit on iris {
    net m = Net()
    loss = cross_entropy(m(x), label)
    slope = grad(loss, m.lift.weight)
    minimize loss + mean(slope ** 2) with adam(lr=1e-3)
    batch 16  epochs 10
"""


@message("W1494", bad=_BY_WEIGHT + '    freeze "m.lift.*"\n}\n', good=_BY_WEIGHT + "}\n")
def grad_by_frozen(span: Span | None, path: str) -> Text:
    """`grad(loss, net.weight)` in a train, and nothing there trains the weight: `freeze` or `lora`
    keeps it as it is, for some epochs at least, or it is one of an average (`ema`), or of a net
    that the objective does not change. PyTorch keeps no record for gradients of such weights.
    """
    return Text(
        f"`grad` by `{path}`, which is frozen",
        label="no gradient is kept for this weight",
        help="train the weight, or differentiate by what the net is given, or makes of it",
    )
