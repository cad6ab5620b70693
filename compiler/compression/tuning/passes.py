"""The passes `finetune` and `distill`: a compressed net is trained on as its train says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, prod
from typing import Self, final

from compiler.compression.base import COMPRESSION, CompressionContext, CompressionPass
from compiler.compression.context import LayerNote, Trainer, Tuning
from compiler.compression.tuning.masks import find_zero_masks
from compiler.compression.tuning.scales import has_scales, let_scales_learn, stop_scales
from compiler.compression.tuning.teaching import follow_shares
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.items import settings_disagree
from compiler.report.messages.tuning import no_scales_to_learn, no_teacher, nothing_to_train_on
from compiler.report.messages.wording import count as count_of
from compiler.report.source import Span
from compiler.training.settings import refuse, require_positive


class ContinuedTraining(CompressionPass):
    """Base of passes that train a net on, and keep the epoch that judges best."""

    trains = True
    epochs: int
    lr: float | None

    @property
    def trained_epochs(self) -> int:
        """Its own."""
        return self.epochs

    @property
    def may_leave_whole(self) -> bool:
        """The epoch that judges best may be the one before any."""
        return True

    @property
    def keeps_layers(self) -> bool:
        """Only numbers change."""
        return True

    def check(self) -> None:
        if self.epochs < 1:
            refuse(self.name, "epochs", self.epochs, "at least 1")
        if self.lr is not None:
            require_positive(self.name, "lr", self.lr)

    def shorten(self, share: float) -> Self:
        """The same for a share of the epochs, at least one."""
        return replace(self, epochs=ceil(share * self.epochs))  # type: ignore[type-var]

    def count_least(self, shape: tuple[int, ...]) -> int:
        """All of them."""
        return prod(shape)


@COMPRESSION.register
@final
@dataclass(frozen=True)
class Finetune(ContinuedTraining):
    """Trains the net on, with the objective, data and optimizer of its train, and keeps the best
    epoch's weights. What `prune(weights=…)` set to zero stays zero. After `quantize(int8)` this
    is quantization-aware training (Jacob et al. 2018, https://arxiv.org/abs/1712.05877): the net
    is trained with the rounding it will have, whose gradient passes straight through.

    - `epochs`: how often every training row is seen.
    - `lr`: learning rate; a tenth of the train's without it.
    - `learn_scales`: learns the steps of the rounding of a quantized net too (LSQ; Esser et al.
      2020, https://arxiv.org/abs/1902.08153), at a hundredth of the rate.

    Example: `apply prune(channels=50%) -> finetune(epochs=8)`
    Source: Han et al. 2015, https://arxiv.org/abs/1506.02626
    """

    name = "finetune"
    epochs: int = 8
    lr: float | None = None
    learn_scales: bool = False

    def find_unprepared(
        self, before: Sequence[CompressionPass], graph: Graph, span: Span | None
    ) -> Message | None:
        """Steps of rounding to learn."""
        if not self.learn_scales or any(step.may_round for step in before) or has_scales(graph):
            return None
        return no_scales_to_learn(span)

    def run(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        tuning = Tuning(self.epochs, self.lr, masks=find_zero_masks(net), span=context.span)
        if not self.learn_scales:
            return _train(self.name, net, context, tuning)
        learning = let_scales_learn(net)
        if learning.graph is net.graph:
            raise CompileError([no_scales_to_learn(context.span)])
        trained = _train(self.name, learning, context, tuning)
        return stop_scales(trained, net.graph)


TEMPERATURE = 4.0
"""What scores are divided by where nothing else is asked for."""


@COMPRESSION.register
@final
@dataclass(frozen=True)
class Distill(ContinuedTraining):
    """Trains the net on to follow the net it was made from: the cross-entropy with the labels is
    mixed with that with the original's softened outputs (Hinton et al. 2015,
    https://arxiv.org/abs/1503.02531). Where the objective has no cross-entropy, the mean squared
    difference of the outputs takes its place. What `prune(weights=…)` set to zero stays zero.

    - `epochs`: how often every training row is seen.
    - `lr`: learning rate; a tenth of the train's without it.
    - `alpha`: share of the original's term, above 0 and at most 1; the labels' is the rest.
    - `temperature`: what both nets' scores are divided by, 4 without it; its square keeps the
      gradients' size. Without a cross-entropy there are no scores to divide.

    Example: `apply prune(channels=75%) -> distill(epochs=10, temperature=4)`
    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531
    """

    name = "distill"
    epochs: int = 8
    lr: float | None = None
    alpha: float = 0.5
    temperature: float | None = None

    def check(self) -> None:
        super().check()
        if self.temperature is not None:
            require_positive(self.name, "temperature", self.temperature)
        if not 0 < self.alpha <= 1:
            refuse(self.name, "alpha", self.alpha, "above 0 and at most 1")

    def find_idle_setting(self, step: Graph, span: Span | None) -> Message | None:
        """A temperature where no scores are divided by it."""
        divided = any(follow_shares(node.op) is not None for node in step.nodes)
        if self.temperature is None or divided:
            return None
        reason = "the objective has no cross-entropy, whose scores `temperature` would divide"
        return settings_disagree(span, self.name, reason, "leave `temperature` out")

    def run(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        if context.original is None:
            raise CompileError([no_teacher(context.span)])
        masks = find_zero_masks(net)
        divisor = TEMPERATURE if self.temperature is None else self.temperature
        teaching = context.original, self.alpha, divisor
        tuning = Tuning(self.epochs, self.lr, *teaching, masks, context.span)
        return _train(self.name, net, context, tuning)


def need_trainer(step: str, context: CompressionContext) -> Trainer:
    """The context's trainer.

    Raises:
        CompileError: there is none, which a pass that trains cannot do without.
    """
    if context.trainer is None:
        raise CompileError([nothing_to_train_on(context.span, step)])
    return context.trainer


def _train(step: str, net: WeightedNet, context: CompressionContext, tuning: Tuning) -> WeightedNet:
    """The trained net, with figures before and after in the journal."""
    trainer = need_trainer(step, context)
    before = context.evaluator.score(net) if context.evaluator is not None else {}
    count = sum(note.step == step and note.path == "" for note in context.journal)
    label = step if count == 0 else f"{step}_{count + 1}"
    trained = trainer.train(net, tuning, label)
    after = context.evaluator.score(trained) if context.evaluator is not None else {}
    figures = [("epochs", float(tuning.epochs))]
    figures += [(f"{name} before", value) for name, value in before.items()]
    figures += [(f"{name} after", value) for name, value in after.items()]
    reason = "with the rounding of the quantized net" if has_scales(net.graph) else ""
    done = f"trained for {count_of(tuning.epochs, 'epoch')}"
    if tuning.masks:
        done += f", {len(tuning.masks)} weights with zeros that stay"
    context.note(LayerNote(step, "", done, reason, tuple(figures), context.span))
    return trained
