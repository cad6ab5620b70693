"""Messages about compressed nets that are trained on: fine-tuning, distillation, teachers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.items import train_spec
from compiler.report.messages.variants import variant_spec
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


def list_passes(places: Sequence[Span]) -> Sequence[Label]:
    """Where the passes of a variant stand that put a net back into its train."""
    return tuple(Label(place, "puts the compressed net into its train") for place in places)


@final
@dataclass(frozen=True)
class NetInsideLoop(Message):
    """A compressed net takes the place of the original in the step of its train, to be trained
    on, and there the net is applied only inside a `scan`, or not at all.

    Apply the net outside of loops, or put the loop into the model.
    """

    code: ClassVar[str] = "W1100"
    net: str
    passes: tuple[Span, ...] = ()  # the passes of a variant that need it

    def title(self) -> str:
        return f"the net `{self.net}` cannot be exchanged in its train"

    def label(self) -> str:
        return f"applies `{self.net}` nowhere, or inside a `scan`"

    def labels(self) -> Sequence[Label]:
        return list_passes(self.passes)

    def help(self) -> str:
        return "put the loop into the model, so that the train applies the net once a step"


@final
@dataclass(frozen=True)
class NetLookedInto(Message):
    """A compressed net takes the place of the original in its train, to be trained on, and the
    train uses more of it than its outputs: it applies a net inside it (`m.backbone(x)`), or reads
    a weight that the compressed net has in another form (low rank splits it in two).

    Make what the objective needs an output of the model: then every form of the net has it.
    """

    code: ClassVar[str] = "W1280"
    bad: ClassVar[str] = PARTS.format(features="net.body(image)") + TUNED
    good: ClassVar[str] = PARTS.format(features="net(image).features") + TUNED
    net: str
    part: str
    passes: tuple[Span, ...] = ()  # the passes of a variant that need it

    def title(self) -> str:
        return f"the net `{self.net}` cannot be exchanged in its train"

    def label(self) -> str:
        return f"uses `{self.part}` by itself, which the compressed net does not have"

    def labels(self) -> Sequence[Label]:
        return list_passes(self.passes)

    def help(self) -> str:
        return f"make it an output of the model of `{self.net}`, and use that"


@final
@dataclass(frozen=True)
class NothingToTrainOn(Message):
    """The pass trains the net on, or asks for gradients of its loss, and there is no train to
    say with what data, which objective and which optimizer.

    A net with weights from elsewhere is compressed without data where the method allows; to
    fine-tune it, write a train that loads the weights: `train fit of Net -> load("net.safetensors")
    on data`, and the variant `of fit`.
    """

    code: ClassVar[str] = "W1101"
    bad: ClassVar[str] = train_spec() + "variant tiny of Net { apply finetune(epochs=2) }\n"
    good: ClassVar[str] = train_spec() + "variant tiny of fit { apply finetune(epochs=2) }\n"
    step: str

    def title(self) -> str:
        return f"`{self.step}` has nothing to train on"

    def label(self) -> str:
        return "needs a train: data, an objective and an optimizer"

    def help(self) -> str:
        return "make the variant of a train; its net may start from loaded weights"


@final
@dataclass(frozen=True)
class TrainNotRun(Message):
    """`net teacher = fit` starts from what the train `fit` learned, and that has not run: there
    is no folder with its weights.

    `weft build` runs trains in the order in which they need each other; `weft train FILE` runs
    them all, and `weft train FILE student` only `student`, after `fit`.
    """

    code: ClassVar[str] = "W1103"
    train: str

    def title(self) -> str:
        return f"the train `{self.train}` has not run"

    def label(self) -> str:
        return f"starts from the weights that `{self.train}` learns"

    def help(self) -> str:
        return f"run `weft build`, or `weft train FILE {self.train}` first"


@final
@dataclass(frozen=True)
class NothingToRegularize(Message):
    """A regularizer acts on the weights of layers, and what stands behind `over` has none that
    are trained: biases alone, weights of one axis where `groups="inputs"`, or frozen ones."""

    code: ClassVar[str] = "W1104"
    bad: ClassVar[str] = train_spec(
        'regularize group_lasso(1e-3, groups="inputs") over "dense.bias"'
    )
    good: ClassVar[str] = train_spec('regularize group_lasso(1e-3) over "dense"')

    name: str

    def title(self) -> str:
        return f"`{self.name}` has no weights to act on"

    def label(self) -> str:
        return "no weight that is trained is named here"

    def help(self) -> str:
        return 'name layers or their weights: `over "hidden"`, `over "*.weight"`'


@final
@dataclass(frozen=True)
class NoScalesToLearn(Message):
    """`finetune(learn_scales=true)` learns the steps to which a quantized net rounds, and this
    net rounds nothing. Quantize it first: `quantize(int8) -> finetune(learn_scales=true)`.
    Weights that are only stored in few bits have no such steps either."""

    code: ClassVar[str] = "W1105"
    bad: ClassVar[str] = variant_spec("apply finetune(learn_scales=true)")
    good: ClassVar[str] = variant_spec("apply quantize(int8) -> finetune(learn_scales=true)")

    def title(self) -> str:
        return "`learn_scales` finds no scales"

    def label(self) -> str:
        return "the net rounds nothing here"

    def help(self) -> str:
        return "`quantize(int8)` stands before it"


@final
@dataclass(frozen=True)
class NothingLeftToTrain(Message):
    """A pass trains the net on, and none of the weights that its train changes is left in floats: a
    quantization before it has stored them in few bits, or the train freezes all others.

    `quantize(int8)` keeps floats beside the rounding while a net is trained on; behind the other
    schemes biases and norms may be left, if the train changes these.
    """

    code: ClassVar[str] = "W1358"
    step: str

    def title(self) -> str:
        return f"`{self.step}` has nothing left to train"

    def label(self) -> str:
        return "no weight that the train changes is left in floats, under the paths of its groups"

    def help(self) -> str:
        return f"train before storing: `{self.step} -> quantize(…)`, or take `quantize(int8)`"


@final
@dataclass(frozen=True)
class NoTeacher(Message):
    """`distill` trains a net to follow the net that it was made from, and that is not known
    here: the pass was run by itself, without the original.

    In a variant the original is the net of the train, before any pass.
    """

    code: ClassVar[str] = "W1102"

    def title(self) -> str:
        return "`distill` has no teacher"

    def label(self) -> str:
        return "follows the net before any pass"

    def help(self) -> str:
        return "give the original net with the world, or `finetune` without a teacher"
